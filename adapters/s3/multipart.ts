/** Puts a large object in parts, side by side: it exists once the last request has joined them, or not at all. */
import { randomUUID } from "node:crypto"
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand
} from "@aws-sdk/client-s3"
import { Effect } from "effect"
import { type Condition, ObjectConflict } from "../../runtime/ports/objects.ts"
import { headerOf, troubleIn } from "./answer.ts"
import type { Bucket } from "./bucket.ts"
import { command } from "./control.ts"
import { type Trouble, trouble } from "./exchange.ts"
import { get } from "./get.ts"
import { partsMax } from "./limits.ts"
import { bodyOf, markHeader } from "./put.ts"
import { persist } from "./retry.ts"

interface Part {
  readonly number: number
  readonly bytes: Uint8Array
}

/** An upload that has begun. */
interface Upload {
  readonly bucket: Bucket
  readonly key: string
  readonly id: string
  readonly mark: string
  readonly condition: Condition | undefined
}

const partsOf = (bucket: Bucket, bytes: Uint8Array): ReadonlyArray<Part> => {
  const partBytes = Math.max(bucket.limits.partBytes, Math.ceil(bytes.length / partsMax))
  const parts: Array<Part> = []
  for (let at = 0; at < bytes.length; at += partBytes) {
    parts.push({ number: parts.length + 1, bytes: bytes.subarray(at, at + partBytes) })
  }
  return parts
}

const create = (bucket: Bucket, key: string, mark: string): Effect.Effect<string, Trouble> =>
  persist(bucket.limits, () =>
    command((abort) =>
      bucket.client.send(
        new CreateMultipartUploadCommand({
          Bucket: bucket.place.bucket,
          Key: `${bucket.place.prefix}${key}`,
          Metadata: { [markHeader.replace("x-amz-meta-", "")]: mark },
          ...(bucket.place.checksum ? { ChecksumAlgorithm: "CRC32" } : {})
        }),
        abort
      )
    ).pipe(
      Effect.flatMap(({ UploadId }) =>
        UploadId === undefined
          ? Effect.fail(trouble("the store began an upload without a name", { unsure: false }))
          : Effect.succeed(UploadId)
      )
    )
  )

const send = ({ bucket, id: uploadId, key }: Upload, part: Part): Effect.Effect<CompletedPart, Trouble> =>
  Effect.suspend(() => {
    const { checksum, headers, payload } = bodyOf(bucket, part.bytes)
    const query = { partNumber: String(part.number), uploadId }
    const attempt = Effect.flatMap(
      bucket.ask({ method: "PUT", key, query, headers, body: part.bytes, payload, bytesMax: 0 }),
      (answer): Effect.Effect<CompletedPart, Trouble> => {
        const ETag = headerOf(answer, "etag")
        if (answer.status !== 200 || ETag === undefined) return Effect.fail(troubleIn(answer))
        return Effect.succeed({
          PartNumber: part.number,
          ETag,
          ...(checksum === undefined ? {} : { ChecksumCRC32: checksum })
        })
      }
    )
    return persist(bucket.limits, () => attempt)
  })

const conditionOf = (condition: Condition | undefined) => {
  if (condition === undefined) return {}
  return "absent" in condition ? { IfNoneMatch: "*" } : { IfMatch: condition.etag }
}

/** Names a refusal by the store's own code, which stands first in the words. */
const says = (failure: Trouble, ...codes: ReadonlyArray<string>): boolean =>
  codes.some((code) => failure.why.startsWith(code))

const join = ({ bucket, condition, id, key }: Upload, Parts: Array<CompletedPart>): Effect.Effect<string, Trouble> =>
  command((abort) =>
    bucket.client.send(
      new CompleteMultipartUploadCommand({
        Bucket: bucket.place.bucket,
        Key: `${bucket.place.prefix}${key}`,
        UploadId: id,
        MultipartUpload: { Parts },
        ...conditionOf(condition)
      }),
      abort
    )
  ).pipe(
    Effect.flatMap(({ ETag }) =>
      ETag === undefined ? Effect.fail(trouble("the store gave no etag", { unsure: true })) : Effect.succeed(ETag)
    )
  )

/** After a lost answer the upload may be joined and so gone, and the condition fail on our own object. */
const settle = Effect.fnUntraced(function* ({ bucket, condition, key, mark }: Upload, failed: Trouble) {
  const found = yield* get(bucket)
    .head(key)
    .pipe(Effect.catchTag("ObjectMissing", () => Effect.succeed(undefined)))
  if (found?.headers[markHeader] === mark) return found.etag
  const wasFree = condition !== undefined && "absent" in condition
  return wasFree && found !== undefined && says(failed, "PreconditionFailed")
    ? yield* new ObjectConflict({ key })
    : yield* Effect.fail(trouble(`an answer was lost: ${failed.why}`, { unsure: true, over: true }))
})

const complete = (upload: Upload, parts: Array<CompletedPart>): Effect.Effect<string, Trouble | ObjectConflict> =>
  persist(upload.bucket.limits, (past) =>
    join(upload, parts).pipe(
      Effect.catch((failed): Effect.Effect<string, Trouble | ObjectConflict> => {
        const refused = upload.condition !== undefined && says(failed, "PreconditionFailed", "NoSuchKey")
        if (past.unsure && (refused || says(failed, "NoSuchUpload"))) return settle(upload, failed)
        return Effect.fail(refused ? new ObjectConflict({ key: upload.key }) : failed)
      })
    )
  )

/** Parts that are not joined cost money until they are aborted; a rule of the bucket catches those of dead hosts. */
const abandon = ({ bucket, id, key }: Upload): Effect.Effect<void> =>
  command((abort) =>
    bucket.client.send(
      new AbortMultipartUploadCommand({
        Bucket: bucket.place.bucket,
        Key: `${bucket.place.prefix}${key}`,
        UploadId: id
      }),
      abort
    )
  ).pipe(
    Effect.asVoid,
    Effect.catch((failed) =>
      says(failed, "NoSuchUpload")
        ? Effect.void
        : Effect.logWarning("an upload in parts is left behind", {
            place: bucket.name,
            key,
            why: bucket.redact(failed.why)
          })
    )
  )

export const putInParts = (bucket: Bucket) =>
  Effect.fnUntraced(function* (key: string, bytes: Uint8Array, condition?: Condition) {
    const mark = randomUUID()
    const upload: Upload = { bucket, key, mark, condition, id: yield* create(bucket, key, mark) }
    return yield* Effect.forEach(partsOf(bucket, bytes), (part) => send(upload, part), {
      concurrency: bucket.limits.partsAtOnce
    }).pipe(
      Effect.flatMap((parts) => complete(upload, parts)),
      Effect.onError(() => abandon(upload))
    )
  })
