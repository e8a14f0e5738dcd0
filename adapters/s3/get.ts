/** Reads objects and parts of them: whole, of the length that was promised, and with the checksum that was stored. */
import { crc32 } from "node:zlib"
import { Effect } from "effect"
import { ObjectMissing, type Range } from "../../runtime/ports/objects.ts"
import { headerOf, saidIn, troubleIn } from "./answer.ts"
import type { Bucket } from "./bucket.ts"
import { type Answer, trouble } from "./exchange.ts"
import { persist } from "./retry.ts"

/** What one buffer may hold here; larger objects are read in ranges. */
const wholeBytesMax = 2 ** 31 - 1

const none = new Uint8Array(0)

/** The parts of `bytes 5-9/100`. */
const contentRange = (answer: Answer): { from: number; to: number; size: number } | undefined => {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headerOf(answer, "content-range") ?? "")
  return found === null ? undefined : { from: Number(found[1]), to: Number(found[2]), size: Number(found[3]) }
}

/** Why these bytes are not the range that was asked for, or nothing when they are. */
const rangeFault = (answer: Answer, { length, offset }: Range): string | undefined => {
  const given = contentRange(answer)
  if (given === undefined) return "a part of an object came without saying which part"
  const to = Math.min(offset + length, given.size) - 1
  if (given.from !== offset || given.to !== to || answer.body.length !== to - offset + 1) {
    return `asked for the bytes ${offset}-${to}, and got ${given.from}-${given.to} in ${answer.body.length}`
  }
  return undefined
}

/** A checksum of parts' checksums ends in their number, and says nothing about the bytes as they come. */
const checksumFault = (answer: Answer): string | undefined => {
  const stored = headerOf(answer, "x-amz-checksum-crc32")
  if (stored === undefined || stored.includes("-")) return undefined
  if (headerOf(answer, "x-amz-checksum-type") === "COMPOSITE") return undefined
  const found = Buffer.alloc(4)
  found.writeUInt32BE(crc32(answer.body))
  return found.toString("base64") === stored ? undefined : "the bytes fail the checksum that was stored with them"
}

/** Codes of 404 that are about the object; HEAD has no body to say more. */
export const isMissing = (answer: Answer): boolean => {
  if (answer.status !== 404) return false
  const { code } = saidIn(answer)
  return code === "" || code === "NoSuchKey" || code === "NotFound"
}

export const get = (bucket: Bucket) => {
  const whole = [["x-amz-checksum-mode", "ENABLED"]] as const
  const headers = bucket.place.checksum ? whole : []

  const getWhole = Effect.fnUntraced(function* (key: string) {
    const answer = yield* bucket.ask({ method: "GET", key, headers, bytesMax: wholeBytesMax })
    if (isMissing(answer)) return yield* new ObjectMissing({ key })
    if (answer.status !== 200) return yield* Effect.fail(troubleIn(answer))
    const fault = bucket.place.checksum ? checksumFault(answer) : undefined
    return fault === undefined ? answer.body : yield* Effect.fail(trouble(fault, { unsure: false }))
  })
  const getPart = Effect.fnUntraced(function* (key: string, range: Range) {
    const to = range.offset + range.length - 1
    const part = [["range", `bytes=${range.offset}-${to}`]] as const
    const answer = yield* bucket.ask({ method: "GET", key, headers: part, bytesMax: wholeBytesMax })
    if (isMissing(answer)) return yield* new ObjectMissing({ key })
    if (answer.status === 416) return none
    // A store may answer with all of it, as HTTP allows; of an empty object there are no ranges.
    if (answer.status === 200) return answer.body.subarray(range.offset, range.offset + range.length)
    if (answer.status !== 206) return yield* Effect.fail(troubleIn(answer))
    const fault = rangeFault(answer, range)
    return fault === undefined ? answer.body : yield* Effect.fail(trouble(fault, { unsure: false }))
  })
  const head = Effect.fnUntraced(function* (key: string) {
    const answer = yield* bucket.ask({ method: "HEAD", key, bytesMax: 0 })
    if (isMissing(answer)) return yield* new ObjectMissing({ key })
    const etag = headerOf(answer, "etag")
    const size = headerOf(answer, "content-length")
    if (answer.status !== 200 || etag === undefined || size === undefined) return yield* Effect.fail(troubleIn(answer))
    return { size: Number(size), etag, headers: answer.headers }
  })
  return {
    get: (key: string, range: Range | undefined) =>
      persist(bucket.limits, () => (range === undefined ? getWhole(key) : getPart(key, range))),
    head: (key: string) => persist(bucket.limits, () => head(key))
  }
}
