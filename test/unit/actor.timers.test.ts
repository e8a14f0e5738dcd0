/** Timers are commands that come by themselves: in time, late, far away, again when nobody was in, across owners. */
import { Clock, Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../messages/entry.ts"
import { mailboxCommandsMax } from "../../messages/limits.ts"
import { timerCaller } from "../../runtime/actor/shard.ts"
import { bankDecider } from "../sim/bank.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const ticksOf = (ground: Ground): ReadonlyArray<Entry> =>
  (ground.store.logs.get(0)?.frames ?? [])
    .flatMap(({ reads }) => reads.flatMap((read) => ("entry" in read ? [read.entry] : [])))
    .filter(({ caller }) => caller === timerCaller)

const save = (ground: Ground, forMs: number, id = "a") =>
  Effect.gen(function* () {
    yield* tell(ground, "Deposit", { amount: 5 }, { id })
    yield* tell(ground, "Save", { amount: 5, forMs }, { id })
  })

/** Saves at once what is there whenever money comes in, for as long as the amount says. */
const rescheduling = bankLike({
  evolve: (state, event, at) => {
    const next = bankDecider.evolve(state, event, at)
    if (event._tag === "Deposited") next.until = event.amount === 0 ? 0 : at + event.amount
    return next
  }
})

describe("a timer", () => {
  it("comes when it is due, and not before", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground)
        yield* save(ground, 500)
        const start = yield* Clock.currentTimeMillis
        yield* Effect.sleep(490)
        expect(ticksOf(ground)).toEqual([])
        yield* until(() => ticksOf(ground).length > 0)
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(510)
        expect(yield* query(ground, "Balance", {})).toEqual({ ok: { moves: 3, balance: 5, saved: 0 } })
        yield* Effect.sleep(10_000)
        expect(ticksOf(ground)).toHaveLength(1)
      })
    )
  })

  it("comes at once when its time passed while nobody owned the shard", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* Effect.scoped(Effect.andThen(host(ground), save(ground, 500)))
        yield* Effect.sleep(10_000)
        const start = yield* Clock.currentTimeMillis
        yield* host(ground)
        yield* until(() => ticksOf(ground).length > 0)
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(100)
      })
    )
  })

  it("may be further away than a sleep can be long", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const far = 3 * 2 ** 31
        yield* host(ground)
        yield* save(ground, far)
        const start = yield* Clock.currentTimeMillis
        yield* Effect.sleep(far - 100)
        expect(ticksOf(ground)).toEqual([])
        yield* until(() => ticksOf(ground).length > 0)
        expect((yield* Clock.currentTimeMillis) - start).toBeGreaterThanOrEqual(far - 10)
      })
    )
  })

  it("is moved by what comes later, both ways, and taken back", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, { kinds: [rescheduling] })
        for (const amount of [1_000, 100_000, 300]) yield* tell(ground, "Deposit", { amount })
        yield* Effect.sleep(350)
        expect(ticksOf(ground)).toHaveLength(1)
        yield* tell(ground, "Deposit", { amount: 300 })
        yield* tell(ground, "Deposit", { amount: 2_000 })
        yield* Effect.sleep(1_000)
        expect(ticksOf(ground)).toHaveLength(1)
        yield* Effect.sleep(1_050)
        expect(ticksOf(ground)).toHaveLength(2)
        yield* tell(ground, "Deposit", { amount: 300 })
        yield* tell(ground, "Deposit", { amount: 0 })
        yield* Effect.sleep(200_000)
        expect(ticksOf(ground)).toHaveLength(2)
      })
    )
  })

  it("comes again a moment later when the mailbox was full", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let isAway = false
        const { latest } = ground.snapshots
        const wait = Effect.gen(function* () {
          while (isAway) yield* Effect.sleep(1)
        })
        const snapshots = {
          ...ground.snapshots,
          latest: (name: string) => (name === "actors/bank/a" ? Effect.andThen(wait, latest(name)) : latest(name))
        }
        yield* Effect.scoped(Effect.andThen(host(ground), save(ground, 300)))
        isAway = true
        const hosted = yield* host({ ...ground, snapshots })
        const answers: Array<string> = []
        for (let n = 0; n < mailboxCommandsMax; n++)
          hosted.serving().offer({
            verb: "ask",
            kind: "bank",
            id: "a",
            caller: "c",
            name: "Balance",
            body: "{}",
            commandId: "",
            deadline: 0,
            answer: (text) => answers.push(text)
          })
        yield* Effect.sleep(500)
        expect(answers).toEqual([])
        isAway = false
        yield* until(() => answers.length === mailboxCommandsMax)
        expect(ticksOf(ground)).toEqual([])
        yield* Effect.sleep(1_500)
        expect(ticksOf(ground)).toHaveLength(1)
      })
    )
  })

  it("is not repeated for an actor that falls over it, and is there again for the next owner", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const decide: typeof bankDecider.decide = (state, command, context) => {
          if (command._tag === "Tick") throw new Error("no time")
          return bankDecider.decide(state, command, context)
        }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { kinds: [bankLike({ decide })] })
            yield* save(ground, 300)
            yield* Effect.sleep(60_000)
            expect(ground.logged.filter(({ text }) => text.includes("fell while handling Tick"))).toHaveLength(1)
          })
        )
        yield* host(ground)
        yield* until(() => ticksOf(ground).length > 0)
      })
    )
  })

  it("under way is not lost by a checkpoint that covers its actor, when the owner dies before it is done", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const settings = { checkpointEveryMs: 10, idleMs: 20, logEntriesMax: 0, logBytesMax: 0 }
        let isAway = false
        const { latest, at } = ground.snapshots
        const away = <A, E>(name: string, get: Effect.Effect<A, E>) =>
          Effect.suspend(() => (isAway && name === "actors/bank/a" ? Effect.never : get))
        const snapshots = {
          ...ground.snapshots,
          latest: (name: string) => away(name, latest(name)),
          at: (name: string, version: number) => away(name, at(name, version))
        }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host({ ...ground, snapshots }, { settings })
            yield* save(ground, 300)
            // It is put away with all that the log had of it; its Tick then waits for it to be read, which never ends.
            yield* Effect.sleep(200)
            isAway = true
            yield* Effect.sleep(200)
            yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })
            yield* Effect.sleep(200)
          })
        )
        expect(ticksOf(ground)).toEqual([])
        yield* host(ground)
        yield* until(() => ticksOf(ground).length > 0)
        expect(yield* query(ground, "Balance", {})).toMatchObject({ ok: { balance: 5, saved: 0 } })
      })
    )
  })
})
