/** The actors of a shard without a journal: who is let in, what is decided, and what leaves when. */
import { describe, expect, it } from "vitest"
import { entryBytesMax, mailboxCommandsMax, messageBytesMax, shardCommandsMax } from "../../messages/limits.ts"
import type { Batch } from "../../runtime/actor/batch.ts"
import type { Cell } from "../../runtime/actor/cell.ts"
import type { Delivery } from "../../runtime/actor/delivery.ts"
import type { Kind } from "../../runtime/actor/kind.ts"
import { Shard, timerCaller } from "../../runtime/actor/shard.ts"
import { bankDecider } from "../sim/bank.ts"
import { bankLike } from "./hosted.ts"

/** A shard whose actors are read at once, unless the test holds them back. */
const ward = (kind: Kind = bankLike()) => {
  const at = { now: 1_000, mayAnswer: true, isReading: true }
  const counted: Array<string> = []
  const waking: Array<Cell> = []
  const answers: Array<readonly [string, unknown]> = []
  let defects = 0
  let position = 0
  const shard: Shard = new Shard(0, new Map([[kind.name, kind]]), {
    now: () => at.now,
    mayAnswer: () => at.mayAnswer,
    wake: () => {},
    handOut: () => undefined,
    activate: (cell) => {
      if (at.isReading) shard.activated(cell)
      else waking.push(cell)
    },
    committed: () => {},
    defect: () => {
      defects += 1
    },
    refused: (of, reason) => counted.push(`${of}/${reason}`)
  })
  let count = 0
  const offer = (name: string, body: unknown, rest: Partial<Delivery> = {}): string => {
    count += 1
    const commandId = rest.commandId ?? String(count)
    const named = String(count)
    shard.offer({
      verb: "do",
      kind: "bank",
      id: "a",
      caller: "c",
      name,
      body: typeof body === "string" ? body : JSON.stringify(body),
      deadline: 0,
      ...rest,
      commandId,
      answer: (text) => answers.push([named, JSON.parse(text)])
    })
    return named
  }
  const commit = (batch: Batch | undefined): void => {
    if (batch === undefined) throw new Error("there is nothing to commit")
    shard.commit(
      batch,
      batch.entries.map(() => {
        position += 1
        return position
      })
    )
  }
  return { shard, at, counted, waking, answers, offer, commit, defects: () => defects }
}

const seen = (moves: number, balance: number) => ({ ok: { moves, balance, saved: 0 } })

describe("what may come in", () => {
  it("ends at a full mailbox: Busy, with a hint, and its neighbours are let in", () => {
    const { shard, answers, counted, at, offer } = ward()
    at.isReading = false
    for (let n = 0; n < mailboxCommandsMax; n++) offer("Deposit", { amount: 1 })
    expect(answers).toEqual([])
    offer("Deposit", { amount: 1 })
    expect(answers).toHaveLength(1)
    // 20 ms, and 10 µs for each command that waits in the shard.
    expect(answers[0]?.[1]).toEqual({ failed: { _tag: "Busy", retryAfterMs: 31 } })
    expect(counted).toEqual(["bank/Busy"])
    offer("Deposit", { amount: 1 }, { id: "b" })
    expect(answers).toHaveLength(1)
    expect(shard.waiting).toBe(mailboxCommandsMax + 1)
  })

  it("ends at a full shard, whoever asks, and nobody new is brought into memory for it", () => {
    const { shard, answers, at, offer } = ward()
    at.isReading = false
    for (let n = 0; n < shardCommandsMax; n++) offer("Deposit", { amount: 1 }, { id: `a${n % 64}` })
    expect(answers).toEqual([])
    offer("Deposit", { amount: 1 }, { id: "new" })
    expect(answers).toMatchObject([[expect.any(String), { failed: { _tag: "Busy" } }]])
    expect(shard.cells.has("bank/new")).toBe(false)
    expect(shard.waiting).toBe(shardCommandsMax)
  })

  it("is room again once it is decided", () => {
    const { shard, at, waking, offer, commit, answers } = ward()
    at.isReading = false
    for (let n = 0; n < mailboxCommandsMax; n++) offer("Deposit", { amount: 1 })
    for (const cell of waking) shard.activated(cell)
    commit(shard.turn())
    expect(shard.waiting).toBe(0)
    expect(answers).toHaveLength(mailboxCommandsMax)
    offer("Deposit", { amount: 1 })
    commit(shard.turn())
    expect(answers.at(-1)?.[1]).toEqual(seen(mailboxCommandsMax + 1, mailboxCommandsMax + 1))
  })

  it("is of a kind that there is", () => {
    const { answers, offer } = ward()
    offer("Deposit", { amount: 1 }, { kind: "casino" })
    expect(answers[0]?.[1]).toEqual({ failed: { _tag: "Malformed", why: "no kind casino" } })
  })
})

describe("what is not decided", () => {
  it.each([
    ["Rob", "{}", "bank has no command Rob; it has Deposit, Withdraw, Transfer, Credit, Save, Fall"],
    ["Deposit", "{", "the body is not JSON"],
    ["Deposit", "[]", "Deposit: "],
    ["Deposit", "null", "Deposit: "],
    ["Deposit", "", "amount"],
    ["Deposit", '{"amount":-1}', "amount"],
    ["Deposit", '{"amount":"1"}', "amount"],
    ["Deposit", '{"amount":1,"tip":1}', "tip"],
    ["Tick", "{}", "bank has no command Tick"],
    ["Balance", "{}", "bank has no command Balance"]
  ])("%s %s is malformed, and the answer names the culprit", (name, body, culprit) => {
    const { shard, answers, offer } = ward()
    offer(name, body)
    expect(shard.turn()).toBeUndefined()
    expect(answers).toHaveLength(1)
    expect(answers[0]?.[1]).toEqual({ failed: { _tag: "Malformed", why: expect.stringContaining(culprit) } })
  })

  it("is a query that there is not, also when a command has its name", () => {
    const { shard, answers, offer } = ward()
    offer("Deposit", { amount: 1 }, { verb: "ask", commandId: "" })
    shard.turn()
    expect(answers[0]?.[1]).toEqual({
      failed: { _tag: "Malformed", why: "bank has no query Deposit; it has Balance" }
    })
  })

  it("is too late, to the millisecond", () => {
    const { shard, at, answers, offer } = ward()
    at.now = 5_000
    offer("Deposit", { amount: 1 }, { deadline: 4_999 })
    offer("Deposit", { amount: 1 }, { deadline: 5_000 })
    const batch = shard.turn()
    expect(batch?.entries).toHaveLength(1)
    expect(answers).toEqual([["1", { failed: { _tag: "Late", deadline: 4_999 } }]])
  })

  it("is too large, and then nothing of it is applied and the actor goes on", () => {
    const decide: typeof bankDecider.decide = (state, command, context) =>
      command._tag === "Credit"
        ? {
            events: [{ _tag: "Sent", amount: 0, to: "x".repeat(command.amount) }],
            reply: { moves: 0, balance: 0, saved: 0 }
          }
        : bankDecider.decide(state, command, context)
    const { shard, answers, offer, commit } = ward(bankLike({ decide }))
    offer("Deposit", { amount: 5 })
    offer("Credit", { amount: entryBytesMax })
    offer("Withdraw", { amount: 1 })
    const batch = shard.turn()
    expect(batch?.entries.map(({ version }) => version)).toEqual([1, 2])
    commit(batch)
    expect(answers).toEqual([
      ["2", { failed: { _tag: "TooLarge", bytes: expect.any(Number), bytesMax: entryBytesMax } }],
      ["1", seen(1, 5)],
      ["3", seen(2, 4)]
    ])
    // A little less than the limit fits.
    offer("Credit", { amount: entryBytesMax - 300 })
    expect(shard.turn()?.entries).toHaveLength(1)
  })
})

describe("what leaves", () => {
  it("fits into a message: an answer that does not is TooLarge, and not lost on its way", () => {
    const answer = () => ({ reply: { moves: 0, balance: 0, saved: 0, text: "ü".repeat(messageBytesMax / 2) } })
    const { shard, answers, offer } = ward(bankLike({ answer }))
    offer("Balance", {}, { verb: "ask" })
    shard.turn()
    expect(answers.map(([, each]) => each)).toEqual([
      { failed: { _tag: "TooLarge", bytes: expect.any(Number), bytesMax: messageBytesMax } }
    ])
  })

  it("waits for the commit: replies, answers to queries and refusals that saw it, in the order of the log", () => {
    const { shard, answers, offer, commit } = ward()
    offer("Deposit", { amount: 5 })
    offer("Balance", {}, { verb: "ask" })
    offer("Withdraw", { amount: 6 })
    offer("Deposit", { amount: 1 }, { id: "b" })
    const first = shard.turn()
    expect(answers).toEqual([])
    // What is decided later saw what is on its way, and waits for it too.
    offer("Balance", {}, { verb: "ask" })
    offer("Deposit", { amount: 2 })
    offer("Balance", {}, { verb: "ask", id: "untouched" })
    const second = shard.turn()
    expect(answers.map(([name]) => name)).toEqual(["7"])
    commit(first)
    expect(answers.slice(1)).toEqual([
      ["1", seen(1, 5)],
      ["2", seen(1, 5)],
      ["3", { refused: { _tag: "Insufficient", balance: 5 } }],
      ["4", seen(1, 1)],
      ["5", seen(1, 5)]
    ])
    commit(second)
    expect(answers.at(-1)).toEqual(["6", seen(2, 7)])
  })

  it("of a query that saw nothing uncommitted goes at once, and makes no entry", () => {
    const { shard, answers, offer } = ward()
    offer("Balance", {}, { verb: "ask" })
    expect(shard.turn()).toBeUndefined()
    expect(answers).toEqual([["1", seen(0, 0)]])
  })

  it("to a repeated command is the first answer, behind its commit, and another caller's same id is new", () => {
    const { shard, answers, offer, commit } = ward()
    offer("Deposit", { amount: 5 }, { commandId: "same" })
    offer("Deposit", { amount: 5 }, { commandId: "same" })
    const batch = shard.turn()
    expect(answers).toEqual([])
    commit(batch)
    offer("Deposit", { amount: 5 }, { commandId: "same" })
    expect(shard.turn()).toBeUndefined()
    expect(answers.map(([, answer]) => answer)).toEqual([seen(1, 5), seen(1, 5), seen(1, 5)])
    offer("Deposit", { amount: 5 }, { commandId: "same", caller: "d" })
    expect(shard.turn()?.entries).toHaveLength(1)
  })

  it("of a refused command is decided afresh when it is repeated", () => {
    const { shard, answers, offer, commit } = ward()
    offer("Withdraw", { amount: 5 }, { commandId: "again" })
    expect(shard.turn()).toBeUndefined()
    offer("Deposit", { amount: 5 })
    offer("Withdraw", { amount: 5 }, { commandId: "again" })
    commit(shard.turn())
    expect(answers.at(-1)?.[1]).toEqual(seen(2, 0))
  })

  it("is nothing that was decided once the lease may be over: Unavailable, although it is committed", () => {
    const { shard, at, answers, offer, commit } = ward()
    offer("Deposit", { amount: 5 })
    const batch = shard.turn()
    at.mayAnswer = false
    commit(batch)
    offer("Balance", {}, { verb: "ask" })
    shard.turn()
    expect(answers.map(([, answer]) => answer)).toMatchObject([
      { failed: { _tag: "Unavailable" } },
      { failed: { _tag: "Unavailable" } }
    ])
  })

  it("when the shard is lost is Unavailable, to those whose fate is open and to those who wait", () => {
    const { shard, at, answers, offer } = ward()
    offer("Deposit", { amount: 5 })
    const batch = shard.turn()
    offer("Deposit", { amount: 5 })
    at.isReading = false
    offer("Deposit", { amount: 5 }, { id: "unread" })
    shard.abandon(batch === undefined ? [] : [batch])
    expect(answers.map(([name]) => name)).toEqual(["1", "2", "3"])
    for (const [, answer] of answers)
      expect(answer).toEqual({
        failed: { _tag: "Unavailable", why: "shard 0 has moved from this node, or is moving" }
      })
    expect([shard.waiting, shard.cells.size, shard.hasWork]).toEqual([0, 0, false])
  })
})

describe("time", () => {
  it("never runs backwards within an actor, whatever the clock does", () => {
    const { shard, at, offer, commit } = ward()
    offer("Deposit", { amount: 1 })
    commit(shard.turn())
    at.now = 400
    offer("Deposit", { amount: 1 })
    expect(shard.turn()?.entries[0]?.at).toBe(1_000)
  })

  it("ticks for the timer alone, and an entry says when the actor wants to be woken", () => {
    const { shard, at, answers, offer, commit } = ward()
    offer("Deposit", { amount: 5 })
    offer("Save", { amount: 2, forMs: 70 })
    const batch = shard.turn()
    expect(batch?.entries.map(({ due }) => due)).toEqual([0, 1_070])
    commit(batch)
    offer("Tick", "", { caller: timerCaller })
    expect(shard.turn()).toBeUndefined()
    at.now = 1_070
    offer("Tick", "", { caller: timerCaller })
    const matured = shard.turn()
    expect(matured?.entries).toMatchObject([{ due: 0, caller: timerCaller }])
    commit(matured)
    expect(answers.at(-1)?.[1]).toEqual(seen(3, 5))
  })
})

describe("a defect", () => {
  const falling = bankLike({
    answer: () => {
      throw new Error("cannot tell")
    }
  })

  it.each([
    ["decide", "Fall", { half: false }, "do", "it was told to fall"],
    ["evolve, halfway", "Fall", { half: true }, "do", "it was told to fall halfway"],
    ["answer", "Balance", {}, "ask", "cannot tell"]
  ] as const)("in %s is told to the one who asked, and its actor alone is read again", (_of, name, body, verb, why) => {
    const { shard, at, waking, answers, counted, defects, offer } = ward(falling)
    offer("Deposit", { amount: 1 }, { id: "neighbour" })
    offer(name, body, { verb })
    offer("Deposit", { amount: 7 })
    at.isReading = false
    const batch = shard.turn()
    expect(batch?.entries.map(({ id }) => id)).toEqual(["neighbour"])
    expect(answers).toEqual([["2", { failed: { _tag: "Defect", why } }]])
    expect(defects()).toBe(1)
    expect(counted).toEqual(["bank/Defect"])
    expect(waking.map(({ key, defect }) => [key, defect?.doing])).toEqual([["bank/a", name]])
    // Nothing of the half is left, and what waited behind it is decided once the actor has been read.
    const [cell] = waking
    if (cell === undefined) throw new Error("nobody is being read")
    expect(cell.state).toEqual({ moves: 0, balance: 0, saved: 0, until: 0 })
    shard.activated(cell)
    expect(shard.turn()?.entries.map(({ id, version }) => [id, version])).toEqual([["a", 1]])
  })
})

describe("an actor that cannot be read", () => {
  it("gives its reason to everybody while its log is damaged", () => {
    const { shard, at, waking, answers, offer } = ward()
    at.isReading = false
    offer("Deposit", { amount: 1 })
    const failure = { _tag: "Corrupt", log: "memory/0", position: 9, why: "torn" } as const
    for (const cell of waking) shard.activated(cell, failure)
    shard.turn()
    offer("Balance", {}, { verb: "ask" })
    shard.turn()
    expect(answers.map(([, answer]) => answer)).toEqual([{ failed: failure }, { failed: failure }])
    expect(waking).toHaveLength(1)
  })

  it("is tried again at the next command when its store was only away", () => {
    const { shard, at, waking, answers, offer } = ward()
    at.isReading = false
    offer("Deposit", { amount: 1 })
    offer("Deposit", { amount: 1 })
    const failure = { _tag: "Unavailable", why: "the store is away" } as const
    for (const cell of waking.splice(0)) shard.activated(cell, failure)
    expect(shard.turn()).toBeUndefined()
    expect(answers.map(([, answer]) => answer)).toEqual([{ failed: failure }, { failed: failure }])
    expect(shard.waiting).toBe(0)
    at.isReading = true
    offer("Deposit", { amount: 1 })
    expect(shard.turn()?.entries).toHaveLength(1)
  })
})
