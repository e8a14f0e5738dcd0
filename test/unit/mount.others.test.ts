/** Who waits for other hosts, how long, and what those say when. */
import { Clock, Deferred, Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import type { Published } from "../../runtime/follow.ts"
import { Others } from "../../runtime/mount/others.ts"
import { Showing } from "../../runtime/mount/showing.ts"
import { World } from "../sim/world.ts"

const within = 1_000

/** In a world where time passes only when nothing else is to do. */
const inWorld = <A>(work: Effect.Effect<A>): A => new World(1).run(work)

const others = (withinMs = within, version = 0) => {
  const asked: Array<readonly [string, number]> = []
  const met: Array<boolean> = []
  const made = new Others(version, {
    withinMs,
    ask: (...what) => void asked.push(what),
    log: () => undefined,
    met: (areThere) => void met.push(areThere)
  })
  return { made, asked, met }
}

/** How long it takes until others show a version, with what happens meanwhile. */
const taken = Effect.fnUntraced(function* (
  made: Others,
  version: number,
  meanwhile: Effect.Effect<void> = Effect.void
) {
  const began = yield* Clock.currentTimeMillis
  const waiting = yield* Effect.forkChild(made.shown(version), { startImmediately: true })
  yield* meanwhile
  yield* Fiber.join(waiting)
  return (yield* Clock.currentTimeMillis) - began
})

const later = (ms: number, act: () => void): Effect.Effect<void> => Effect.andThen(Effect.sleep(ms), Effect.sync(act))

it("is told when there is anybody, and when there is nobody any more", () => {
  const { made, met } = others()
  made.heard("b", 1)
  made.heard("c", 1)
  made.heard("b", 2)
  made.gone("b")
  made.gone("b")
  expect(met).toEqual([true])
  made.gone("c")
  expect(met).toEqual([true, false])
})

describe("a change", () => {
  it("waits for nobody where there is nobody, or where it is not to wait", () => {
    expect(inWorld(taken(others().made, 5))).toBe(0)
    const { made } = others(0)
    made.heard("b", 1)
    expect(inWorld(taken(made, 5))).toBe(0)
  })

  it("waits until every other host shows it, and not for one that has gone", () => {
    const { made } = others()
    for (const session of ["b", "c", "d"]) made.heard(session, 4)
    const meanwhile = Effect.gen(function* () {
      yield* later(3, () => made.heard("b", 7))
      yield* later(3, () => made.heard("c", 4))
      yield* later(3, () => made.heard("c", 5))
      yield* later(3, () => made.gone("d"))
    })
    expect(inWorld(taken(made, 5, meanwhile))).toBe(12)
    expect(inWorld(taken(made, 4))).toBe(0)
    expect([made.size, made.deaf, made.unseen]).toEqual([2, 0, 0])
  })

  it("asks who is silent to look, and what is heard then is in time", () => {
    const { made, asked } = others()
    made.heard("b", 4)
    made.heard("c", 5)
    expect(
      inWorld(
        taken(
          made,
          5,
          later(230, () => made.heard("b", 5))
        )
      )
    ).toBe(230)
    expect(asked).toEqual([
      ["b", 5],
      ["b", 5]
    ])
    expect(made.unseen).toBe(0)
  })

  it("gives up a host that stays silent, and waits for it again once it is heard of", () => {
    const { made } = others()
    made.heard("b", 4)
    made.heard("c", 9)
    expect(inWorld(taken(made, 5))).toBe(within)
    expect([made.deaf, made.unseen, made.isHeeded("b"), made.isHeeded("c")]).toEqual([1, 1, false, true])
    expect(inWorld(taken(made, 6))).toBe(0)
    made.heard("b", 4)
    expect(made.deaf).toBe(0)
    const heard = later(2, () => made.heard("b", 6))
    expect(inWorld(taken(made, 6, heard))).toBe(2)
    expect(made.unseen).toBe(1)
  })

  it("waits side by side with others", () => {
    const { made } = others()
    made.heard("b", 0)
    const both = Effect.all([taken(made, 1), taken(made, 2), later(5, () => made.heard("b", 2))], {
      concurrency: "unbounded"
    })
    expect(inWorld(both).slice(0, 2)).toEqual([5, 5])
  })

  it("is known by its own entry, also where the reply tells of a later one of somebody else", () => {
    const { made } = others(within, 3)
    const [request, other] = [{}, {}]
    made.caused(5)
    made.owes(request, 8)
    made.wrote(4)
    expect([made.dueOf(request), made.dueOf(other)]).toEqual([5, 0])
    expect([made.written, made.own]).toEqual([4, 5])
  })
})

const entry = (version: number, caller: string, parent: number): Published => ({
  ...{ version, caller, position: version, at: 0, cause: "" },
  events: [{ _tag: "Unlinked", parent, name: "n", ino: 100 + version }]
})

/** A host whose kernel takes notice when it is let. */
const host = () => {
  const said: Array<string> = []
  let noticing = Deferred.makeUnsafe<void>()
  const view = {
    version: 0,
    get invalidated() {
      return Deferred.await(noticing)
    }
  }
  const showing = new Showing(view, (session, shown) => void said.push(`${session} ${shown}`))
  const fold = (...entries: ReadonlyArray<Published>): void => {
    view.version = entries.at(-1)?.version ?? view.version
    showing.folded(entries)
  }
  const notice = (): void => {
    const before = noticing
    noticing = Deferred.makeUnsafe<void>()
    Deferred.doneUnsafe(before, Effect.void)
  }
  return { showing, said, fold, notice, view }
}

/** What was said after each of these, a moment apart. */
const saidAfter = (made: ReturnType<typeof host>, ...acts: ReadonlyArray<() => void>): ReadonlyArray<string> =>
  inWorld(
    Effect.gen(function* () {
      const telling = yield* Effect.forkChild(made.showing.telling)
      yield* Effect.sleep(1)
      const all: Array<string> = []
      for (const act of acts) {
        act()
        yield* Effect.sleep(1)
        all.push(made.said.splice(0).join(", "))
      }
      yield* Fiber.interrupt(telling)
      return all
    })
  )

describe("a host tells what it shows", () => {
  it("when the kernel has taken notice, and with one message of all that came meanwhile", () => {
    const made = host()
    made.showing.open()
    const acts = [
      () => made.fold(entry(1, "a", 1), entry(2, "admin", 1)),
      () => made.fold(entry(3, "a", 1)),
      () => made.fold(entry(4, "c", 1), entry(5, "a", 1)),
      made.notice,
      made.notice
    ]
    expect(saidAfter(made, ...acts)).toEqual(["", "", "", "a 2", "a 5, c 5"])
  })

  it("only when the kernel knows what a process before it left untold", () => {
    const made = host()
    const acts = [() => made.fold(entry(1, "a", 1)), made.notice, () => made.showing.open(), made.notice]
    expect(saidAfter(made, ...acts)).toEqual(["", "", "", "a 1"])
  })

  it("to whoever asks, as soon as it is so", () => {
    const made = host()
    made.showing.open()
    const acts = [
      () => made.showing.asked("b", 2),
      () => made.fold(entry(1, "a", 1)),
      made.notice,
      () => made.fold(entry(2, "a", 1)),
      made.notice
    ]
    expect(saidAfter(made, ...acts)).toEqual(["", "", "a 1", "", "b 2, a 2"])
  })

  it("at once where a request under way keeps the kernel from taking notice, whichever came first", () => {
    const made = host()
    made.showing.open()
    let leave = (): void => undefined
    const enter = () => {
      leave = made.showing.enter([7])
    }
    const acts = [
      enter,
      () => made.fold(entry(1, "a", 1)),
      made.notice,
      () => made.fold(entry(2, "a", 7)),
      () => leave(),
      made.notice,
      () => made.fold(entry(3, "a", 7)),
      enter
    ]
    expect(saidAfter(made, ...acts)).toEqual(["", "", "a 1", "a 2", "", "", "", "a 3"])
  })
})
