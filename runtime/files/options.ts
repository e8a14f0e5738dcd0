/** What a mount or a transfer decides about the bytes it moves, and the defaults with their reasons. */
import type { Layout } from "../../messages/account.ts"
import type { Committed } from "./data.ts"

export interface DataOptions {
  /** `<org>/<workspace>`: in front of every key. */
  readonly prefix: string
  readonly layout: Layout
  /** Names the workspace in the keys of the layout `generations`. */
  readonly workspace: string
  /** Bytes that were written and are not stored yet, in memory: more of them wait, or go to the stage alone. */
  readonly bufferBytes: number
  /** The same on the stage, in all. */
  readonly stageBytes: number
  readonly uploadsMax: number
  readonly downloadsMax: number
  /**
   * The mount session. What another one left on the stage is not taken over: it has ended, and what it had not flushed
   * may not be laid over what others have written since.
   */
  readonly session: string
  /**
   * A process of the same mount was here before, in its session or an earlier one: what it had to tell is told, and a
   * stage without any trace of it was lost.
   */
  readonly resumed: boolean
  /** Blocks in memory, read or just written. */
  readonly memoryBytes: number
  /** Blocks on disk, where there is a directory for them; and how much of the disk is left free, as a share of it. */
  readonly cacheBytes: number
  readonly freeShare: number
  readonly eviction: "two-random" | "lru"
  /** Full blocks go to the disk when they are written too, and not only when they are read. */
  readonly cacheLargeWrites: boolean
  /**
   * A small read in a large block asks the store for its bytes alone and fetches the whole block behind it. Such bytes
   * are not verified by the block's digest before they are used, so it has to be asked for.
   */
  readonly rangedGets: boolean
  readonly readAheadBytes: number
  /** How long a flush keeps trying before it says EIO. What it waited for is kept and tried on. */
  readonly flushMs: number
  /** How long a read keeps asking a store that is away: the seeds have it that reads block until it is back. */
  readonly readMs: number
  readonly onCommitted?: (committed: Committed) => void
}

const mib = 1024 * 1024

export const dataDefaults = {
  session: "",
  resumed: false,
  bufferBytes: 300 * mib,
  stageBytes: 4 * 1024 * mib,
  // Enough to fill a gigabit at 100 ms a put, and few enough for a small host's sockets.
  uploadsMax: 20,
  downloadsMax: 64,
  memoryBytes: 256 * mib,
  cacheBytes: 100 * 1024 * mib,
  freeShare: 0.1,
  eviction: "two-random",
  cacheLargeWrites: false,
  rangedGets: false,
  readAheadBytes: 32 * mib,
  // As long as a network file system's users are used to wait before they are told.
  flushMs: 300_000,
  readMs: 300_000
} as const satisfies Partial<DataOptions>
