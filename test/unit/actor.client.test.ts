/** A client asks until it is answered, with one command id, and says what it knows when its patience ends. */
import { Clock, Effect } from "effect"
import { describe, expect, it } from "vitest"
import { attemptMs, patienceMs } from "../../messages/limits.ts"
import { shardOf } from "../../messages/subjects.ts"
import { client } from "../../runtime/client.ts"
import { type Bus, BusDown, type Message, NoResponders, type Send, TimedOut } from "../../runtime/ports/bus.ts"
import { inWorld } from "./hosted.ts"

type Reply = object | NoResponders | TimedOut | BusDown

interface Asked extends Send {
  readonly subject: string
  readonly at: number
}

const isError = (reply: Reply): reply is NoResponders | TimedOut | BusDown => reply instanceof Error

/** A bus whose answers are given in advance; the last one is given for ever. */
const scripted = (...replies: ReadonlyArray<Reply>) => {
  const asked: Array<Asked> = []
  const bus: Bus["Service"] = {
    subscribe: () => Effect.void,
    publish: () => {},
    request: Effect.fnUntraced(function* (subject: string, send: Send) {
      asked.push({ ...send, subject, at: yield* Clock.currentTimeMillis })
      const reply = replies[Math.min(asked.length, replies.length) - 1] ?? {}
      if (reply instanceof TimedOut) yield* Effect.sleep(send.timeoutMs)
      if (isError(reply)) return yield* reply
      const body = Buffer.from(JSON.stringify(reply))
      return { subject, body, headers: {}, respond: () => {} } satisfies Message
    })
  }
  return { asked, ...client(bus, 16) }
}

const command = { verb: "do", kind: "bank", id: "a", caller: "c", name: "Deposit", body: '{"amount":1}' } as const
const subject = `art.v1.do.bank.${shardOf("bank", "a", 16)}.a.c.Deposit`
const ok = { ok: { balance: 1 } }

describe("a client", () => {
  it("asks where the actor lives, with an id, a deadline and the time for one attempt", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(ok)
        const start = yield* Clock.currentTimeMillis
        expect(yield* ask(command)).toEqual(ok)
        expect(asked).toMatchObject([{ subject, body: '{"amount":1}', timeoutMs: attemptMs }])
        expect(asked[0]?.headers?.["Art-Id"]).toMatch(/^[\x21-\x7e]{10,200}$/)
        expect(asked[0]?.headers?.["Art-Deadline"]).toBe(String(start + patienceMs))
      })
    )
  })

  it("repeats the id and the deadline, whatever went wrong, until it is answered", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(
          new NoResponders({ subject }),
          new TimedOut({ subject }),
          new BusDown({ why: "reconnecting" }),
          { failed: { _tag: "Unavailable", why: "moving" } },
          { failed: { _tag: "Busy", retryAfterMs: 30 } },
          ok
        )
        expect(yield* ask({ ...command, commandId: "mine" })).toEqual(ok)
        expect(asked).toHaveLength(6)
        expect(new Set(asked.map(({ headers }) => headers?.["Art-Id"]))).toEqual(new Set(["mine"]))
        expect(new Set(asked.map(({ headers }) => headers?.["Art-Deadline"])).size).toBe(1)
      })
    )
  })

  it("honours the hint of a busy actor", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted({ failed: { _tag: "Busy", retryAfterMs: 700 } }, ok)
        yield* ask(command)
        const [first, second] = asked
        expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(700)
        expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(1_000)
      })
    )
  })

  it("waits longer from attempt to attempt, up to a bound", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(new NoResponders({ subject }))
        yield* Effect.flip(ask(command))
        const pauses = asked.slice(1).map(({ at }, index) => at - (asked[index]?.at ?? 0))
        expect(pauses[0]).toBeLessThan(20)
        expect(Math.max(...pauses)).toBeLessThanOrEqual(1_500)
        expect(pauses.at(-1)).toBeGreaterThanOrEqual(100)
        expect(asked.length).toBeLessThan(250)
      })
    )
  })

  it.each([
    ["a refusal", { refused: { _tag: "Insufficient", balance: 0 } }],
    ["malformed", { failed: { _tag: "Malformed", why: "x" } }],
    ["late", { failed: { _tag: "Late", deadline: 1 } }],
    ["too large", { failed: { _tag: "TooLarge", bytes: 2, bytesMax: 1 } }],
    ["damage", { failed: { _tag: "Corrupt", log: "l", position: 1, why: "x" } }],
    ["a defect", { failed: { _tag: "Defect", why: "x" } }],
    ["forbidden", { failed: { _tag: "Forbidden", why: "x" } }]
  ])("takes %s for an answer, which asking again would not change", (_what, reply) => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(reply)
        expect(yield* ask(command)).toEqual(reply)
        expect(asked).toHaveLength(1)
      })
    )
  })

  it.each<readonly [string, Reply, string, object | undefined]>([
    ["nobody listens", new NoResponders({ subject }), "NoResponders", undefined],
    ["nobody answers", new TimedOut({ subject }), "TimedOut", undefined],
    ["the bus is away", new BusDown({ why: "no route" }), "BusDown: no route", undefined],
    ["the shard moves", { failed: { _tag: "Unavailable", why: "moving" } }, "moving", { _tag: "Unavailable" }],
    ["the actor is busy", { failed: { _tag: "Busy", retryAfterMs: 9 } }, "Busy", { _tag: "Busy", retryAfterMs: 9 }]
  ])("ends its patience when %s, and says whom it asked, with which id, and why", (_what, reply, why, failure) => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask } = scripted(reply)
        const start = yield* Clock.currentTimeMillis
        const error = yield* Effect.flip(ask({ ...command, commandId: "mine", patienceMs: 3_000 }))
        expect(error).toMatchObject({ _tag: "Unanswered", subject, commandId: "mine", why })
        if (failure === undefined) expect(error.failure).toBeUndefined()
        else expect(error.failure).toMatchObject(failure)
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThanOrEqual(3_000)
      })
    )
  })

  it("gives its last attempt no more time than is left", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(new TimedOut({ subject }))
        yield* Effect.flip(ask({ ...command, patienceMs: attemptMs + 1_000 }))
        expect(asked).toHaveLength(2)
        expect(asked[1]?.timeoutMs).toBeLessThanOrEqual(1_000)
      })
    )
  })

  it("chooses another id for another command", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { ask, asked } = scripted(ok)
        for (let n = 0; n < 100; n++) yield* ask(command)
        expect(new Set(asked.map(({ headers }) => headers?.["Art-Id"])).size).toBe(100)
      })
    )
  })
})
