/** The flags of `artifacts up` that limit what organisations and their buckets may have of streams. */
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type { Limits, QuotaLimits } from "../http/streams/quota.ts"
import { usage } from "./problem.ts"

const limit = (name: string, description: string) =>
  Flag.Int(name).pipe(Flag.withDescription(description), Flag.withMetavar("N"), Flag.optional)

export const quotaFlags = {
  streamMaxStreams: limit("stream-max-streams", "Streams that an organisation may have"),
  streamMaxBytes: limit("stream-max-bytes", "Bytes that an organisation may have in streams"),
  streamMaxAppends: limit("stream-max-appends", "Appends a second of an organisation, at this node"),
  streamMaxBucketStreams: limit("stream-max-bucket-streams", "Streams that a bucket may have"),
  streamMaxBucketBytes: limit("stream-max-bucket-bytes", "Bytes that a bucket may have"),
  streamMaxBucketAppends: limit("stream-max-bucket-appends", "Appends a second in a bucket, at this node")
}

type Given = { readonly [Name in keyof typeof quotaFlags]: Option.Option<number> }

const limitsOf = (all: { readonly [Name in keyof Limits]-?: Option.Option<number> }): Limits =>
  Object.fromEntries(
    Object.entries(all).flatMap(([name, given]) => (Option.isSome(given) ? [[name, given.value] as const] : []))
  )

/** Undefined when nothing is limited. */
export const readLimits = Effect.fnUntraced(function* (given: Given) {
  for (const [name, value] of Object.entries(given)) {
    const flag = name in quotaFlags ? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`) : undefined
    if (flag !== undefined && Option.isSome(value) && (!Number.isSafeInteger(value.value) || value.value < 1))
      return yield* usage(`--${flag} ${value.value}: at least 1`)
  }
  const organisation = limitsOf({
    streams: given.streamMaxStreams,
    bytes: given.streamMaxBytes,
    appends: given.streamMaxAppends
  })
  const bucket = limitsOf({
    streams: given.streamMaxBucketStreams,
    bytes: given.streamMaxBucketBytes,
    appends: given.streamMaxBucketAppends
  })
  const limits: QuotaLimits = { organisation, bucket }
  return Object.keys({ ...organisation, ...bucket }).length > 0 ? limits : undefined
})
