/** Writes snapshots off the loop, shortens the log behind them, and puts idle actors away. */
import { Clock, Effect } from "effect"
import type { Position } from "../../messages/entry.ts"
import { begun } from "../steps.ts"
import { committed, snapshotName } from "./activate.ts"
import type { Batch } from "./batch.ts"
import type { Cell } from "./cell.ts"
import type { LogSize } from "./logsize.ts"
import { meters } from "./meters.ts"
import type { Owned, Settings } from "./owned.ts"
import { checkpointName, type ShardCheckpoint } from "./recover.ts"

/** Snapshots under way at once: enough to hide a store's latency, few enough not to crowd out its other users. */
const snapshotsAtOnce = 4

/** Fewer entries than this are read faster than a checkpoint is written. */
const coveredEntriesMin = 500

/**
 * Whoever takes a shard over reads its log, at some hundred thousand entries a second: so a log is not left as long as
 * it may be when there was time to shorten it. Snapshots of what is written all the time cost this seldom next to
 * nothing.
 */
const longEntries = 20_000
const longEveryMs = 20_000

/** A follower that has not taken all parts of a state by then begins anew, and memory has the bytes back. */
const handedOutMs = 30_000

interface Taken {
  readonly version: number
  readonly bytes: ReadonlyArray<Uint8Array>
}

export const checkpoints = Effect.fnUntraced(function* (owned: Owned) {
  const { checkpointEveryMs } = owned.settings
  for (;;) {
    yield* Effect.sleep(checkpointEveryMs)
    yield* round(owned).pipe(
      Effect.catch((error) => Effect.logWarning(`checkpoint of shard ${owned.shard} put off`, error))
    )
  }
})

/** Whether the log is to be shortened, so long after it was the last time. */
export const isTooLong = (
  { bytes, entries }: Pick<LogSize, "bytes" | "entries">,
  { logBytesMax, logEntriesMax }: Settings,
  sinceMs: number
): boolean => bytes > logBytesMax || entries > logEntriesMax || (entries > longEntries && sinceMs >= longEveryMs)

const round = Effect.fnUntraced(function* (owned: Owned) {
  const { actors, size, settings } = owned
  const now = yield* Clock.currentTimeMillis
  const idle = now - settings.idleMs
  if (isTooLong(size, settings, now - owned.checkpoint.at)) {
    owned.checkpoint.at = now
    yield* shorten(owned)
  }
  for (const cell of actors.cells.values())
    if (cell.handedOut !== undefined && cell.handedOut.at < now - handedOutMs) cell.handedOut = undefined
  const quiet = [...actors.cells.values()].filter(
    (cell) => cell.usedAt <= idle && cell.stage !== "waking" && cell.mailbox.length === 0
  )
  const rest = Effect.fnUntraced(function* (cell: Cell) {
    if (actors.dirty.has(cell.key) && cell.stage === "live") yield* snapshot(owned, cell)
    putAway(owned, cell, idle)
  })
  yield* Effect.forEach(quiet, rest, { concurrency: snapshotsAtOnce, discard: true })
  yield* cover(owned)
})

/** While a shard rests, its log is only its past: whoever takes it over need not read what is covered by snapshots. */
const cover = Effect.fnUntraced(function* (owned: Owned) {
  const { actors, checkpoint, size } = owned
  const { head } = actors
  if (actors.dirty.size > 0 || owned.outboxDone() < head || size.total - checkpoint.covered < coveredEntriesMin) return
  const { bytes, entries } = size
  const made: ShardCheckpoint = { ...told(owned), covered: { position: head, bytes, entries } }
  checkpoint.covered = size.total
  yield* saveCheckpoint(owned, head, made)
})

const told = ({ dues, actors }: Owned) => ({ dues: dues.entries(), known: actors.known.save() })

/** Covers the older half of the log with snapshots, and cuts it off. */
const shorten = Effect.fnUntraced(function* (owned: Owned) {
  const { actors, size } = owned
  const middle = size.middle
  const old = [...actors.dirty].filter(([, from]) => from <= middle).sort(([, a], [, b]) => a - b)
  yield* Effect.forEach(old, ([key]) => coverOne(owned, key), { concurrency: snapshotsAtOnce, discard: true })
  // What is due and the place up to which it is folded have to be of the same moment.
  const { head } = actors
  const checkpoint: ShardCheckpoint = told(owned)
  // The log reaches back to the checkpoint before this one, so that timers survive damage to the newest.
  const before = owned.checkpoint.head
  const floor = Math.min(firstDirty(owned), owned.outboxDone() + 1, before + 1)
  yield* saveCheckpoint(owned, head, checkpoint)
  yield* owned.journal.truncate(owned.shard, floor)
  size.truncated(floor)
})

/** The one before it is kept. */
const saveCheckpoint = Effect.fnUntraced(function* (owned: Owned, head: Position, made: ShardCheckpoint) {
  const name = checkpointName(owned.shard)
  const before = owned.checkpoint.head
  if (before === head) return
  yield* owned.snapshots.save(name, { version: head, bytes: Buffer.from(JSON.stringify(made)) })
  owned.checkpoint.head = head
  yield* owned.snapshots.prune(name, before)
})

const firstDirty = (owned: Owned): Position => {
  let first = Number.POSITIVE_INFINITY
  for (const position of owned.actors.dirty.values()) if (position < first) first = position
  return first
}

/** One dirty actor, which is read first when it is not in memory. One that cannot be read keeps its part of the log. */
const coverOne = Effect.fnUntraced(function* (owned: Owned, key: string) {
  const slash = key.indexOf("/")
  const kind = owned.actors.kindNamed(key.slice(0, slash))
  if (kind === undefined) return
  const cell = owned.actors.cellOf(kind, key.slice(slash + 1))
  while (cell.stage === "waking") yield* Effect.sleep(5)
  if (cell.stage === "live") yield* snapshot(owned, cell)
})

/** Stores what a live actor is now. Meanwhile the actor is not read again, for it would see half of it. */
const snapshot = Effect.fnUntraced(function* (owned: Owned, cell: Cell) {
  const { version, batch } = cell
  // Said before the first step, in one go with it: every entry is either in the bytes or behind them.
  cell.behindSnapshot = { version, from: undefined }
  const isStored = yield* begun(cell.saving()).pipe(
    Effect.catchDefect((error) => unsaved(cell, error)),
    Effect.flatMap((bytes) =>
      bytes === undefined ? Effect.succeed(false) : store(owned, cell, { version, bytes }, batch)
    ),
    Effect.ensuring(
      Effect.sync(() => {
        cell.behindSnapshot = undefined
      })
    )
  )
  if (isStored) yield* owned.snapshots.prune(snapshotName(cell), version)
})

const unsaved = (cell: Cell, error: unknown) =>
  Effect.gen(function* () {
    meters.defect()
    yield* Effect.logError(`${cell.key} cannot be saved, and keeps its part of the log`, error)
    return undefined
  })

const store = Effect.fnUntraced(function* (owned: Owned, cell: Cell, taken: Taken, batch: Batch | undefined) {
  // A snapshot holds nothing that might still be lost: what it saw has to be in the log.
  yield* committed(batch)
  yield* owned.snapshots.save(snapshotName(cell), taken)
  meters.snapshots(taken.bytes.reduce((sum, { length }) => sum + length, 0))
  const from = cell.behindSnapshot?.from
  if (from === undefined) owned.actors.dirty.delete(cell.key)
  else owned.actors.dirty.set(cell.key, from)
  return true
})

const putAway = (owned: Owned, cell: Cell, idle: number): void => {
  const { actors } = owned
  const isQuiet = cell.mailbox.length === 0 && cell.batch === undefined && cell.usedAt <= idle && !cell.queued
  const isCovered = cell.stage === "stopped" || (cell.stage === "live" && !actors.dirty.has(cell.key))
  if (isQuiet && isCovered) actors.putAway(cell)
}
