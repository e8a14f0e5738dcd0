/** One shard in this node's hands, as its parts share it: the loop, the checkpoints, the timers and the outbox. */
import type { Entry, Placed, Position } from "../../messages/entry.ts"
import type { ClaimedLog, Journal, Read } from "../ports/journal.ts"
import type { Snapshots } from "../ports/snapshots.ts"
import type { Delivery } from "./delivery.ts"
import type { Dues } from "./dues.ts"
import type { LogSize } from "./logsize.ts"
import type { Shard } from "./shard.ts"

/** How eagerly a node works in the background; every value has a default that suits a production node. */
export interface Settings {
  /** The shards of the installation, fixed when it was made. */
  readonly shards: number
  /** How often a shard looks for something to write down or to put away. */
  readonly checkpointEveryMs: number
  /** A log longer than this is shortened: it bounds what a takeover has to read. */
  readonly logBytesMax: number
  readonly logEntriesMax: number
  /** An actor that was not used for this long leaves memory. */
  readonly idleMs: number
  /** How long an outbox gathers progress before it writes it down. */
  readonly outboxRecordMs: number
}

export const settings: Settings = {
  shards: 16,
  checkpointEveryMs: 1_000,
  logBytesMax: 32 * 1024 * 1024,
  logEntriesMax: 100_000,
  idleMs: 60_000,
  outboxRecordMs: 200
}

export interface Owned {
  readonly shard: number
  readonly settings: Settings
  readonly log: ClaimedLog
  readonly journal: Journal["Service"]
  readonly snapshots: Snapshots["Service"]
  readonly actors: Shard
  /** What the log held of each actor when it was claimed, until the actor is read for the first time. */
  readonly tails: Map<string, Array<Read>>
  readonly dues: Dues
  readonly size: LogSize
  /**
   * The place of the newest checkpoint of the shard, how many entries the log had seen when all were covered, and when
   * the log was shortened last.
   */
  readonly checkpoint: { head: Position; covered: number; at: number }
  /** The last place whose obligations are all met: the log is kept behind it. */
  readonly outboxDone: () => Position
  readonly offer: (delivery: Delivery) => void
}

export const isWhole = (read: Read): read is Placed => "entry" in read

export const entryText = (entry: Entry): number => entry.events.length + entry.reply.length
