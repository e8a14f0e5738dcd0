/** Puts an object in one request, and finds out what became of a conditional put whose answer was lost. */
import { hash, randomUUID } from "node:crypto"
import { crc32 } from "node:zlib"
import { Effect } from "effect"
import { type Condition, ObjectConflict } from "../../runtime/ports/objects.ts"
import { headerOf, saidIn, troubleIn } from "./answer.ts"
import type { Bucket } from "./bucket.ts"
import { type Answer, trouble } from "./exchange.ts"
import { get } from "./get.ts"
import { type Past, persist } from "./retry.ts"
import { unsignedPayload } from "./sign.ts"

/** Each conditional put leaves its own mark with the object, so that its writer knows it again. */
export const markHeader = "x-amz-meta-artifacts-put"

export const conditionHeaders = (condition: Condition | undefined): ReadonlyArray<readonly [string, string]> => {
  if (condition === undefined) return []
  return "absent" in condition ? [["if-none-match", "*"]] : [["if-match", condition.etag]]
}

/** 412, and with an etag also 404: what should have been replaced is gone. */
export const isConflict = (answer: Answer, condition: Condition | undefined): boolean => {
  if (condition === undefined) return false
  if (answer.status === 412) return true
  return "etag" in condition && answer.status === 404 && saidIn(answer).code !== "NoSuchBucket"
}

/** The body as it is sent, with what proves it whole. */
export const bodyOf = (bucket: Bucket, bytes: Uint8Array) => {
  const headers: Array<readonly [string, string]> = [["content-length", String(bytes.length)]]
  let checksum: string | undefined
  if (bucket.place.checksum) {
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(bytes))
    checksum = sum.toString("base64")
    headers.push(["x-amz-checksum-crc32", checksum])
  }
  return { headers, checksum, payload: bucket.place.signPayload ? hash("sha256", bytes, "hex") : unsignedPayload }
}

export const put = (bucket: Bucket) => {
  const { head } = get(bucket)

  /**
   * A refused condition after an attempt of unknown fate: the object there may be our own. If it carries our mark it
   * is; if not, a new object under a free key was somebody else's first, but one that we meant to replace may have
   * been ours and then have been replaced in its turn: that stays unknown, and is said.
   */
  const resolve = Effect.fnUntraced(function* (key: string, mark: string, condition: Condition) {
    const found = yield* head(key).pipe(Effect.catchTag("ObjectMissing", () => Effect.succeed(undefined)))
    if (found?.headers[markHeader] === mark) return found.etag
    if (found === undefined) {
      return yield* Effect.fail(trouble("an answer was lost, and what then refused the put is gone", { unsure: true }))
    }
    if ("absent" in condition) return yield* new ObjectConflict({ key })
    const why = "an answer was lost, and another object is there now: whether this one was in between is not known"
    return yield* Effect.fail(trouble(why, { unsure: true, over: true }))
  })

  const attempt = Effect.fnUntraced(function* (
    key: string,
    bytes: Uint8Array,
    sent: {
      readonly headers: ReadonlyArray<readonly [string, string]>
      readonly payload: string
      readonly mark: string
    },
    condition: Condition | undefined,
    past: Past
  ) {
    const { headers, mark, payload } = sent
    const answer = yield* bucket.ask({ method: "PUT", key, headers, body: bytes, payload, bytesMax: 0 })
    const etag = headerOf(answer, "etag")
    if (answer.status === 200 && etag !== undefined) return etag
    if (condition !== undefined && isConflict(answer, condition)) {
      return past.unsure ? yield* resolve(key, mark, condition) : yield* new ObjectConflict({ key })
    }
    return yield* Effect.fail(troubleIn(answer))
  })

  return (key: string, bytes: Uint8Array, condition?: Condition) =>
    Effect.suspend(() => {
      const { headers, payload } = bodyOf(bucket, bytes)
      const mark = condition === undefined ? "" : randomUUID()
      headers.push(...conditionHeaders(condition))
      if (condition !== undefined) headers.push([markHeader, mark])
      return persist(bucket.limits, (past) => attempt(key, bytes, { headers, payload, mark }, condition, past))
    })
}
