/** Brings one actor into memory: its newest snapshot, then what the log holds behind it. */
import { Effect, Schedule, Stream } from "effect"
import type { Placed, Position } from "../../messages/entry.ts"
import type { Failure } from "../../messages/envelope.ts"
import { Corrupt, type Read } from "../ports/journal.ts"
import type { Snapshot } from "../ports/snapshots.ts"
import { inSteps } from "../steps.ts"
import type { Batch } from "./batch.ts"
import type { Cell } from "./cell.ts"
import { isWhole, type Owned } from "./owned.ts"
import { outboxCaller } from "./window.ts"

export const snapshotName = (cell: Cell): string => `actors/${cell.key}`

/** Storage that is away for a moment is waited for; whoever waits longer is told to ask again. */
const patience = Schedule.exponential("50 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 6 }))

const snapshotPollMs = 5

/** Entries that are folded without a pause: some milliseconds. */
const replayedAtOnce = 128

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
  // A snapshot that is being stored changes what has to be read of the log, so its end is waited for.
  while (cell.behindSnapshot !== undefined) yield* Effect.sleep(snapshotPollMs)
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
  const failure = yield* attempt(owned, cell, tailOf(owned, cell))
  if (failure === undefined) return undefined
  // What was covered by snapshots was not read when the shard was taken over: the log may have it still.
  return (yield* attempt(owned, cell, wholeOf(owned, cell))) === undefined ? undefined : failure
})

const attempt = Effect.fnUntraced(function* (owned: Owned, cell: Cell, tail: ReturnType<typeof wholeOf>) {
  cell.reset()
  let newest = 0
  const passedOver = (damaged: number): void => {
    newest = Math.max(newest, damaged)
  }
  const snapshot = (yield* covering(owned, cell)) ?? (yield* owned.snapshots.latest(snapshotName(cell), passedOver))
  newest = Math.max(newest, snapshot?.version ?? 0)
  if (snapshot !== undefined) yield* load(owned, cell, snapshot)
  const failure = yield* inSteps(replaying(owned, cell, yield* tail))
  if (failure !== undefined) return failure
  const isMissing = cell.version === 0 && owned.actors.known.has(cell.key)
  if (cell.version >= newest && !isMissing) return undefined
  // The snapshot was the only place that held this: to begin anew would be to forget what was acknowledged.
  const lost = newest === 0 ? "its snapshot is missing" : `the snapshot of version ${newest} cannot be read`
  const why = `${lost}, and the log behind it ends at version ${cell.version}`
  return corrupt(owned, owned.actors.head, `${cell.key}: ${why}`)
})

/** Which one is the newest need not be asked of the store for an actor that was put away here. */
const covering = ({ snapshots }: Owned, cell: Cell) => {
  const { restedAt } = cell
  cell.restedAt = 0
  return restedAt === 0 ? Effect.succeed(undefined) : snapshots.at(snapshotName(cell), restedAt)
}

/** Leaves the actor as new when the snapshot is of no use. */
const load = Effect.fnUntraced(function* (owned: Owned, cell: Cell, { version, bytes }: Snapshot) {
  const isRead = yield* inSteps(cell.loading(bytes)).pipe(
    Effect.catchDefect((error) => {
      const why = `${cell.key}: the snapshot of version ${version} does not load: ${whyOf(error)}`
      return Effect.fail(new Corrupt({ log: owned.journal.nameOf(owned.shard), position: owned.actors.head, why }))
    })
  )
  if (isRead) return
  yield* Effect.logWarning(`${cell.key}: the snapshot is of an older form and is replaced by a replay of the log`)
  cell.reset()
})

const whyOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What the log holds of one actor: kept from the claim, or read again when the actor fell since. */
const tailOf = (owned: Owned, cell: Cell) => {
  const kept = owned.tails.get(cell.key)
  const from = owned.actors.dirty.get(cell.key)
  if (kept !== undefined || from === undefined) return Effect.succeed(kept ?? [])
  return entriesOf(owned, cell, from - 1)
}

const wholeOf = (owned: Owned, cell: Cell) => entriesOf(owned, cell, 0)

const entriesOf = Effect.fnUntraced(function* (owned: Owned, cell: Cell, after: Position) {
  const tail: Array<Read> = []
  yield* owned.journal.read(owned.shard, after).pipe(
    Stream.runForEach((page) =>
      Effect.sync(() => {
        for (const each of page) {
          const { kind, id } = isWhole(each) ? each.entry : each.damaged
          if (kind === cell.kind.name && id === cell.id && each.position <= owned.actors.head) tail.push(each)
        }
      })
    )
  )
  return tail as ReadonlyArray<Read>
})

const isSent = ({ entry }: Placed): boolean => entry.caller === outboxCaller

/** A tail can be as long as a log. */
function* replaying(owned: Owned, cell: Cell, tail: ReadonlyArray<Read>): Generator<void, Failure | undefined> {
  // What outboxes sent takes no room among the answers that are remembered.
  let followers = tail.reduce((count, each) => (isWhole(each) && !isSent(each) ? count + 1 : count), 0)
  for (const [index, each] of tail.entries()) {
    if (index % replayedAtOnce === replayedAtOnce - 1) yield
    if (isWhole(each) && !isSent(each)) followers -= 1
    const version = isWhole(each) ? each.entry.version : each.damaged.version
    if (version <= cell.version) continue
    if (!isWhole(each)) return corrupt(owned, each.position, `${cell.key} version ${version}: ${each.damaged.why}`)
    try {
      cell.apply(each.entry, followers)
    } catch (error) {
      return corrupt(owned, each.position, `${cell.key} version ${version}: ${whyOf(error)}`)
    }
  }
  return undefined
}
