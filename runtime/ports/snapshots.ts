/** State at a version: it shortens replay and lets the log be truncated. What it holds was committed before. */
import { Context, type Effect } from "effect"
import type { StoreFailed } from "./objects.ts"

export interface Snapshot {
  readonly version: number
  readonly bytes: Uint8Array
}

/** The bytes in one piece or in several, in their order. */
export interface Unsaved {
  readonly version: number
  readonly bytes: Uint8Array | ReadonlyArray<Uint8Array>
}

export class Snapshots extends Context.Service<
  Snapshots,
  {
    /** Keeps it beside every other version: an owner that was deposed can add an old one, never hide a newer one. */
    readonly save: (name: string, snapshot: Unsaved) => Effect.Effect<void, StoreFailed>
    /**
     * The newest whole one; a damaged one is passed over for the one before it, and counted. The asker is told of its
     * version: when the log does not reach as far, something is lost.
     */
    readonly latest: (
      name: string,
      passedOver?: (version: number) => void
    ) => Effect.Effect<Snapshot | undefined, StoreFailed>
    /** That of this version, for who knows that it is the newest; undefined when it is missing, or damaged. */
    readonly at: (name: string, version: number) => Effect.Effect<Snapshot | undefined, StoreFailed>
    /** Removes versions older than this one. */
    readonly prune: (name: string, before: number) => Effect.Effect<void, StoreFailed>
  }
>()("runtime/Snapshots") {}
