/** What is rare goes through the SDK's client: listings, deletions, and the frame of an upload in parts. */
import {
  DeleteObjectsCommand,
  type DeleteObjectsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  S3ServiceException
} from "@aws-sdk/client-s3"
import { Effect } from "effect"
import { compareKeys } from "../../messages/keys.ts"
import type { Stored } from "../../runtime/ports/objects.ts"
import { passes, wordsOf } from "./answer.ts"
import type { Bucket } from "./bucket.ts"
import { type Trouble, trouble } from "./exchange.ts"
import { persist } from "./retry.ts"

/** The SDK's errors in the words of our own requests. Those without an answer are the network's: they pass. */
const troubleOf = (cause: unknown): Trouble => {
  if (!(cause instanceof Error)) return trouble(String(cause), { unsure: true })
  if (cause.name === "CredentialsProviderError") {
    return trouble(`no credentials: ${cause.message}`, { unsure: false, again: false })
  }
  const status = cause instanceof S3ServiceException ? cause.$metadata.httpStatusCode : undefined
  if (status === undefined) return trouble(`${cause.name}: ${cause.message}`, { unsure: true })
  const message = cause.message === "UnknownError" ? "" : cause.message
  const why = wordsOf(status, { code: cause.name === "Unknown" ? "" : cause.name, message })
  return passes(status, cause.name)
    ? trouble(why, { unsure: status >= 500 })
    : trouble(why, { unsure: false, again: false })
}

/** One attempt of an SDK command; interrupting it ends the request. */
export const command = <A>(
  send: (abort: { readonly abortSignal: AbortSignal }) => Promise<A>
): Effect.Effect<A, Trouble> => Effect.tryPromise({ try: (abortSignal) => send({ abortSignal }), catch: troubleOf })

export interface Page {
  readonly stored: ReadonlyArray<Stored>
  /** Where the next page begins. */
  readonly next: string | undefined
}

class Unlistable extends Error {}

/** Keys come percent-encoded when the store did as it was asked: XML cannot carry every character. */
const decoded = (key: string, answer: ListObjectsV2CommandOutput): string =>
  answer.EncodingType === "url" ? decodeURIComponent(key.replaceAll("+", " ")) : key

const pageIn = (bucket: Bucket, answer: ListObjectsV2CommandOutput): Page => {
  const stored: Array<Stored> = []
  for (const { Key, Size } of answer.Contents ?? []) {
    const key = decoded(Key ?? "", answer)
    // What ends in a slash was made by a tool that draws folders; it cannot be a key of ours.
    if (key.startsWith(bucket.place.prefix) && !key.endsWith("/")) {
      stored.push({ key: key.slice(bucket.place.prefix.length), size: Size ?? 0 })
    }
  }
  // Who looks for the newest of a list trusts its order; there are kinds of buckets that have none.
  const unordered = stored.some(({ key }, at) => at > 0 && compareKeys(stored[at - 1]?.key ?? "", key) >= 0)
  if (unordered) throw new Unlistable("the store does not list its keys in their order")
  return { stored, next: answer.IsTruncated === true ? answer.NextContinuationToken : undefined }
}

/** One page of keys with this prefix. The first one begins behind `after`, the others where the one before ended. */
export const listPage = (
  bucket: Bucket,
  prefix: string,
  from: { after?: string | undefined; token?: string | undefined }
) =>
  persist(bucket.limits, () =>
    command((abort) =>
      bucket.client.send(
        new ListObjectsV2Command({
          Bucket: bucket.place.bucket,
          Prefix: `${bucket.place.prefix}${prefix}`,
          MaxKeys: bucket.limits.keysPerRequest,
          EncodingType: "url",
          ...(from.token === undefined ? {} : { ContinuationToken: from.token }),
          ...(from.after === undefined || from.token !== undefined
            ? {}
            : { StartAfter: `${bucket.place.prefix}${from.after}` })
        }),
        abort
      )
    ).pipe(
      Effect.flatMap((answer) =>
        Effect.try({
          try: () => pageIn(bucket, answer),
          catch: (cause) => {
            const why =
              cause instanceof Unlistable ? cause.message : "the store listed a key that is not rightly encoded"
            return trouble(why, { unsure: false, again: false })
          }
        })
      )
    )
  )

/** A key that was not deleted, and why. */
export interface Left {
  readonly key: string
  readonly trouble: Trouble
}

const leftIn = (bucket: Bucket, answer: DeleteObjectsCommandOutput): ReadonlyArray<Left> =>
  (answer.Errors ?? [])
    .filter(({ Code }) => Code !== "NoSuchKey")
    .map(({ Code, Key, Message }) => ({
      key: (Key ?? "").slice(bucket.place.prefix.length),
      trouble: trouble(wordsOf(undefined, { code: Code ?? "Unknown", message: Message ?? "" }), {
        unsure: true,
        again: passes(undefined, Code ?? "")
      })
    }))

/** Deletes up to a thousand keys; those that the store could not delete this time are asked for again. */
export const removePage = Effect.fnUntraced(function* (bucket: Bucket, keys: ReadonlyArray<string>) {
  let left = keys
  let blamed: Left | undefined
  const attempt = Effect.fnUntraced(function* () {
    const Objects = left.map((key) => ({ Key: `${bucket.place.prefix}${key}` }))
    const answer = yield* command((abort) =>
      bucket.client.send(
        new DeleteObjectsCommand({ Bucket: bucket.place.bucket, Delete: { Objects, Quiet: true } }),
        abort
      )
    )
    const failed = leftIn(bucket, answer)
    blamed = failed.find((one) => !one.trouble.again) ?? failed[0]
    if (blamed === undefined) return
    left = failed.map((one) => one.key)
    const others = failed.length > 1 ? `, and ${failed.length - 1} other keys are left too` : ""
    return yield* Effect.fail({ ...blamed.trouble, why: `${blamed.trouble.why}${others}` })
  })
  yield* persist(bucket.limits, attempt).pipe(
    Effect.mapError((failure) => ({ key: blamed?.key ?? keys[0] ?? "", trouble: failure }) satisfies Left)
  )
})
