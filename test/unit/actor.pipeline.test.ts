/** From batches to acknowledgements, over a log whose every answer the test gives. */
import { Cause, Deferred, Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { Entry, Position } from "../../messages/entry.ts"
import { Pipeline, released } from "../../runtime/actor/pipeline.ts"
import { Shard } from "../../runtime/actor/shard.ts"
import { type ClaimedLog, Fenced, Unavailable } from "../../runtime/ports/journal.ts"
import { bankLike, inWorld } from "./hosted.ts"

interface Append {
  readonly entries: ReadonlyArray<Entry>
  /** How many answers had left before. */
  readonly answered: number
  readonly acknowledge: () => void
  readonly fail: (error: Fenced | Unavailable) => void
}

const started = Effect.fnUntraced(function* (window: number) {
  const pipeline = new Pipeline()
  const answers: Array<string> = []
  const appends: Array<Append> = []
  /** How many appends had begun, and how many answers had left, when a commit was told of. */
  const told: Array<readonly [appends: number, answers: number]> = []
  let position = 0
  const actors: Shard = new Shard(0, new Map([["bank", bankLike()]]), {
    now: () => 1_000,
    mayAnswer: () => true,
    wake: pipeline.wake.set,
    handOut: () => undefined,
    activate: (cell) => actors.activated(cell),
    committed: () => pipeline.tellLater(() => told.push([appends.length, answers.length])),
    defect: () => {},
    refused: () => {}
  })
  const log: ClaimedLog = {
    epoch: 1,
    head: 0,
    append: (entries) =>
      Effect.sync(() => {
        if (entries.some(({ cause }) => cause === "too much")) throw new Error("that does not fit")
        const done = Deferred.makeUnsafe<ReadonlyArray<Position>, Fenced | Unavailable>()
        const positions = entries.map(() => {
          position += 1
          return position
        })
        appends.push({
          entries: [...entries],
          answered: answers.length,
          acknowledge: () => Deferred.doneUnsafe(done, Effect.succeed(positions)),
          fail: (error) => Deferred.doneUnsafe(done, Effect.fail(error))
        })
        return Deferred.await(done)
      })
  }
  const scope = yield* Effect.scope
  yield* Effect.forkScoped(pipeline.run(actors, log, window, scope))
  const offer = (id: string, commandId: string, verb: "do" | "ask" = "do") =>
    actors.offer({
      verb,
      kind: "bank",
      id,
      caller: "c",
      name: verb === "do" ? "Deposit" : "Balance",
      body: verb === "do" ? '{"amount":1}' : "{}",
      commandId,
      deadline: 0,
      answer: (text) => answers.push(`${commandId} ${Object.keys(JSON.parse(text))[0]}`)
    })
  const settle = Effect.sleep(5)
  return { pipeline, actors, answers, appends, told, offer, settle }
})

describe("the pipeline", () => {
  it("appends at once when nothing is under way, and packs what gathers meanwhile of all actors", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, answers } = yield* started(1)
        offer("a", "1")
        yield* settle
        expect(appends.map(({ entries }) => entries.length)).toEqual([1])
        for (const [id, command] of ["b", "c", "b", "a"].entries()) offer(command, String(id + 2))
        yield* settle
        expect(appends).toHaveLength(1)
        expect(answers).toEqual([])
        appends[0]?.acknowledge()
        yield* settle
        expect(answers).toEqual(["1 ok"])
        expect(appends[1]?.entries.map(({ id }) => id)).toEqual(["b", "b", "c", "a"])
      })
    )
  })

  it("sends what waits before it answers, so that the journal works while answers are written", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, answers } = yield* started(1)
        offer("a", "1")
        yield* settle
        offer("b", "2")
        appends[0]?.acknowledge()
        yield* settle
        expect(appends.map(({ answered }) => answered)).toEqual([0, 0])
        expect(answers).toEqual(["1 ok"])
        appends[1]?.acknowledge()
        yield* settle
        expect(answers).toEqual(["1 ok", "2 ok"])
      })
    )
  })

  it("tells of a commit when the next append is on its way and the answers have left, or when nothing follows", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, told } = yield* started(1)
        offer("a", "1")
        yield* settle
        offer("b", "2")
        appends[0]?.acknowledge()
        yield* settle
        expect(told).toEqual([[2, 1]])
        appends[1]?.acknowledge()
        yield* settle
        expect(told).toEqual([
          [2, 1],
          [2, 2]
        ])
      })
    )
  })

  it("tells first what was to be told before, and all of it when the shard is lost", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { pipeline, actors } = yield* started(1)
        const heard: Array<string> = []
        pipeline.tellLater(() => heard.push("first"))
        pipeline.tellNow(() => heard.push("second"))
        pipeline.tellLater(() => heard.push("third"))
        pipeline.end(actors, released("l"))
        expect(heard).toEqual(["first", "second", "third"])
      })
    )
  })

  it("waits for the many whom it answered together, while they come back one by one", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle } = yield* started(2)
        const comesBack = Effect.fnUntraced(function* (index: number) {
          for (let turn = 0; turn < 5 * index; turn++) yield* Effect.yieldNow
          offer("a", `again-${index}`)
        })
        for (let index = 0; index < 20; index++) offer("a", String(index))
        yield* settle
        offer("b", "meanwhile")
        appends[0]?.acknowledge()
        for (let index = 0; index < 20; index++) yield* Effect.forkScoped(comesBack(index))
        yield* settle
        expect(appends.map(({ entries }) => entries.length)).toEqual([20, 21])
      })
    )
  })

  it("does not wait for those who do not come back", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle } = yield* started(2)
        for (let index = 0; index < 20; index++) offer("a", String(index))
        yield* settle
        appends[0]?.acknowledge()
        yield* settle
        expect(appends).toHaveLength(1)
        offer("a", "back")
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        expect(appends.map(({ entries }) => entries.length)).toEqual([20, 1])
      })
    )
  })

  it("keeps as many appends under way as the journal makes use of, and no more", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle } = yield* started(3)
        for (let n = 0; n < 5; n++) {
          offer("a", String(n))
          yield* settle
        }
        expect(appends.map(({ entries }) => entries.map(({ cause }) => cause))).toEqual([["0"], ["1"], ["2"]])
        appends[0]?.acknowledge()
        yield* settle
        expect(appends[3]?.entries.map(({ cause }) => cause)).toEqual(["3", "4"])
      })
    )
  })

  it("answers in the order of the log, whatever is acknowledged first", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, answers, actors } = yield* started(3)
        for (const id of ["a", "b", "c"]) {
          offer(id, `do-${id}`)
          offer(id, `ask-${id}`, "ask")
          yield* settle
        }
        appends[2]?.acknowledge()
        yield* settle
        appends[1]?.acknowledge()
        yield* settle
        expect(answers).toEqual([])
        expect(actors.head).toBe(0)
        appends[0]?.acknowledge()
        yield* settle
        expect(answers).toEqual(["do-a ok", "ask-a ok", "do-b ok", "ask-b ok", "do-c ok", "ask-c ok"])
        expect(actors.head).toBe(3)
      })
    )
  })

  it.each([
    ["fenced", new Fenced({ log: "l", epoch: 9 })],
    ["away", new Unavailable({ log: "l", why: "no quorum" })]
  ])("ends when an append is %s: what is committed was answered, everybody else asks again", (_what, error) => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, answers, pipeline } = yield* started(3)
        for (const id of ["a", "b", "c"]) {
          offer(id, id)
          yield* settle
        }
        offer("a", "waiting")
        appends[0]?.acknowledge()
        yield* settle
        appends[1]?.fail(error)
        yield* settle
        // An acknowledgement that comes after the loss commits nothing and is told to nobody.
        appends[2]?.acknowledge()
        yield* settle
        expect(answers.slice(0, 1)).toEqual(["a ok"])
        expect(answers.slice(1).sort()).toEqual(["b failed", "c failed", "waiting failed"])
        expect(pipeline.isOver).toBe(true)
        expect(yield* Effect.flip(pipeline.lost)).toEqual(error)
        const before = appends.length
        offer("d", "late")
        yield* settle
        expect(appends).toHaveLength(before)
      })
    )
  })

  it("ends, and does not hang, when appending itself is a defect", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { offer, settle, answers, pipeline } = yield* started(3)
        offer("a", "1")
        yield* settle
        offer("b", "too much")
        yield* settle
        expect(answers.toSorted()).toEqual(["1 failed", "too much failed"])
        expect(pipeline.isOver).toBe(true)
        expect(Cause.pretty(yield* Effect.flip(Effect.sandbox(pipeline.lost)))).toContain("that does not fit")
      })
    )
  })

  it("drains what is under way, for a moment only", () => {
    inWorld(() =>
      Effect.gen(function* () {
        const { appends, offer, settle, answers, pipeline, actors } = yield* started(1)
        offer("a", "1")
        yield* settle
        offer("a", "2")
        const draining = yield* Effect.forkChild(pipeline.drain(actors))
        yield* settle
        appends[0]?.acknowledge()
        yield* settle
        expect(answers).toEqual(["1 ok"])
        appends[1]?.acknowledge()
        yield* Fiber.join(draining)
        expect(answers).toEqual(["1 ok", "2 ok"])
        // One that is never acknowledged does not hold it for ever.
        offer("a", "3")
        yield* settle
        yield* pipeline.drain(actors)
        expect(answers).toHaveLength(2)
        pipeline.end(actors, released("l"))
        expect(answers).toEqual(["1 ok", "2 ok", "3 failed"])
        pipeline.end(actors, released("l"))
        expect(answers).toHaveLength(3)
      })
    )
  })
})
