/** Immutable bytes by key: an object store, or a directory that behaves like one. */
import { Context, type Effect, Schema, type Stream } from "effect"

export class ObjectMissing extends Schema.TaggedError<ObjectMissing>()("ObjectMissing", { key: Schema.String }) {}
/** A conditional put found another object than it expected. */
export class ObjectConflict extends Schema.TaggedError<ObjectConflict>()("ObjectConflict", { key: Schema.String }) {}
/** The store cannot be reached or failed, after the adapter's own retries. A put that ends so may have been stored. */
export class StoreDown extends Schema.TaggedError<StoreDown>()("StoreDown", {
  operation: Schema.String,
  key: Schema.String,
  why: Schema.String
}) {}
/** The store answered that it will not: credentials, bucket or key are wrong. Asking again does not help. */
export class StoreRefused extends Schema.TaggedError<StoreRefused>()("StoreRefused", {
  operation: Schema.String,
  key: Schema.String,
  why: Schema.String
}) {}

export type StoreFailed = StoreDown | StoreRefused

export interface Range {
  readonly offset: number
  readonly length: number
}

export interface Stored {
  readonly key: string
  readonly size: number
}

export type Condition = { readonly absent: true } | { readonly etag: string }

export class Objects extends Context.Service<
  Objects,
  {
    /** Names the store to a person, without credentials: `s3://bucket/prefix`, `/var/lib/artifacts/objects`. */
    readonly place: string
    /** Stores all of the bytes or nothing; when it returns, they survive power loss. Gives the new object's etag. */
    readonly put: (key: string, bytes: Uint8Array) => Effect.Effect<string, StoreFailed>
    readonly putIf: (
      key: string,
      bytes: Uint8Array,
      condition: Condition
    ) => Effect.Effect<string, ObjectConflict | StoreFailed>
    /**
     * The whole object, or the part of the range that exists; a range that starts at or past the end gives no bytes.
     */
    readonly get: (key: string, range?: Range) => Effect.Effect<Uint8Array, ObjectMissing | StoreFailed>
    readonly head: (
      key: string
    ) => Effect.Effect<{ readonly size: number; readonly etag: string }, ObjectMissing | StoreFailed>
    /** Deletes all of them; one that is not there counts as deleted. */
    readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, StoreFailed>
    /** Keys with this prefix in the order of their UTF-8 bytes, page by page, from behind `after` where it is given. */
    readonly list: (prefix: string, after?: string) => Stream.Stream<ReadonlyArray<Stored>, StoreFailed>
  }
>()("runtime/Objects") {}
