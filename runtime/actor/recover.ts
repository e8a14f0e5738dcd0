/** What a new owner reads of its shard: the checkpoint, then the log behind it, once. */
import { Effect, Stream } from "effect"
import type { Placed, Position } from "../../messages/entry.ts"
import type { ClaimedLog, Journal, Read } from "../ports/journal.ts"
import type { Snapshots } from "../ports/snapshots.ts"
import { keyOf } from "./delivery.ts"
import { Dues } from "./dues.ts"
import type { Kind } from "./kind.ts"
import { Known } from "./known.ts"
import { LogSize } from "./logsize.ts"
import { entryText, isWhole } from "./owned.ts"

export interface Recovered {
  readonly tails: Map<string, Array<Read>>
  /** The first position of each actor that the log still holds. */
  readonly dirty: Map<string, Position>
  readonly dues: Dues
  readonly known: Known
  readonly size: LogSize
  /** The place of the checkpoint that this began from. */
  readonly checkpoint: Position
  /** Entries of kinds that oblige others, in the order of the log. */
  readonly obliging: ReadonlyArray<Placed>
}

/** The part of a checkpoint that is the shard's and no actor's. */
export interface ShardCheckpoint {
  readonly dues: ReadonlyArray<readonly [string, number]>
  /** Actors that there were. A checkpoint of an earlier release does not say. */
  readonly known?: ReadonlyArray<number>
  /** Up to here all is in snapshots, and nobody is owed anything: how much of the log that is. */
  readonly covered?: { readonly position: Position; readonly bytes: number; readonly entries: number }
}

export const checkpointName = (shard: number): string => `shards/${shard}`

export const recover = Effect.fnUntraced(function* (
  shard: number,
  log: ClaimedLog,
  ports: {
    readonly journal: Journal["Service"]
    readonly snapshots: Snapshots["Service"]
    readonly kinds: ReadonlyMap<string, Kind>
  }
) {
  const dues = new Dues()
  const damaged: Array<number> = []
  const checkpoint = yield* ports.snapshots.latest(checkpointName(shard), (position) => damaged.push(position))
  if (damaged.length > 0)
    yield* Effect.logError(
      `the checkpoint of shard ${shard} at position ${damaged[0]} is damaged: ` +
        (checkpoint === undefined ? "timers that the log lacks are lost" : "the one before it is used")
    )
  const size = new LogSize()
  let covered: Position = 0
  let known = new Known()
  if (checkpoint !== undefined) {
    const saved = JSON.parse(Buffer.from(checkpoint.bytes).toString()) as ShardCheckpoint
    for (const [key, at] of saved.dues) dues.set(key, at)
    known = new Known(saved.known)
    covered = saved.covered?.position ?? 0
    if (saved.covered !== undefined) size.add(covered, saved.covered.bytes, saved.covered.entries)
  }
  const since = checkpoint?.version ?? 0
  const tails = new Map<string, Array<Read>>()
  const dirty = new Map<string, Position>()
  const obliging: Array<Placed> = []
  const fold = (page: ReadonlyArray<Read>) => {
    for (const read of page) {
      if (read.position > log.head) return
      const whole = isWhole(read)
      const { kind, id } = whole ? read.entry : read.damaged
      const key = keyOf(kind, id)
      const tail = tails.get(key)
      if (tail === undefined) {
        tails.set(key, [read])
        dirty.set(key, read.position)
        known.add(key)
      } else tail.push(read)
      if (!whole) continue
      size.add(read.position, entryText(read.entry), 1)
      if (read.position > since) dues.set(key, read.entry.due)
      if (ports.kinds.get(kind)?.mayOblige(read.entry.events) === true) obliging.push(read)
    }
  }
  yield* ports.journal.read(shard, covered).pipe(Stream.runForEach((page) => Effect.sync(() => fold(page))))
  return { tails, dirty, dues, known, size, obliging, checkpoint: since } satisfies Recovered
})
