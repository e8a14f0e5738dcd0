/** A shard is kept served: claimed again when it is lost, drained when given up, and all are told when damaged. */
import { Effect, Fiber, Stream } from "effect"
import { describe, expect, it } from "vitest"
import { eventsSubject } from "../../messages/subjects.ts"
import { Corrupt, type Journal, Unavailable } from "../../runtime/ports/journal.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const with1 = (balance: number, moves: number) => ({ ok: { moves, balance, saved: 0 } })

/** The journal with one of its promises replaced. */
const altered = (ground: Ground, changes: Partial<Journal["Service"]>): Ground => ({
  ...ground,
  journal: { ...ground.journal, ...changes }
})

describe("a kept shard", () => {
  it("answers commands and queries, and publishes what was committed", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const heard: Array<unknown> = []
        yield* ground.bus.subscribe(eventsSubject("bank", 0, "a"), ({ body }) =>
          heard.push(JSON.parse(new TextDecoder().decode(body)))
        )
        yield* host(ground)
        expect(yield* tell(ground, "Deposit", { amount: 3 }, { commandId: 'quo"te' })).toEqual(with1(3, 1))
        expect(yield* query(ground, "Balance", {})).toEqual(with1(3, 1))
        yield* Effect.sleep(10)
        expect(heard).toEqual([
          {
            version: 1,
            position: expect.any(Number),
            at: expect.any(Number),
            caller: "c",
            cause: 'quo"te',
            events: [{ _tag: "Deposited", amount: 3 }]
          }
        ])
      })
    )
  })

  it("that another node claimed is claimed again, and knows what was answered before", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground)
        yield* tell(ground, "Deposit", { amount: 3 }, { commandId: "one" })
        const { epoch } = hosted.serving()
        yield* ground.journal.claim(0, "n2")
        const failed = yield* tell(ground, "Deposit", { amount: 3 }, { commandId: "two" })
        expect(failed).toMatchObject({ failed: { _tag: "Unavailable" } })
        yield* until(() => hosted.isServing() && hosted.serving().epoch > epoch)
        expect(yield* tell(ground, "Deposit", { amount: 3 }, { commandId: "one" })).toEqual(with1(3, 1))
        expect(yield* tell(ground, "Deposit", { amount: 3 }, { commandId: "two" })).toEqual(with1(6, 2))
        expect(ground.logged.some(({ text }) => text.includes("claimed by another node"))).toBe(true)
      })
    )
  })

  it("answers what is under way before it is given up, and nobody after", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        const claim: Journal["Service"]["claim"] = (shard, owner) =>
          Effect.map(whole.journal.claim(shard, owner), (log) => ({
            ...log,
            append: (entries) => Effect.map(log.append(entries), (acknowledged) => Effect.delay(acknowledged, 200))
          }))
        const ground = altered(whole, { claim })
        const asked = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground)
            const fiber = yield* Effect.forkDetach(
              Effect.forEach([1, 2, 3], (amount) => tell(ground, "Deposit", { amount }, { id: `a${amount}` }), {
                concurrency: 3
              })
            )
            yield* until(() => (ground.store.logs.get(0)?.frames.length ?? 0) > 0)
            return fiber
          })
        )
        expect((yield* Fiber.join(asked)).map((answer) => answer.ok?.balance)).toEqual([1, 2, 3])
        const error = yield* Effect.flip(tell(ground, "Deposit", { amount: 1 }))
        expect(error._tag).toBe("NoResponders")
      })
    )
  })

  it("whose log is away is tried again until it is there", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        let tries = 0
        const ground = altered(whole, {
          claim: (shard, owner) =>
            Effect.suspend(() => {
              tries += 1
              const away = new Unavailable({ log: "memory/0", why: "electing" })
              return tries < 5 ? Effect.fail(away) : whole.journal.claim(shard, owner)
            })
        })
        yield* host(ground)
        expect(yield* tell(ground, "Deposit", { amount: 3 })).toEqual(with1(3, 1))
        expect(ground.logged.filter(({ text }) => text.includes("is away"))).toHaveLength(4)
      })
    )
  })

  it("whose log is damaged as a whole serves nobody, tells everybody where, and looks again later", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        let isDamaged = true
        const corrupt = new Corrupt({ log: "memory/0", position: 77, why: "a frame is missing" })
        const ground = altered(whole, {
          read: (shard, after) =>
            Stream.suspend(() => (isDamaged ? Stream.fail(corrupt) : whole.journal.read(shard, after)))
        })
        const hosted = yield* host(ground, { isAwaited: false })
        yield* Effect.sleep(1_000)
        const failed = { _tag: "Corrupt", log: "memory/0", position: 77, why: "a frame is missing" }
        expect(yield* tell(ground, "Deposit", { amount: 3 })).toEqual({ failed })
        expect(yield* query(ground, "Balance", {}, { id: "b" })).toEqual({ failed })
        const errors = ground.logged.filter(({ level }) => level === "Error")
        expect(errors).toHaveLength(1)
        expect(errors[0]?.text).toContain("the log of shard 0 is damaged")
        isDamaged = false
        yield* until(hosted.isServing)
        expect(yield* tell(ground, "Deposit", { amount: 3 })).toEqual(with1(3, 1))
      })
    )
  })

  it("outlives a defect of ours anywhere in it: it is reported, and the shard is served again", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        let falls = 2
        const ground = altered(whole, {
          claim: (shard, owner) =>
            Effect.suspend(() => {
              falls -= 1
              if (falls >= 0) throw new Error("not thought of")
              return whole.journal.claim(shard, owner)
            })
        })
        yield* host(ground)
        expect(yield* tell(ground, "Deposit", { amount: 3 })).toEqual(with1(3, 1))
        const errors = ground.logged.filter(({ level, text }) => level === "Error" && text.includes("not thought of"))
        expect(errors).toHaveLength(2)
      })
    )
  })

  it("does not answer once its lease may be over, although it decides and commits", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let mayAnswer = true
        yield* host(ground, { mayAnswer: () => mayAnswer })
        yield* tell(ground, "Deposit", { amount: 3 })
        mayAnswer = false
        expect((yield* query(ground, "Balance", {})).failed?._tag).toBe("Unavailable")
        expect((yield* tell(ground, "Deposit", { amount: 3 })).failed?._tag).toBe("Unavailable")
        mayAnswer = true
        expect(yield* query(ground, "Balance", {})).toEqual(with1(6, 2))
      })
    )
  })
})

describe("an actor that falls", () => {
  it.each(["decide", "evolve", "answer"] as const)("in %s is logged, read again, and nobody else notices", (where) => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let isBroken = false
        const kinds = [
          bankLike({
            answer: (state) => {
              if (isBroken) throw new Error("cannot tell")
              return { reply: { moves: state.moves, balance: state.balance, saved: state.saved } }
            }
          })
        ]
        yield* host(ground, { kinds })
        yield* tell(ground, "Deposit", { amount: 3 })
        yield* tell(ground, "Deposit", { amount: 4 }, { id: "b" })
        isBroken = where === "answer"
        const [fallen, neighbour] = yield* Effect.all(
          [
            where === "answer" ? query(ground, "Balance", {}) : tell(ground, "Fall", { half: where === "evolve" }),
            tell(ground, "Deposit", { amount: 4 }, { id: "b" })
          ],
          { concurrency: 2 }
        )
        expect(fallen).toMatchObject({ failed: { _tag: "Defect" } })
        expect(neighbour).toEqual(with1(8, 2))
        isBroken = false
        expect(yield* query(ground, "Balance", {})).toEqual(with1(3, 1))
        expect(yield* tell(ground, "Deposit", { amount: 1 })).toEqual(with1(4, 2))
        const errors = ground.logged.filter(({ level }) => level === "Error")
        expect(errors).toHaveLength(1)
        expect(errors[0]?.text).toContain("bank/a fell while handling")
      })
    )
  })
})
