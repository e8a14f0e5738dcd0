/** The actors of a shard under any order of offers, decisions, commits and losses: a bank whose books agree. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../messages/entry.ts"
import type { Batch } from "../../runtime/actor/batch.ts"
import type { Cell } from "../../runtime/actor/cell.ts"
import { Shard } from "../../runtime/actor/shard.ts"
import { bankKind } from "../sim/bank.ts"

const id = fc.constantFrom("a", "b", "c")
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("offer" as const),
      id,
      // Few ids for commands, so that some of them are repeated.
      command: fc.integer({ min: 0, max: 40 }).map(String),
      name: fc.constantFrom("Deposit", "Deposit", "Withdraw", "Balance", "Fall", "Nonsense")
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("commit" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const) }) }
)

interface Asked {
  readonly id: string
  readonly command: string
  readonly name: string
  readonly answers: Array<{
    readonly ok?: { readonly moves: number; readonly balance: number }
    readonly failed?: unknown
  }>
  /** How much was in the log when it was answered. */
  readonly logged: Array<number>
}

/** A shard over a log that is an array; losing the shard reads every actor from it again. */
class Bench {
  readonly log: Array<Entry> = []
  readonly asked: Array<Asked> = []
  private waking: Array<Cell> = []
  private inFlight: Array<Batch> = []
  private readonly shard: Shard

  constructor() {
    this.shard = new Shard(0, new Map([["bank", bankKind]]), {
      now: () => 1_000,
      mayAnswer: () => true,
      wake: () => {},
      handOut: () => undefined,
      activate: (cell) => this.waking.push(cell),
      committed: () => {},
      defect: () => {},
      refused: () => {}
    })
  }

  offer(given: { readonly id: string; readonly command: string; readonly name: string }): void {
    const asked: Asked = { ...given, answers: [], logged: [] }
    this.asked.push(asked)
    this.shard.offer({
      verb: given.name === "Balance" ? "ask" : "do",
      kind: "bank",
      id: given.id,
      caller: "c",
      name: given.name,
      body: given.name === "Fall" ? '{"half":true}' : given.name === "Balance" ? "{}" : '{"amount":3}',
      commandId: given.name === "Balance" ? "" : `${given.id}-${given.name}-${given.command}`,
      deadline: 0,
      answer: (text) => {
        asked.answers.push(JSON.parse(text))
        asked.logged.push(this.log.length)
      }
    })
  }

  turn(): void {
    const batch = this.shard.turn()
    if (batch !== undefined) this.inFlight.push(batch)
  }

  commit(): void {
    const batch = this.inFlight.shift()
    if (batch === undefined) return
    const positions = batch.entries.map((entry) => this.log.push(entry))
    this.shard.commit(batch, positions)
  }

  /** Whoever is to be read is read, unless an entry of it is still on its way. */
  read(): void {
    const ready = this.waking.filter((cell) => cell.batch === undefined)
    this.waking = this.waking.filter((cell) => cell.batch !== undefined)
    for (const cell of ready) {
      cell.reset()
      for (const entry of this.log) if (entry.id === cell.id) cell.apply(entry)
      this.shard.activated(cell)
    }
  }

  /** Nothing of what is on its way arrives. */
  lose(): void {
    this.shard.abandon(this.inFlight)
    this.inFlight = []
    this.waking = []
  }

  settle(): void {
    while (this.waking.length > 0 || this.inFlight.length > 0 || this.shard.hasWork) {
      this.commit()
      this.read()
      this.turn()
    }
  }

  get waiting(): number {
    return this.shard.waiting
  }
}

const ordinary = (entries: ReadonlyArray<Entry>): void => {
  for (const of of ["a", "b", "c"]) {
    const own = entries.filter((entry) => entry.id === of)
    expect(own.map(({ version }) => version)).toEqual(own.map((_, index) => index + 1))
    expect(new Set(own.map(({ cause }) => cause)).size).toBe(own.length)
    let balance = 0
    for (const [index, { events, reply }] of own.entries()) {
      const [event] = JSON.parse(events) as [{ readonly _tag: string; readonly amount: number }]
      balance += event._tag === "Deposited" ? event.amount : -event.amount
      expect(balance).toBeGreaterThanOrEqual(0)
      expect(JSON.parse(reply)).toEqual({ moves: index + 1, balance, saved: 0 })
    }
  }
}

describe("a shard", () => {
  it("answers everybody once, from what is in the log by then, and applies every command once", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const bench = new Bench()
        for (const each of steps) {
          if (each.do === "offer") bench.offer(each)
          else bench[each.do]()
          expect(bench.waiting).toBeGreaterThanOrEqual(0)
        }
        bench.settle()
        expect(bench.waiting).toBe(0)
        ordinary(bench.log)
        for (const { answers, id: of, logged, name, command } of bench.asked) {
          expect(answers).toHaveLength(1)
          const seen = answers[0]?.ok
          if (seen === undefined) continue
          // What it saw had been committed when it left.
          const committed = bench.log.slice(0, logged[0]).filter((entry) => entry.id === of)
          expect(seen.moves).toBeLessThanOrEqual(committed.length)
          if (name === "Balance") continue
          const own = committed.filter(({ cause }) => cause === `${of}-${name}-${command}`)
          expect(own.map(({ reply }) => JSON.parse(reply))).toEqual([seen])
        }
      }),
      { numRuns: 300 }
    )
  })
})
