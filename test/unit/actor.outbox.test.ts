/** What events oblige others to do: sent in order for each of them, applied once, across owners and poison. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Obligation } from "../../actors/decider.ts"
import type { Entry } from "../../messages/entry.ts"
import type { Answer } from "../../messages/envelope.ts"
import type { Kind } from "../../runtime/actor/kind.ts"
import { Outbox, sendOwed } from "../../runtime/actor/outbox.ts"
import { outboxCaller } from "../../runtime/actor/window.ts"
import { type Ask, type Client, Unanswered } from "../../runtime/client.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const entriesOf = (ground: Ground): ReadonlyArray<Entry> =>
  (ground.store.logs.get(0)?.frames ?? []).flatMap(({ reads }) =>
    reads.flatMap((read) => ("entry" in read ? [read.entry] : []))
  )

const positionOf = (ground: Ground, actor: string): number =>
  (ground.store.logs.get(0)?.frames ?? [])
    .flatMap(({ reads }) => reads)
    .find((read) => "entry" in read && read.entry.id === actor)?.position ?? 0

const balanceOf = (ground: Ground, id: string) =>
  Effect.map(query(ground, "Balance", {}, { id }), ({ ok }) => ok?.balance)

/** An event that obliges to whatever its target says, as a list of them in JSON. */
const obliging = (obligations: ReadonlyArray<Obligation>): Kind =>
  bankLike({ oblige: (event) => (event._tag === "Sent" ? obligations : []) })

const credit = (id: string, amount: number, _tag = "Credit"): Obligation => ({
  kind: "bank",
  id,
  command: { _tag, amount } as { readonly _tag: string }
})

describe("an outbox", () => {
  it("sends what is owed, and writes down how far it has come", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground)
        yield* tell(ground, "Deposit", { amount: 10 })
        for (let n = 1; n <= 3; n++) yield* tell(ground, "Transfer", { amount: n, to: "b" })
        yield* until(() => entriesOf(ground).some(({ kind }) => kind === "outbox"))
        expect(yield* balanceOf(ground, "b")).toBe(6)
        const received = entriesOf(ground).filter(({ id }) => id === "b")
        expect(received.map(({ events }) => JSON.parse(events)[0].amount)).toEqual([1, 2, 3])
        expect(received.map(({ caller }) => caller)).toEqual(Array(3).fill(outboxCaller))
      })
    )
  })

  it("is taken up by the next owner where the log has it, and nothing is applied twice", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        // Nothing is ever written down of what was sent, and the last of it is not sent at all.
        const settings = { outboxRecordMs: 1_000_000 }
        let isDeaf = false
        const deaf: Client = {
          ask: (ask) => (isDeaf ? Effect.never : ground.client.ask(ask))
        }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host({ ...ground, client: deaf }, { settings })
            yield* tell(ground, "Deposit", { amount: 10 })
            yield* tell(ground, "Transfer", { amount: 1, to: "b" })
            yield* until(() => entriesOf(ground).some(({ id }) => id === "b"))
            yield* Effect.sleep(10)
            isDeaf = true
            yield* tell(ground, "Transfer", { amount: 2, to: "b" })
            yield* tell(ground, "Transfer", { amount: 3, to: "c" })
          })
        )
        for (let owner = 0; owner < 3; owner++)
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* host(ground, { settings })
              yield* Effect.sleep(1_000)
              expect(yield* balanceOf(ground, "b")).toBe(3)
              expect(yield* balanceOf(ground, "c")).toBe(3)
            })
          )
        expect(entriesOf(ground).filter(({ caller }) => caller === outboxCaller)).toHaveLength(3)
      })
    )
  })

  it("is not resumed from behind what was written down", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground)
            yield* tell(ground, "Deposit", { amount: 10 })
            yield* tell(ground, "Transfer", { amount: 1, to: "b" })
            yield* until(() => entriesOf(ground).some(({ kind }) => kind === "outbox"))
          })
        )
        const asked: Array<Ask> = []
        const watched: Client = {
          ask: (ask) => {
            asked.push(ask)
            return ground.client.ask(ask)
          }
        }
        yield* host({ ...ground, client: watched })
        yield* Effect.sleep(1_000)
        expect(asked).toEqual([])
      })
    )
  })

  it("takes no room among the answers that its receivers remember, not even over a takeover", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const once = { id: "b", commandId: "once" }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { kinds: [obliging(Array.from({ length: 600 }, () => credit("b", 1)))] })
            yield* tell(ground, "Deposit", { amount: 5 }, once)
            for (let time = 0; time < 2; time++) yield* tell(ground, "Transfer", { amount: 0, to: "b" })
            yield* until(() => entriesOf(ground).filter(({ id }) => id === "b").length === 1_201)
          })
        )
        yield* host(ground)
        expect((yield* tell(ground, "Deposit", { amount: 5 }, once)).ok).toMatchObject({ moves: 1 })
        expect(yield* balanceOf(ground, "b")).toBe(1_205)
      })
    )
  })

  it("counts a refusal as met", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, { kinds: [obliging([credit("b", 99, "Withdraw"), credit("b", 1)])] })
        yield* tell(ground, "Transfer", { amount: 0, to: "b" })
        yield* until(() => entriesOf(ground).some(({ kind }) => kind === "outbox"))
        expect(yield* balanceOf(ground, "b")).toBe(1)
      })
    )
  })

  it.each([
    ["a command that there is not", credit("b", 1, "Explode"), "bank has no command Explode"],
    ["a body that is not the command's", credit("b", -1), "Expected"],
    ["a kind that there is not", { ...credit("b", 1), kind: "casino" }, "no kind casino"],
    ["an id that does not fit a subject", credit("not an id", 1), "not an id"],
    ["no id at all", credit("", 1), "bank/"],
    ["a name that does not fit a subject", credit("b", 1, "No.Command"), "No.Command"]
  ])("gives up %s, reports it, and goes on with the next", (_what, poison, why) => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, { kinds: [obliging([poison, credit("b", 1)])] })
        yield* tell(ground, "Transfer", { amount: 0, to: "b" })
        yield* until(() => entriesOf(ground).some(({ kind }) => kind === "outbox"))
        expect(yield* balanceOf(ground, "b")).toBe(1)
        const errors = ground.logged.filter(({ level }) => level === "Error")
        expect(errors).toHaveLength(1)
        expect(errors[0]?.text).toContain(why)
      })
    )
  })

  it("that cannot be told what an entry obliges to keeps its place, reports it and serves the others", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const kinds = [
          bankLike({
            oblige: (event, id) => {
              if (event._tag === "Sent" && id === "bad") throw new Error("whom do I owe")
              return event._tag === "Sent" ? [credit(event.to, event.amount)] : []
            }
          })
        ]
        yield* host(ground, { kinds })
        yield* tell(ground, "Transfer", { amount: 0, to: "b" }, { id: "bad" })
        yield* tell(ground, "Deposit", { amount: 5 })
        yield* tell(ground, "Transfer", { amount: 2, to: "b" })
        yield* until(() => entriesOf(ground).some(({ id }) => id === "b"))
        expect(yield* balanceOf(ground, "bad")).toBe(0)
        const errors = ground.logged.filter(({ level }) => level === "Error")
        expect(errors).toHaveLength(1)
        expect(errors[0]?.text).toContain("bank/bad")
        expect(errors[0]?.text).toContain("whom do I owe")
        yield* Effect.sleep(1_000)
        // It is still owed, so no later place may be written down; whoever owns the shard next would begin behind it.
        const done = entriesOf(ground).filter(({ kind }) => kind === "outbox")
        const poisoned = positionOf(ground, "bad")
        for (const { events } of done) expect(JSON.parse(events)[0].to).toBeLessThan(poisoned)
      })
    )
  })

  it("asks again for as long as nobody answers, without overtaking", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let asks = 0
        const late: Client = {
          ask: (ask) => {
            asks += 1
            const why = "nobody there"
            return asks < 4
              ? Effect.fail(new Unanswered({ subject: "s", commandId: ask.commandId ?? "", why }))
              : ground.client.ask(ask)
          }
        }
        yield* host({ ...ground, client: late })
        yield* tell(ground, "Deposit", { amount: 10 })
        for (let n = 1; n <= 3; n++) yield* tell(ground, "Transfer", { amount: n, to: "b" })
        yield* until(() => entriesOf(ground).some(({ kind }) => kind === "outbox"))
        const received = entriesOf(ground).filter(({ id }) => id === "b")
        expect(received.map(({ events }) => JSON.parse(events)[0].amount)).toEqual([1, 2, 3])
        expect(asks).toBe(6)
      })
    )
  })
})

describe("the places of an outbox", () => {
  const placed = (position: number, to: string) => ({
    position,
    entry: {
      kind: "bank",
      id: "a",
      version: position,
      cause: "x",
      caller: "c",
      at: 1,
      due: 0,
      events: JSON.stringify([{ _tag: "Sent", amount: position, to }]),
      reply: "{}"
    }
  })

  it("are done up to the first that is not, whoever is slow", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const outbox = new Outbox(0, new Map([["bank", bankLike()]]))
        const waiting = new Map<string, () => void>()
        const slow: Client = {
          ask: ({ id, commandId }) =>
            Effect.callback<Answer<unknown, { readonly _tag: string }>, Unanswered>((resume) => {
              waiting.set(`${id} ${commandId}`, () => resume(Effect.succeed({ ok: {} })))
            })
        }
        yield* Effect.forkScoped(sendOwed(outbox, slow, yield* Effect.scope))
        outbox.startAt(9)
        expect(outbox.done).toBe(9)
        outbox.committed([placed(10, "b"), placed(11, "c"), placed(12, "b")])
        yield* Effect.sleep(5)
        // One at a time for each of those who are owed something.
        expect([...waiting.keys()].sort()).toEqual(["b out:0:10:0", "c out:0:11:0"])
        waiting.get("c out:0:11:0")?.()
        yield* Effect.sleep(5)
        expect(outbox.done).toBe(9)
        waiting.get("b out:0:10:0")?.()
        yield* Effect.sleep(5)
        expect(outbox.done).toBe(11)
        waiting.get("b out:0:12:0")?.()
        yield* Effect.sleep(5)
        expect(outbox.done).toBe(12)
      })
    )
  })
})
