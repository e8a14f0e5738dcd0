/** One actor in memory: its state, what waits for it, and how far the journal has it. */

import type { Entry, Position } from "../../messages/entry.ts"
import type { Failure } from "../../messages/envelope.ts"
import { windowAnswersMax } from "../../messages/limits.ts"
import type { Batch } from "./batch.ts"
import type { Delivery } from "./delivery.ts"
import type { Kind } from "./kind.ts"
import { Recent } from "./recent.ts"
import { outboxCaller, type SavedWindow, Window } from "./window.ts"

/** Numbers of eight bytes are read in place where they lie so. */
const alignment = 8

/** `waking`: its state is being read. `stopped`: it cannot be, for the reason in `failure`. */
export type Stage = "waking" | "live" | "stopped"

/** A state as followers take it: packed, from the moment of a version. */
export interface HandedOut {
  readonly version: number
  readonly size: number
  readonly blocks: number
  readonly bytes: Uint8Array
  /** When somebody last took of it. */
  at: number
}

export class Cell {
  readonly kind: Kind
  readonly id: string
  readonly key: string
  stage: Stage = "waking"
  failure: Failure | undefined
  /** What it fell over, until that is reported. */
  defect: { readonly doing: string; readonly error: unknown } | undefined
  state: unknown
  version = 0
  /** The time of its last entry: the next one's is never earlier, whatever the clock does. */
  at = 0
  due = 0
  window = new Window()
  mailbox: Array<Delivery> = []
  /** It stands in the shard's line of those that have something to do. */
  queued = false
  /** The last batch that holds an entry of this actor; nothing it answers leaves before that is committed. */
  batch: Batch | undefined
  /** While a snapshot is being stored: the first position committed behind it. */
  behindSnapshot: { readonly version: number; from: Position | undefined } | undefined
  /** Of a kind that is followed: what followers may ask for again. */
  recent: Recent | undefined
  /** The state as it was last given to a follower, who takes it in parts. */
  handedOut: HandedOut | undefined
  /** Followers that wait for it to be made. */
  asking: Array<Delivery> = []
  usedAt = 0
  /** It was put away by this owner, and a snapshot of this version holds all of it. */
  restedAt = 0

  constructor(kind: Kind, id: string, key: string) {
    this.kind = kind
    this.id = id
    this.key = key
  }

  /** Back to nothing, for a replay. */
  reset(): void {
    this.stage = "waking"
    this.state = this.kind.initial(this.id)
    this.version = 0
    this.at = 0
    this.due = 0
    this.window = new Window()
    this.recent = undefined
    this.handedOut = undefined
  }

  /** Somebody follows: from here on, what is committed can be told again. Who is followed by nobody keeps nothing. */
  tellsFollowers(): Recent {
    this.recent ??= new Recent(this.version)
    return this.recent
  }

  /**
   * Replays one committed entry. Throws when it is not the next one or does not decode. An entry that so many follow
   * that its answer would be forgotten again need not be remembered.
   */
  apply(entry: Entry, followers = 0): void {
    if (entry.version !== this.version + 1)
      throw new Error(`version ${entry.version} follows version ${this.version}: something between is missing`)
    for (const event of this.kind.readEvents(entry.events)) this.state = this.kind.evolve(this.state, event, entry.at)
    this.version = entry.version
    this.at = entry.at
    this.due = entry.due
    if (followers < windowAnswersMax || entry.caller === outboxCaller) this.remember(entry)
  }

  /** So that a retry of the command that caused it is answered with its reply. */
  remember(entry: Entry): void {
    this.window.remember(entry.cause, entry.caller, entry.reply)
  }

  /** An entry that was just decided: its events are in the state already. */
  decided(entry: Entry): void {
    this.version = entry.version
    this.at = entry.at
    this.due = entry.due
    this.remember(entry)
  }

  /** What it is at the first step. Bytes of eight stand as they do in the state's own pieces. */
  *saving(): Generator<void, ReadonlyArray<Uint8Array>> {
    const head = Buffer.from(
      JSON.stringify({
        form: this.kind.snapshotVersion,
        version: this.version,
        at: this.at,
        due: this.due,
        window: this.window.save()
      })
    )
    const padding = (alignment - ((4 + head.length) % alignment)) % alignment
    const size = Buffer.alloc(4)
    size.writeUInt32LE(head.length + padding)
    // JSON may end in spaces.
    return [size, head, Buffer.alloc(padding, " "), ...(yield* this.kind.saving(this.state))]
  }

  /** False when the snapshot was written in a form that this kind no longer reads. */
  *loading(bytes: Uint8Array): Generator<void, boolean> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const size = buffer.readUInt32LE(0)
    const head = JSON.parse(buffer.toString("utf8", 4, 4 + size)) as {
      readonly form: number
      readonly version: number
      readonly at: number
      readonly due: number
      readonly window: SavedWindow
    }
    if (head.form !== this.kind.snapshotVersion) return false
    this.state = yield* this.kind.loading(buffer.subarray(4 + size), this.id)
    this.version = head.version
    this.at = head.at
    this.due = head.due
    this.window = Window.load(head.window)
    return true
  }
}
