/** Brings one actor into memory: its newest snapshot, then what the log holds behind it. */
import { Effect, Schedule, Stream } from "effect"
import type { Failure } from "../../messages/envelope.ts"
import type { Read } from "../ports/journal.ts"
import type { Batch } from "./batch.ts"
import type { Cell } from "./cell.ts"
import { isWhole, type Owned } from "./owned.ts"

export const snapshotName = (cell: Cell): string => `actors/${cell.key}`

/** Storage that is away for a moment is waited for; whoever waits longer is told to ask again. */
const patience = Schedule.exponential("50 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 6 }))

export const committed = (batch: Batch | undefined): Effect.Effect<void> =>
  batch === undefined || batch.committed
    ? Effect.void
    : Effect.callback<void>((resume) => batch.whenCommitted(() => resume(Effect.void)))

/** Ends with the actor live, or stopped for a reason that it then gives to everybody. */
export const activate = Effect.fnUntraced(function* (owned: Owned, cell: Cell) {
  if (cell.defect !== undefined) {
    const { doing, error } = cell.defect
    cell.defect = undefined
    yield* Effect.logError(`${cell.key} fell while handling ${doing}, and is read again`, error)
  }
  yield* committed(cell.batch)
  const failure = yield* read(owned, cell).pipe(
    Effect.retry({ schedule: patience, while: (error) => error._tag === "StoreDown" || error._tag === "Unavailable" }),
    Effect.catch((error) => {
      const why = error._tag === "Corrupt" ? error.why : `${error._tag}: ${error.why}`
      return error._tag === "Corrupt"
        ? Effect.succeed(corrupt(owned, error.position, why))
        : Effect.succeed<Failure>({ _tag: "Unavailable", why: `${cell.key} cannot be read: ${why}` })
    })
  )
  if (failure !== undefined) yield* Effect.logError(`${cell.key} is stopped`, failure)
  else owned.tails.delete(cell.key)
  owned.actors.activated(cell, failure)
})

const corrupt = (owned: Owned, position: number, why: string): Failure => ({
  _tag: "Corrupt",
  log: owned.journal.nameOf(owned.shard),
  position,
  why
})

const read = Effect.fnUntraced(function* (owned: Owned, cell: Cell) {
  cell.reset()
  const snapshot = yield* owned.snapshots.latest(snapshotName(cell))
  const isRead = snapshot === undefined || cell.load(snapshot.bytes)
  if (!isRead) {
    yield* Effect.logWarning(`${cell.key}: the snapshot is of an older form and is replaced by a replay of the log`)
    cell.reset()
  }
  const tail = yield* tailOf(owned, cell)
  return replay(owned, cell, tail)
})

/** What the log holds of one actor: kept from the claim, or read again when the actor fell since. */
const tailOf = Effect.fnUntraced(function* (owned: Owned, cell: Cell) {
  const kept = owned.tails.get(cell.key)
  if (kept !== undefined) return kept
  const from = owned.actors.dirty.get(cell.key)
  if (from === undefined) return []
  const tail: Array<Read> = []
  yield* owned.journal.read(owned.shard, from - 1).pipe(
    Stream.runForEach((page) =>
      Effect.sync(() => {
        for (const each of page) {
          const { kind, id } = isWhole(each) ? each.entry : each.damaged
          if (kind === cell.kind.name && id === cell.id && each.position <= owned.actors.head) tail.push(each)
        }
      })
    )
  )
  return tail
})

const replay = (owned: Owned, cell: Cell, tail: ReadonlyArray<Read>): Failure | undefined => {
  for (const [index, each] of tail.entries()) {
    const version = isWhole(each) ? each.entry.version : each.damaged.version
    if (version <= cell.version) continue
    if (!isWhole(each)) return corrupt(owned, each.position, `${cell.key} version ${version}: ${each.damaged.why}`)
    try {
      cell.apply(each.entry, tail.length - 1 - index)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return corrupt(owned, each.position, `${cell.key} version ${version}: ${why}`)
    }
  }
  return undefined
}
