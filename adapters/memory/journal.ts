/** A journal in the memory of one process, which several owners may share and contend for. */
import { Cause, Effect, Layer, Stream } from "effect"
import type { Entry, Placed, Position } from "../../messages/entry.ts"
import { batchEntriesMax } from "../../messages/limits.ts"
import { mustFit, positionOf, sequenceOf } from "../../runtime/journal/frame.ts"
import { type ClaimedLog, Fenced, Journal, type Read } from "../../runtime/ports/journal.ts"

interface Log {
  epoch: number
  sequence: number
  frames: Array<{ readonly sequence: number; readonly reads: Array<Read> }>
  readonly changed: Set<() => void>
}

/** What the logs of all shards hold. Every layer made from one store sees the same logs, as nodes see one cluster. */
export interface JournalStore {
  readonly logs: Map<number, Log>
}

export const journalStore = (): JournalStore => ({ logs: new Map() })

const logOf = (store: JournalStore, shard: number): Log => {
  let log = store.logs.get(shard)
  if (log === undefined) {
    log = { epoch: 0, sequence: 0, frames: [], changed: new Set() }
    store.logs.set(shard, log)
  }
  return log
}

const wake = (log: Log): void => {
  for (const look of [...log.changed]) look()
}

/** Damages one entry where it lies, so that a test can see what reading it does. */
export const damage = (store: JournalStore, shard: number, position: Position, why: string): void => {
  const frame = logOf(store, shard).frames.find((one) => one.sequence === sequenceOf(position))
  const at = frame?.reads.findIndex((read) => read.position === position) ?? -1
  const read = frame?.reads[at]
  if (frame === undefined || read === undefined || !("entry" in read)) {
    throw new Error(`there is no entry at ${position} of shard ${shard}`)
  }
  const { id, kind, version } = read.entry
  frame.reads[at] = { position, damaged: { id, kind, version, why } }
}

/** The first frame that holds something behind this position: frames are in order, so it is found by halves. */
const firstBehind = (log: Log, after: Position): number => {
  let low = 0
  let high = log.frames.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const last = log.frames[middle]?.reads.at(-1)
    if (last !== undefined && last.position <= after) low = middle + 1
    else high = middle
  }
  return low
}

/** The next frame's entries behind `after`, or undefined when there are none yet. */
const pageOf = (log: Log, after: Position): ReadonlyArray<Read> | undefined => {
  const frame = log.frames[firstBehind(log, after)]
  if (frame === undefined) return undefined
  const first = frame.reads[0]
  return first !== undefined && first.position > after
    ? [...frame.reads]
    : frame.reads.filter((read) => read.position > after)
}

const readUpTo = (log: Log, after: Position, last: number) =>
  Stream.fromPull(
    Effect.sync(() => {
      let seen = after
      return Effect.suspend(() => {
        const page = pageOf(log, seen)
        const end = page?.at(-1)?.position
        if (page === undefined || end === undefined || sequenceOf(end) > last) return Cause.done()
        seen = end
        return Effect.succeed([page] as const)
      })
    })
  )

const followFrom = (log: Log, after: Position) =>
  Stream.fromPull(
    Effect.sync(() => {
      let seen = after
      return Effect.callback<readonly [ReadonlyArray<Read>]>((resume) => {
        const look = () => {
          const page = pageOf(log, seen)
          const end = page?.at(-1)?.position
          if (page === undefined || end === undefined) return
          log.changed.delete(look)
          seen = end
          resume(Effect.succeed([page]))
        }
        log.changed.add(look)
        look()
        return Effect.sync(() => void log.changed.delete(look))
      })
    })
  )

const nameOf = (shard: number): string => `memory/${shard}`

const claimed = (log: Log, shard: number): ClaimedLog => {
  const epoch = log.epoch
  /** Writes at once, so that calls keep their order; the acknowledgement comes a step later, as from a real one. */
  const write = (entries: ReadonlyArray<Entry>) => {
    if (log.epoch !== epoch) return Effect.fail(new Fenced({ log: nameOf(shard), epoch: log.epoch }))
    for (const entry of entries) mustFit(entry)
    const reads: Array<Placed> = []
    for (let start = 0; start < entries.length; start += batchEntriesMax) {
      const sequence = ++log.sequence
      const placed = entries
        .slice(start, start + batchEntriesMax)
        .map((entry, index) => ({ entry, position: positionOf(sequence, index) }))
      log.frames.push({ reads: placed, sequence })
      for (const one of placed) reads.push(one)
    }
    wake(log)
    const positions = reads.map((read) => read.position)
    return Effect.as(Effect.yieldNow, positions)
  }
  return { append: (entries) => Effect.sync(() => write(entries)), epoch, head: positionOf(log.sequence, 0) }
}

/** A journal over this store, or over one of its own. */
export const layer = (store: JournalStore = journalStore()): Layer.Layer<Journal> =>
  Layer.succeed(
    Journal,
    Journal.of({
      claim: (shard) =>
        Effect.sync(() => {
          const log = logOf(store, shard)
          log.epoch += 1
          log.sequence += 1
          return claimed(log, shard)
        }),
      durability: "memory",
      follow: (shard, after) => Stream.suspend(() => followFrom(logOf(store, shard), after)),
      nameOf,
      read: (shard, after) =>
        Stream.suspend(() => {
          const log = logOf(store, shard)
          return readUpTo(log, after, log.sequence)
        }),
      sync: Effect.void,
      truncate: (shard, before) =>
        Effect.sync(() => {
          const log = logOf(store, shard)
          log.frames.splice(0, firstBehind(log, before - 1))
        }),
      window: 1
    })
  )
