/** A few small records that all nodes see and change by compare-and-set: what leases are made of. */
import { Context, type Effect, Schema } from "effect"

/** The record has changed since this revision. */
export class RegistryConflict extends Schema.TaggedError<RegistryConflict>()("RegistryConflict", {
  key: Schema.String
}) {}
export class RegistryDown extends Schema.TaggedError<RegistryDown>()("RegistryDown", { why: Schema.String }) {}

export interface Record {
  readonly key: string
  readonly value: string
  /** Grows with every change of this record. */
  readonly revision: number
}

export class Registry extends Context.Service<
  Registry,
  {
    /** All records, as a majority has them: never a follower's older view. */
    readonly all: Effect.Effect<ReadonlyArray<Record>, RegistryDown>
    /** Writes if the record still has this revision; 0 when it must not exist. Gives the new revision. */
    readonly write: (
      key: string,
      value: string,
      revision: number
    ) => Effect.Effect<number, RegistryConflict | RegistryDown>
    readonly remove: (key: string, revision: number) => Effect.Effect<void, RegistryConflict | RegistryDown>
  }
>()("runtime/Registry") {}
