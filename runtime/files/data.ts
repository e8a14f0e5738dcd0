/** The bytes of a workspace's files, as a mount or a transfer reads and writes them. */
import { type Effect, Schema } from "effect"
import type { Attributes, Time, Who } from "../../messages/inode.ts"
import type { Traits } from "../../messages/workspace-events.ts"

/** A read or a write cannot be done, or what was written before cannot be kept. */
export class DataFailed extends Schema.TaggedError<DataFailed>()("DataFailed", {
  ino: Schema.Natural,
  /** Linux's name for it. */
  errno: Schema.String,
  why: Schema.String
}) {}

export interface Writing {
  readonly ino: number
  /** With `append`: where the end of the file is believed to be, until the workspace says where it was. */
  readonly offset: number
  /** Copied before `accept` or `write` returns. */
  readonly data: Uint8Array
  readonly append?: boolean
  /** Of an append: what it is known by when it is sent again, to another process. */
  readonly request?: number
  readonly who: Who
}

export interface Reading {
  readonly ino: number
  readonly offset: number
  readonly length: number
  /** Tells one reader's sequence of reads from another's, for read-ahead; any number that stays with an open file. */
  readonly handle: number
}

/** Told after each commit, in the order of the commits of an inode, before a flush that waited for it returns. */
export interface Committed {
  readonly ino: number
  readonly attributes: Attributes
  readonly version: number
  /** Of an append: where the bytes were believed to be and where they are. They differ when others appended too. */
  readonly moved?: { readonly believed: number; readonly offset: number; readonly length: number }
}

export interface Data {
  /** Takes the bytes if that needs no waiting; false when it does, and nothing was taken: then `write`. */
  readonly accept: (writing: Writing) => boolean
  /**
   * Returns when the bytes are taken, and staged where there is a stage: they survive this process, not yet the host.
   */
  readonly write: (writing: Writing) => Effect.Effect<void, DataFailed>
  /** What is there of the range, own writes that are not committed yet included. The pieces may not be changed. */
  readonly read: (reading: Reading) => Effect.Effect<ReadonlyArray<Uint8Array>, DataFailed>
  /**
   * Returns when all that was written to the file before is stored and committed. Fails with what became of it, once:
   * what was refused is gone, what could not be stored or committed in time stays and is tried again.
   */
  readonly flush: (ino: number) => Effect.Effect<void, DataFailed>
  /** Every file's, and the first failure of any. */
  readonly flushAll: Effect.Effect<void, DataFailed>
  /**
   * Flushes, then runs a change of the file by command; what is written meanwhile is committed after. For changes of
   * size and bytes, and of times, owners and modes too: a commit sets mtime and takes set-id bits, as a write does.
   */
  readonly ordered: <A, E>(ino: number, change: Effect.Effect<A, E>) => Effect.Effect<A, E | DataFailed>
  /**
   * Sets modes, owners and times with bytes that are not on their way to the workspace yet: they are staged and
   * committed with those, and behind them. False where there are none, or where it has to wait: then `ordered`.
   */
  readonly set: (ino: number, traits: Traits) => boolean
  /** Whether something is set that is not committed. */
  readonly isSet: (ino: number) => boolean
  /** What is set and is on its way to nobody yet. */
  readonly traitsOf: (ino: number) => Traits | undefined
  /** The file's size with what is not committed yet, given the committed one. */
  readonly sizeOf: (ino: number, committed: number) => number
  /** When the newest bytes that are not committed were written. */
  readonly timeOf: (ino: number) => Time | undefined
  readonly isDirty: (ino: number) => boolean
  /** The file is gone for good: what is not committed of it need not be. */
  readonly discard: (ino: number) => void
  /** Something accepted for this file was lost: the next flush says so. */
  readonly fail: (ino: number, errno: string, why: string) => void
  /** How many bytes of an append a process before this one has taken. */
  readonly appended: (request: number) => number
  /** The open file with this handle is closed. */
  readonly released: (handle: number) => void
  readonly meters: Meters
}

/** Counters that only grow, but for those that say what there is now. */
export interface Meters {
  writtenBytes: number
  readBytes: number
  uploads: number
  uploadedBytes: number
  uploadFailures: number
  /** Now: 1 from an upload that failed until the next one that did not. */
  storingFails: number
  commits: number
  commitFailures: number
  /** Now: bytes that are accepted and not committed, of how many files, and what the stage takes on disk. */
  dirtyBytes: number
  dirtyFiles: number
  stagedBytes: number
  /** Writes that had to wait for room. */
  waits: number
  memoryHits: number
  diskHits: number
  storeReads: number
  storeReadBytes: number
  readAheads: number
  digestMismatches: number
  cacheFailures: number
  /** Accepted by a process that ended, taken over from the stage. */
  recoveredBytes: number
  lostFiles: number
}

export const newMeters = (): Meters => ({
  writtenBytes: 0,
  readBytes: 0,
  uploads: 0,
  uploadedBytes: 0,
  uploadFailures: 0,
  storingFails: 0,
  commits: 0,
  commitFailures: 0,
  dirtyBytes: 0,
  dirtyFiles: 0,
  stagedBytes: 0,
  waits: 0,
  memoryHits: 0,
  diskHits: 0,
  storeReads: 0,
  storeReadBytes: 0,
  readAheads: 0,
  digestMismatches: 0,
  cacheFailures: 0,
  recoveredBytes: 0,
  lostFiles: 0
})
