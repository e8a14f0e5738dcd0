/** An actor is brought into memory: from its snapshot and its log, or stopped for a reason that names the place. */
import { Effect, Fiber, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { damage } from "../../adapters/memory/journal.ts"
import type { Position } from "../../messages/entry.ts"
import { StoreDown } from "../../runtime/ports/objects.ts"
import { bankLike, type Ground, host, inWorld, query, quiet, tell, until } from "./hosted.ts"

const balance = (of: number, moves: number) => ({ ok: { moves, balance: of, saved: 0 } })

/** Serves the shard for as long as this runs. */
const during = <A, E, R>(
  ground: Ground,
  run: Effect.Effect<A, E, R>,
  options: Parameters<typeof host>[1] = {}
): Effect.Effect<A, E, Exclude<R, Scope.Scope>> => Effect.scoped(Effect.andThen(host(ground, options), run))

const positionsOf = (ground: Ground, id: string): Array<Position> =>
  [...(ground.store.logs.get(0)?.frames ?? [])].flatMap(({ reads }) =>
    reads.flatMap((read) => ("entry" in read && read.entry.id === id ? [read.position] : []))
  )

/** Idle actors are put away almost at once, and the log is cut behind them. */
const tidy = { checkpointEveryMs: 10, idleMs: 20, logEntriesMax: 0, logBytesMax: 0 }

const putAway = (ground: Ground) =>
  during(
    ground,
    Effect.gen(function* () {
      yield* tell(ground, "Deposit", { amount: 5 }, { commandId: "first" })
      yield* tell(ground, "Deposit", { amount: 5 })
      yield* until(() => positionsOf(ground, "a").length === 0)
      yield* Effect.sleep(100)
    }),
    { settings: tidy }
  )

describe("an actor is read", () => {
  it("from the log alone by the next owner, who knows the answers that were given", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* during(ground, tell(ground, "Deposit", { amount: 5 }, { commandId: "first" }))
        yield* during(
          ground,
          Effect.gen(function* () {
            expect(yield* tell(ground, "Deposit", { amount: 5 }, { commandId: "first" })).toEqual(balance(5, 1))
            expect(yield* query(ground, "Balance", {})).toEqual(balance(5, 1))
          })
        )
      })
    )
  })

  it("from its snapshot alone when the log is cut, and still knows the answers that were given", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* putAway(ground)
        yield* during(
          ground,
          Effect.gen(function* () {
            expect(yield* tell(ground, "Deposit", { amount: 5 }, { commandId: "first" })).toEqual(balance(5, 1))
            expect(yield* tell(ground, "Deposit", { amount: 1 })).toEqual(balance(11, 3))
          })
        )
      })
    )
  })

  it("again from the log when its snapshot is of an older form, and says so", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        // Snapshots are made; the log stays.
        const settings = { checkpointEveryMs: 10, idleMs: 20 }
        const save = Effect.andThen(tell(ground, "Deposit", { amount: 5 }), Effect.sleep(100))
        yield* during(ground, save, { settings })
        const kinds = [bankLike({ snapshotVersion: 2 })]
        yield* during(
          ground,
          Effect.gen(function* () {
            expect(yield* query(ground, "Balance", {})).toEqual(balance(5, 1))
          }),
          { kinds }
        )
        expect(ground.logged.filter(({ text }) => text.includes("older form"))).toMatchObject([{ level: "Warn" }])
      })
    )
  })
})

describe("an actor is stopped, and others are not", () => {
  const neighbours = (ground: Ground) =>
    Effect.gen(function* () {
      yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })
      for (let n = 1; n <= 3; n++) yield* tell(ground, "Deposit", { amount: n })
      yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })
    })

  const expectStopped = (ground: Ground, position: number, why: string) =>
    during(
      ground,
      Effect.gen(function* () {
        const failed = { _tag: "Corrupt", log: "memory/0", position, why: expect.stringContaining(why) }
        expect(yield* tell(ground, "Deposit", { amount: 1 })).toEqual({ failed })
        expect(yield* query(ground, "Balance", {})).toEqual({ failed })
        expect(yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })).toEqual(balance(3, 3))
        const told = ground.logged.filter(({ level, text }) => level === "Error" && text.includes("stopped"))
        expect(told).toHaveLength(1)
        expect(told[0]?.text).toContain("bank/a is stopped")
        expect(told[0]?.text).toContain(why)
      })
    )

  it("at a damaged entry, named with its log and place", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* during(ground, neighbours(ground))
        const position = positionsOf(ground, "a")[1] ?? 0
        damage(ground.store, 0, position, "checksum")
        yield* expectStopped(ground, position, "bank/a version 2: checksum")
      })
    )
  })

  it("at a gap in its versions, named likewise", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* during(ground, neighbours(ground))
        const [, lost = 0, after = 0] = positionsOf(ground, "a")
        const log = ground.store.logs.get(0)
        if (log !== undefined)
          log.frames = log.frames.filter(({ reads }) => !reads.some(({ position }) => position === lost))
        yield* expectStopped(ground, after, "version 3 follows version 1: something between is missing")
      })
    )
  })

  it("at an event that this release does not know", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* during(ground, neighbours(ground))
        for (const { reads } of ground.store.logs.get(0)?.frames ?? [])
          for (const [at, read] of reads.entries())
            if ("entry" in read && read.entry.id === "a" && read.entry.version === 3)
              reads[at] = { ...read, entry: { ...read.entry, events: '[{"_tag":"Invented"}]' } }
        yield* expectStopped(ground, positionsOf(ground, "a")[2] ?? 0, "an event of bank does not decode")
      })
    )
  })

  it("when evolve falls over what is committed", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* during(ground, tell(ground, "Deposit", { amount: 13 }))
        const evolve = () => {
          throw new Error("unlucky")
        }
        yield* during(
          ground,
          Effect.gen(function* () {
            const { failed } = yield* query(ground, "Balance", {})
            expect(failed).toMatchObject({ _tag: "Corrupt", why: "bank/a version 1: unlucky" })
          }),
          { kinds: [bankLike({ evolve })] }
        )
      })
    )
  })

  it("when its snapshot is of an older form and the log behind it is cut: it does not begin anew", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* putAway(ground)
        yield* during(
          ground,
          Effect.gen(function* () {
            const { failed } = yield* query(ground, "Balance", {})
            expect(failed?._tag).toBe("Corrupt")
            expect(failed?.why).toContain("version 2")
            expect((yield* tell(ground, "Deposit", { amount: 1 })).failed?._tag).toBe("Corrupt")
            expect((yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })).ok?.balance).toBe(1)
          }),
          { kinds: [bankLike({ snapshotVersion: 2 })] }
        )
        expect(positionsOf(ground, "a")).toEqual([])
      })
    )
  })

  it("when its snapshot is of an older form and the log goes on behind it", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* putAway(ground)
        yield* during(ground, tell(ground, "Deposit", { amount: 1 }))
        yield* during(
          ground,
          Effect.gen(function* () {
            const { failed } = yield* query(ground, "Balance", {})
            expect(failed).toMatchObject({ _tag: "Corrupt", position: positionsOf(ground, "a")[0] })
            expect(failed?.why).toContain("version 3 follows version 0")
          }),
          { kinds: [bankLike({ snapshotVersion: 2 })] }
        )
      })
    )
  })

  it("when every snapshot of it is damaged and the log behind them is cut: it does not begin anew", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* putAway(ground)
        const key = "snapshots/actors/bank/a/0000000000000002"
        const bytes = new Uint8Array(yield* ground.objects.get(key))
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
        yield* ground.objects.put(key, bytes)
        yield* during(
          ground,
          Effect.gen(function* () {
            const { failed } = yield* query(ground, "Balance", {})
            expect(failed?._tag).toBe("Corrupt")
            expect(failed?.why).toContain("version 2")
          })
        )
      })
    )
  })

  it("when it cannot load its own snapshot", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* putAway(ground)
        const load = () => {
          throw new Error("what is this")
        }
        yield* during(
          ground,
          Effect.gen(function* () {
            const { failed } = yield* query(ground, "Balance", {})
            expect(failed).toMatchObject({ _tag: "Corrupt" })
            expect(failed?.why).toContain("what is this")
            expect((yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })).ok?.balance).toBe(1)
          }),
          { kinds: [bankLike({ load })] }
        )
      })
    )
  })
})

describe("a store that is away", () => {
  const unsteady = (ground: Ground) => {
    const state = { isAway: false }
    const { latest } = ground.snapshots
    const away = new StoreDown({ operation: "get", key: "k", why: "unplugged" })
    const snapshots = {
      ...ground.snapshots,
      latest: (name: string) =>
        Effect.suspend(() => (state.isAway && name.startsWith("actors/bank") ? Effect.fail(away) : latest(name)))
    }
    return { state, ground: { ...ground, snapshots } }
  }

  it("is waited for", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        const { state, ground } = unsteady(whole)
        yield* host(ground)
        state.isAway = true
        const asked = yield* Effect.forkScoped(tell(ground, "Deposit", { amount: 1 }))
        yield* Effect.sleep(500)
        state.isAway = false
        expect(yield* Fiber.join(asked)).toEqual(balance(1, 1))
      })
    )
  })

  it("for long makes the actor unavailable, until it is back: no longer", () => {
    inWorld((whole) =>
      Effect.gen(function* () {
        const { state, ground } = unsteady(whole)
        yield* host(ground, { settings: quiet })
        state.isAway = true
        for (let time = 0; time < 3; time++) {
          const { failed } = yield* tell(ground, "Deposit", { amount: 1 })
          expect(failed).toEqual({ _tag: "Unavailable", why: "bank/a cannot be read: StoreDown: unplugged" })
        }
        state.isAway = false
        expect(yield* tell(ground, "Deposit", { amount: 1 })).toEqual(balance(1, 1))
      })
    )
  })
})
