/**
 * Local disk that makes things fast, and keeps what was accepted over the death of this process: never the only copy
 * of what was promised.
 */
import { type Effect, Schema, type Stream } from "effect"

export class ScratchFailed extends Schema.TaggedError<ScratchFailed>()("ScratchFailed", {
  operation: Schema.String,
  name: Schema.String,
  why: Schema.String
}) {}

export interface Shelved {
  readonly name: string
  readonly size: number
}

/** Blocks by name, each whole or not there. Anybody may delete any of them at any time. */
export interface Shelf {
  readonly read: (name: string) => Effect.Effect<Uint8Array | undefined, ScratchFailed>
  readonly write: (name: string, bytes: Uint8Array) => Effect.Effect<void, ScratchFailed>
  readonly remove: (name: string) => Effect.Effect<void, ScratchFailed>
  /** What is there, in any order, some at a time. */
  readonly list: Stream.Stream<ReadonlyArray<Shelved>, ScratchFailed>
  /** How much of the disk is free, of its bytes or of its inodes, whichever is less: 0 to 1. */
  readonly free: Effect.Effect<number, ScratchFailed>
}

export interface Segment {
  readonly number: number
  readonly size: number
}

/** Files that only grow, by number. What was appended survives this process, though not the loss of power. */
export interface Tape {
  /** What earlier processes left, in the order of their numbers. */
  readonly segments: Effect.Effect<ReadonlyArray<Segment>, ScratchFailed>
  /**
   * Puts the pieces behind one another to a segment's end, which is made with its first bytes, and says where they
   * begin. It never waits: a writer is answered when it returns.
   */
  readonly append: (segment: number, pieces: ReadonlyArray<Uint8Array>) => number | ScratchFailed
  readonly read: (segment: number, at: number, length: number) => Effect.Effect<Uint8Array, ScratchFailed>
  readonly drop: (segment: number) => void
}
