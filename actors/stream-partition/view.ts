/** What a partition tells: of one stream, of many, and of what was appended to them. */
import { streamPageMax } from "../../messages/limits.ts"
import type { QueryOf, RefusalOf } from "../../messages/protocol.ts"
import { isJsonType } from "../../messages/stream.ts"
import type { StreamInfo, StreamPartition, Wire } from "../../messages/stream-partition.ts"
import type { StoredPart } from "./payload.ts"
import { tellProof } from "./proof.ts"
import { find, glance, type State, type Stream } from "./state.ts"
import { told } from "./subscriber.ts"
import { usageOf } from "./usage.ts"

type Refusal = RefusalOf<StreamPartition>
type Answered = { readonly reply: unknown } | { readonly refused: Refusal }

/** What a reply may refer to of segments: one response's worth. */
const sealedBytesMax = 16 * 1024 * 1024

/** What a reply may hold of payloads, so that escaping cannot make it larger than a message. */
const readBytesMax = 128 * 1024

export const infoOf = (stream: Stream): StreamInfo => ({
  stream: stream.key,
  contentType: stream.contentType,
  tail: stream.tail,
  closed: stream.closed,
  createdAt: stream.createdAt,
  writtenAt: stream.writtenAt,
  floor: stream.floor,
  producers: stream.producers?.size ?? 0,
  forks: stream.pins?.size ?? 0,
  ...(stream.ttlS !== undefined && { ttlS: stream.ttlS }),
  ...(stream.expiresAt !== undefined && { expiresAt: stream.expiresAt }),
  ...(stream.snapshot !== undefined && { snapshot: stream.snapshot.offset }),
  ...(stream.data !== undefined && stream.data.sealedTo > 0 && { sealed: stream.data.sealedTo }),
  ...(stream.origin !== undefined && { forkedFrom: stream.origin }),
  ...(stream.attributes !== undefined && { attributes: stream.attributes }),
  ...(stream.proof !== undefined && { proof: stream.proof.digest })
})

export const absence = (key: string, absent: "missing" | "gone"): Refusal =>
  absent === "gone" ? { _tag: "StreamGone", stream: key } : { _tag: "NoSuchStream", stream: key }

export const answer = (state: State, query: QueryOf<StreamPartition>, { at }: { readonly at: number }): Answered => {
  if (query._tag === "ListStreams") return list(state, query, at)
  if (query._tag === "ShowUsage") return { reply: usageOf(state, query) }
  if (query._tag === "ShowSubscription") {
    const subscriber = state.subscribers.get(query.id)
    if (subscriber === undefined) return { refused: { _tag: "NoSuchSubscription", id: query.id } }
    return { reply: { subscription: told(subscriber) } }
  }
  if (query._tag === "ReadUnit") return unit(state, query.stream, query.from)
  const shared = query._tag === "ReadStream" ? query.sharedUpTo : undefined
  const kept = shared === undefined ? undefined : state.streams.get(query.stream)
  const found = kept === undefined ? find(state, query.stream, at) : { stream: kept }
  if ("absent" in found) return { refused: absence(query.stream, found.absent) }
  const { stream } = found
  if (query._tag === "ShowProof") return tellProof(stream)
  if (query._tag === "ShowStream") return { reply: { info: infoOf(stream) } }
  if (query._tag === "ReadStream") return read(stream, query)
  const { snapshot } = stream
  return snapshot === undefined ? { refused: { _tag: "NoSnapshot" } } : { reply: { snapshot } }
}

/**
 * Whether an append begins there. Within a segment only its index knows: whoever sends a command has looked, for a
 * decision may not read objects.
 */
export const isUnit = ({ data }: Stream, offset: number): boolean =>
  data?.unitAt(offset)?.from === offset || data?.sealedAt(offset) !== undefined

/** Also of a stream that is kept for its forks alone: they ask. */
const unit = (state: State, key: string, from: number): Answered => {
  const stream = state.streams.get(key)
  if (stream === undefined) return { refused: absence(key, "missing") }
  const sealed = stream.data?.sealedAt(from)
  if (sealed !== undefined) return { reply: { wire: storedWire(sealed) } }
  const found = stream.data?.unitAt(from)
  if (found === undefined || found.from !== from)
    return { refused: { _tag: "BadForkOffset", why: "no append begins there" } }
  return { reply: { wire: wireOf(stream, from, found.end) } }
}

const storedWire = ({ object, size, skip, segment }: StoredPart): Wire => ({
  ...{ object, size, count: 0 },
  ...(segment !== undefined && { segment: { ...segment, skip } })
})

/** A range as it would be appended to another stream. */
const wireOf = (stream: Stream, from: number, to: number): Wire => {
  const parts = stream.data?.parts(from, to) ?? []
  const [only] = parts
  if (only !== undefined && !Buffer.isBuffer(only)) return storedWire(only)
  const bytes = Buffer.concat(parts.filter((part) => Buffer.isBuffer(part)))
  const text = isJsonType(stream.contentType) || isText(bytes) ? { text: bytes.toString() } : undefined
  return { ...(text ?? { base64: bytes.toString("base64") }), size: bytes.length, count: 0 }
}

const isText = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes)

interface Range {
  readonly from: number
  readonly bytesMax?: number
  readonly sharedUpTo?: number
}

/** Of the stream's own appends: what it shares with a source is read from the source. */
const read = (stream: Stream, { from, bytesMax = readBytesMax, sharedUpTo }: Range): Answered => {
  if (from < stream.floor && sharedUpTo === undefined) return { refused: { _tag: "BelowFloor", floor: stream.floor } }
  const base = stream.origin?.offset ?? 0
  const wires: Array<Wire> = []
  const end = Math.min(stream.tail, sharedUpTo ?? stream.tail)
  let next = Math.min(Math.max(from, base), end)
  for (let bytes = 0; next < end && bytes < Math.min(bytesMax, readBytesMax); ) {
    // The reader fetches what lies in a segment by itself: of that, there may be as much as it asked for.
    const sealed = stream.data?.sealedAt(next)
    if (sealed !== undefined && next - from < sealedBytesMax) {
      const size = Math.min(sealed.size, end - next)
      wires.push(storedWire({ ...sealed, size }))
      next += size
      continue
    }
    const found = stream.data?.unitAt(next)
    if (found === undefined) break
    if (wires.length > 0 && bytes + found.end - found.from > readBytesMax) break
    wires.push(wireOf(stream, found.from, found.end))
    bytes += found.end - found.from
    next = found.end
  }
  return { reply: { info: infoOf(stream), from: Math.min(from, end), next, wires } }
}

const list = (
  state: State,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit?: number },
  at: number
): Answered => {
  const size = Math.min(Math.max(limit ?? streamPageMax, 1), streamPageMax)
  const keys: Array<string> = []
  for (const key of state.streams.keys())
    if (key.startsWith(prefix) && (after === undefined || key > after)) keys.push(key)
  keys.sort()
  const streams: Array<StreamInfo> = []
  for (const key of keys) {
    const found = glance(state, key, at)
    if (!("stream" in found)) continue
    if (streams.length === size) return { reply: { streams, more: true } }
    streams.push(infoOf(found.stream))
  }
  return { reply: { streams, more: false } }
}
