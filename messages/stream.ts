/** How streams are named, in which partition they live, and how places in them are written. */
import { Schema } from "effect"
import { streamKeyBytesMax } from "./limits.ts"
import { shardOf } from "./subjects.ts"

/** Where a path without a slash lives: `x` is the stream `_default/x`. */
export const defaultBucket = "_default"

/** The first segment of a path that belongs to the service itself. */
export const reservedSegment = "__ds"

const tooLong = `bucket and name may have ${streamKeyBytesMax} bytes at most`
const bucketPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: these cannot stand in a header or in a log line.
const unprintable = /[\x00-\x1f\x7f]/

/** Why this may not name a bucket, or nothing when it may. */
export const bucketFault = (bucket: string): string | undefined => {
  if (bucket === reservedSegment) return `${reservedSegment} is reserved`
  return bucketPattern.test(bucket) ? undefined : "a bucket is 1 to 64 letters, digits, _, - and ."
}

/** Why this may not name a stream, or nothing when it may: a key is the bucket, a slash, and the stream's own name. */
export const streamFault = (key: string): string | undefined => {
  const [bucket = "", ...name] = key.split("/")
  const fault = bucketFault(bucket)
  if (fault !== undefined) return fault
  if (name.length === 0) return "a stream needs a name behind its bucket"
  if (name.some((segment) => segment === "" || segment === "." || segment === ".."))
    return "the segments of a stream's name may not be empty, . or .."
  if (!key.isWellFormed() || unprintable.test(key)) return "a stream's name has to be printable Unicode"
  if (Buffer.byteLength(key) > streamKeyBytesMax) return tooLong
  return undefined
}

/** Streams without the name of an organisation are the operator's own. */
export const operatorOrg = "local"

const orgOfKey = /^@([a-z0-9][a-z0-9-]{0,62})\//

/** Another organisation's name stands before its buckets: `@acme/runs/42`. No bucket begins so. */
export const orgOf = (key: string): string => orgOfKey.exec(key)?.[1] ?? operatorOrg

/** As the stream's own organisation writes it. */
export const ownKey = (key: string): string => key.replace(orgOfKey, "")

/** What this organisation writes so, whether it is a key or the beginning of some. */
export const keyIn = (org: string, key: string): string => (org === operatorOrg ? key : `@${org}/${key}`)

/** Why this may not be a stream's key, whosever it is. */
export const keyFault = (key: string): string | undefined =>
  Buffer.byteLength(key) > streamKeyBytesMax ? tooLong : streamFault(ownKey(key))

/** The key of a path: what has no slash lies in the default bucket. */
export const keyOfPath = (path: string): string => (path.includes("/") ? path : `${defaultBucket}/${path}`)

/** The shortest path of a key. */
export const pathOfKey = (key: string): string => {
  const name = key.startsWith(`${defaultBucket}/`) ? key.slice(defaultBucket.length + 1) : key
  return name.includes("/") ? key : name
}

export const StreamKey = Schema.String.check(
  // Its rough form by itself, so that the finer law is not asked about what can be no key at all.
  Schema.isPattern(
    /^(?:@[a-z0-9][a-z0-9-]{0,62}\/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\/[ -~\u00a0-\u{10ffff}]{1,1000}$/u
  ),
  Schema.makeFilter((key: string) => keyFault(key), { title: "StreamKey" })
)

/** 32-bit FNV-1a over UTF-8. */
const fnv = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 127) return fnvBytes(Buffer.from(text))
    hash = Math.imul(hash ^ code, 0x01000193)
  }
  return hash >>> 0
}

const fnvBytes = (bytes: Uint8Array): number => {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/**
 * The partition of a stream: FNV-1a over bucket and name, or over the bucket and the name's first segment where there
 * are more; and over the organisation before them. So `runs/42/events` and `runs/42/state` live together, and can be
 * appended to in one command.
 */
export const partitionOf = (key: string, partitions: number): number => {
  const first = key.indexOf("/", key.startsWith("@") ? key.indexOf("/") + 1 : 0)
  const second = key.indexOf("/", first + 1)
  return fnv(second < 0 ? key : key.slice(0, second)) % partitions
}

/** A segment of a name as one token of a subject: what is not plain in it stands as its bytes, `%2E` for a dot. */
const subjectToken = (segment: string): string =>
  encodeURIComponent(segment).replaceAll(/[.!~*'()]/g, (plain) => `%${plain.charCodeAt(0).toString(16).toUpperCase()}`)

/** Where what is appended to an organisation's streams is published. */
export const tailsSubject = (org: string): string => `art.v1.tail.${org}.>`

/** Where what is appended to this one is: `art.v1.tail.acme.runs.42.events`. */
export const tailSubject = (key: string): string =>
  `art.v1.tail.${orgOf(key)}.${ownKey(key).split("/").map(subjectToken).join(".")}`

export const partitionKind = "stream-partition"

const idsOf = new Map<number, ReadonlyArray<string>>()

/** The ids of the partitions, one for each shard: the first of p0, p1, p2… that lives in the shard. */
export const partitionIds = (shards: number): ReadonlyArray<string> => {
  const known = idsOf.get(shards)
  if (known !== undefined) return known
  const ids: Array<string | undefined> = Array.from({ length: shards })
  for (let count = 0, found = 0; found < shards; count++) {
    const id = `p${count}`
    const shard = shardOf(partitionKind, id, shards)
    if (ids[shard] !== undefined) continue
    ids[shard] = id
    found += 1
  }
  const all = ids as ReadonlyArray<string>
  idsOf.set(shards, all)
  return all
}

const zeros = "0000000000000000"

/** The start of every stream. */
export const startOffset = `${zeros}_${zeros}`

/** Sorts as a text like the places do: the second number counts bytes, and the first is kept for what may come. */
export const offsetText = (at: number): string => {
  const digits = String(at)
  return `${zeros}_${zeros.slice(digits.length)}${digits}`
}

/** The place, or undefined when the text is no offset. One beyond all places is larger than any stream. */
export const parseOffset = (text: string): number | undefined => {
  if (!/^\d{16}_\d{16}$/.test(text)) return undefined
  const at = Number(text.slice(17))
  return text.startsWith(`${zeros}_`) && at <= Number.MAX_SAFE_INTEGER ? at : Number.MAX_SAFE_INTEGER
}

/** `application/JSON; charset=utf-8` as `application/json`. */
export const mediaOf = (contentType: string): string => {
  const end = contentType.indexOf(";")
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

export const isJsonType = (contentType: string): boolean => mediaOf(contentType) === "application/json"
