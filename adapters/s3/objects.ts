/** Objects in a bucket of Amazon S3 or of a store that speaks its protocol. */
import { Effect, Layer, Option, Stream } from "effect"
import { keyFault } from "../../messages/keys.ts"
import {
  type Condition,
  type ObjectConflict,
  type ObjectMissing,
  Objects,
  type Range,
  type StoreFailed,
  StoreRefused
} from "../../runtime/ports/objects.ts"
import { type Bucket, openBucket } from "./bucket.ts"
import { listPage, removePage } from "./control.ts"
import type { Trouble } from "./exchange.ts"
import { get } from "./get.ts"
import { type S3Limits, s3Limits } from "./limits.ts"
import { putInParts } from "./multipart.ts"
import { put } from "./put.ts"
import { failureOf } from "./retry.ts"
import type { Credentials } from "./sign.ts"
import { parse } from "./url.ts"

export interface S3Options {
  /** Instead of the SDK's chain of environment, profile and role. */
  readonly credentials?: Credentials
  readonly limits?: Partial<S3Limits>
}

/** Pages of deletions under way at once: more only makes the store ask us to slow down. */
const removalsAtOnce = 4

const lawful = (operation: string, key: string): Effect.Effect<void, StoreRefused> => {
  const why = keyFault(key)
  return why === undefined ? Effect.void : Effect.fail(new StoreRefused({ operation, key, why }))
}

const service = (bucket: Bucket): typeof Objects.Service => {
  const reads = get(bucket)
  const putWhole = put(bucket)
  const putParts = putInParts(bucket)

  const clean = (failure: Trouble): Trouble => ({ ...failure, why: bucket.redact(failure.why) })
  const named =
    (operation: string, key: string) =>
    <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E | Trouble>) =>
      Effect.mapError(effect, (failure) =>
        failure._tag === "Trouble"
          ? failureOf(operation, key, clean(failure as Trouble))
          : (failure as Exclude<E, Trouble>)
      )

  const store = (
    key: string,
    bytes: Uint8Array,
    condition?: Condition
  ): Effect.Effect<string, ObjectConflict | StoreFailed> => {
    const send = bytes.length > bucket.limits.multipartBytes ? putParts : putWhole
    return Effect.andThen(lawful("put", key), named("put", key)(send(key, bytes, condition)))
  }
  const read = (key: string, range?: Range): Effect.Effect<Uint8Array, ObjectMissing | StoreFailed> => {
    // HTTP has no empty range, but whether the object is there was asked all the same.
    if (range?.length === 0) return Effect.as(head("get", key), new Uint8Array(0))
    return Effect.andThen(lawful("get", key), named("get", key)(reads.get(key, range)))
  }
  const head = (operation: string, key: string) =>
    Effect.andThen(lawful(operation, key), named(operation, key)(reads.head(key)))

  return Objects.of({
    place: bucket.name,
    put: (key, bytes) =>
      Effect.catchTag(store(key, bytes), "ObjectConflict", () =>
        Effect.die(new Error(`a put without a condition met a conflict: ${key}`))
      ),
    putIf: store,
    get: read,
    head: (key) => Effect.map(head("head", key), ({ etag, size }) => ({ etag, size })),
    remove: Effect.fnUntraced(function* (keys: ReadonlyArray<string>) {
      for (const key of keys) yield* lawful("remove", key)
      const pages: Array<ReadonlyArray<string>> = []
      const { keysPerRequest } = bucket.limits
      for (let at = 0; at < keys.length; at += keysPerRequest) pages.push(keys.slice(at, at + keysPerRequest))
      yield* Effect.forEach(
        pages,
        (page) =>
          Effect.mapError(removePage(bucket, page), (left) => failureOf("remove", left.key, clean(left.trouble))),
        { concurrency: removalsAtOnce, discard: true }
      )
    }),
    list: (prefix, after) =>
      Stream.paginate(undefined as string | undefined, (token) =>
        Effect.map(named("list", prefix)(listPage(bucket, prefix, { after, token })), ({ next, stored }) => [
          stored.length === 0 ? [] : [stored],
          Option.fromUndefinedOr(next)
        ])
      )
  })
}

/** The store at a URL such as `s3://bucket/prefix`. It is not asked anything yet: `probe` does that. */
export const layer = (url: string, options: S3Options = {}): Layer.Layer<Objects, StoreFailed> =>
  Layer.effect(
    Objects,
    Effect.gen(function* () {
      const place = yield* parse(url)
      const limits = { ...s3Limits, ...options.limits }
      const { credentials } = options
      return service(yield* openBucket(place, credentials === undefined ? { limits } : { limits, credentials }))
    })
  )
