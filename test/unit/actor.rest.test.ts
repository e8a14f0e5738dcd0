/** Actors that rest: what wakes them and what does not, what a takeover reads of them, and a snapshot that is gone. */
import { Effect, Exit, Scope, Stream } from "effect"
import { describe, expect, it } from "vitest"
import type { Position } from "../../messages/entry.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const kinds = [bankLike({ followed: true })]
const settings = { checkpointEveryMs: 20, idleMs: 200 }
const options = { kinds, settings }

const fill = Effect.fnUntraced(function* (ground: Ground, count: number, id = "a") {
  for (let each = 0; each < count; each++) yield* tell(ground, "Deposit", { amount: 1 }, { id })
})

interface Since {
  readonly ok?: { readonly version: number; readonly entries?: ReadonlyArray<unknown>; readonly forgotten?: boolean }
}

const since = (ground: Ground, version: number) =>
  Effect.map(query(ground, "Since", { version }), (told) => told as unknown as Since)

/** What is read of the journal, by the positions behind which it begins. */
const readsOf = (ground: Ground): Array<Position> => {
  const reads: Array<Position> = []
  const { read } = ground.journal
  Object.assign(ground, {
    journal: {
      ...ground.journal,
      read: (shard: number, after: Position) => {
        reads.push(after)
        return read(shard, after)
      }
    }
  })
  return reads
}

describe("an actor that rests", () => {
  it("is not woken by those who follow it and have heard of all of it", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, options)
        yield* fill(ground, 3)
        expect((yield* since(ground, 3)).ok).toEqual({ version: 3, entries: [] })
        const { cells } = hosted.serving().actors
        // They ask more often than it takes to fall asleep.
        for (let each = 0; each < 12; each++) {
          yield* since(ground, 3)
          yield* Effect.sleep(50)
        }
        expect(cells.has("bank/a")).toBe(false)
        expect((yield* since(ground, Number.MAX_SAFE_INTEGER)).ok).toEqual({ version: 3, entries: [] })
        expect(cells.has("bank/a")).toBe(false)
        expect((yield* since(ground, 2)).ok).toEqual({ version: 3, forgotten: true })
        expect(cells.has("bank/a")).toBe(true)
        yield* fill(ground, 1)
        expect((yield* since(ground, 3)).ok?.entries).toHaveLength(1)
      })
    )
  })

  it("keeps nothing for followers before there are some", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, { kinds })
        yield* fill(ground, 5)
        const cell = hosted.serving().actors.cells.get("bank/a")
        expect(cell?.recent).toBeUndefined()
        expect((yield* since(ground, 4)).ok).toEqual({ version: 5, forgotten: true })
        yield* fill(ground, 2)
        expect((yield* since(ground, 5)).ok?.entries).toHaveLength(2)
      })
    )
  })
})

describe("a shard that rests", () => {
  it("is taken over without its past being read, which is still there", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const hosted = yield* host(ground, options).pipe(Scope.provide(scope))
        yield* fill(ground, 600)
        yield* until(() => hosted.serving().actors.cells.size === 0)
        yield* Effect.sleep(100)
        const { head } = hosted.serving().actors
        yield* Scope.close(scope, Exit.void)
        const reads = readsOf(ground)
        const again = yield* host(ground, options)
        expect(reads).toEqual([head])
        yield* fill(ground, 1)
        expect(again.serving().actors.cells.get("bank/a")?.version).toBe(601)
        expect(again.serving().logBytes()).toBeGreaterThan(1000)
        const all = yield* Stream.runCollect(ground.journal.read(0, 0))
        expect([...all].flat().length).toBeGreaterThan(600)
      })
    )
  })
})

const dropSnapshots = Effect.fnUntraced(function* (ground: Ground) {
  const pages = yield* Stream.runCollect(ground.objects.list("snapshots/actors/bank/a/"))
  yield* ground.objects.remove([...pages].flat().map(({ key }) => key))
})

describe("a snapshot that is missing", () => {
  const lose = (truncate: boolean) =>
    inWorld((ground) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const cut = truncate ? { logEntriesMax: 50 } : {}
        const first = yield* host(ground, { kinds, settings: { ...settings, ...cut } }).pipe(Scope.provide(scope))
        yield* fill(ground, 600)
        yield* until(() => first.serving().actors.cells.size === 0)
        yield* Effect.sleep(200)
        yield* Scope.close(scope, Exit.void)
        yield* dropSnapshots(ground)
        yield* host(ground, { kinds })
        const told = yield* tell(ground, "Deposit", { amount: 1 })
        const fresh = yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })
        return { told, fresh }
      })
    )

  it("is replaced by the log where that has all of it", () => {
    expect(lose(false).told.ok?.balance).toBe(601)
  })

  it("stops its actor where the log was cut, and no other one", () => {
    const { told, fresh } = lose(true)
    expect(told.failed).toMatchObject({ _tag: "Corrupt" })
    expect(told.failed?.why).toMatch(/its snapshot is missing|something between is missing/)
    expect(fresh.ok?.balance).toBe(1)
  })
})
