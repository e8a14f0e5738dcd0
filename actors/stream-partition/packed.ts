/** A stream as bytes: what a snapshot holds of it, and what memory holds of one that nobody uses. */
import { Data, type SavedData } from "./payload.ts"
import type { Heard, Stream } from "./state.ts"

/*
 * All numbers are little-endian.
 *
 *   record = u32 length of all of it, u16 flags, u16 length of the key, u32 length of the content type,
 *            u32 length of the rest, u32 bytes of payload, f64 created, f64 tail, f64 floor, f64 touched, f64 written,
 *            the key, the content type, the rest as JSON, the payload
 */
const headBytes = 60

const isClosed = 1
const isHidden = 2
const isStored = 4
/** The key is of ASCII alone. */
const isPlain = 8

/** What few streams have. */
interface Rest extends Partial<Pick<Stream, "ttlS" | "expiresAt" | "expiresMs" | "origin" | "closedBy" | "seq">> {
  readonly producers?: ReadonlyArray<readonly [string, Heard]>
  readonly pins?: ReadonlyArray<readonly [string, number]>
  readonly attributes?: Stream["attributes"]
  readonly snapshot?: Stream["snapshot"]
  readonly proof?: Stream["proof"]
  readonly data?: SavedData
}

const restOf = ({ ttlS, expiresAt, expiresMs, origin, closedBy, seq, ...stream }: Stream): Rest => ({
  ...{ ttlS, expiresAt, expiresMs, origin, closedBy, seq, attributes: stream.attributes, snapshot: stream.snapshot },
  ...(stream.proof !== undefined && { proof: stream.proof }),
  ...(stream.producers !== undefined && { producers: [...stream.producers] }),
  ...(stream.pins !== undefined && { pins: [...stream.pins] }),
  ...(stream.data !== undefined && { data: stream.data.save() })
})

/** `room` gives a piece of memory of this length, of which nobody else writes. */
export const pack = (stream: Stream, room: (length: number) => Buffer = Buffer.allocUnsafe): Buffer => {
  const { key, contentType, createdAt, tail, floor, touchedAt, writtenAt, closed, hidden, data } = stream
  const text = JSON.stringify(restOf(stream))
  const rest = text === "{}" ? "" : text
  const payload = data?.buffers() ?? []
  const sizes = [key, contentType, rest].map((each) => Buffer.byteLength(each)) as [number, number, number]
  const [keyBytes, typeBytes, restBytes] = sizes
  const hotBytes = payload.reduce((sum, { length }) => sum + length, 0)
  const record = room(headBytes + keyBytes + typeBytes + restBytes + hotBytes)
  record.writeUInt32LE(record.length, 0)
  const flags = (closed ? isClosed : 0) | (hidden ? isHidden : 0) | (data?.isStored === true ? isStored : 0)
  record.writeUInt16LE(flags | (keyBytes === key.length ? isPlain : 0), 4)
  record.writeUInt16LE(keyBytes, 6)
  record.writeUInt32LE(typeBytes, 8)
  record.writeUInt32LE(restBytes, 12)
  record.writeUInt32LE(hotBytes, 16)
  for (const [index, each] of [createdAt, tail, floor, touchedAt, writtenAt].entries())
    record.writeDoubleLE(each, 20 + 8 * index)
  let at = headBytes
  for (const each of [key, contentType, rest]) at += record.write(each, at)
  for (const each of payload) at += each.copy(record, at)
  return record
}

export const lengthAt = (bytes: Buffer, at: number): number => bytes.readUInt32LE(at)

/** Most keys are plain, and read so in half the time. */
export const keyAt = (bytes: Buffer, at: number): string => {
  const encoding = (bytes.readUInt16LE(at + 4) & isPlain) === 0 ? "utf8" : "latin1"
  return bytes.toString(encoding, at + headBytes, at + headBytes + bytes.readUInt16LE(at + 6))
}

/** What is asked of all streams at once. */
export interface Facts {
  readonly createdAt: number
  readonly writtenAt: number
  readonly tail: number
  readonly floor: number
  /** Payload in memory. */
  readonly hotBytes: number
  /** It has data in objects. */
  readonly isStored: boolean
}

export const factsAt = (bytes: Buffer, at: number): Facts => ({
  createdAt: bytes.readDoubleLE(at + 20),
  writtenAt: bytes.readDoubleLE(at + 52),
  tail: bytes.readDoubleLE(at + 28),
  floor: bytes.readDoubleLE(at + 36),
  hotBytes: bytes.readUInt32LE(at + 16),
  isStored: (bytes.readUInt16LE(at + 4) & isStored) !== 0
})

export const unpackAt = (bytes: Buffer, start: number): Stream => {
  const flags = bytes.readUInt16LE(start + 4)
  const [keyEnd, typeEnd, restEnd] = endsAt(bytes, start)
  const rest: Rest = restEnd === typeEnd ? {} : (JSON.parse(bytes.toString("utf8", typeEnd, restEnd)) as Rest)
  let at = restEnd
  const take = (size: number): Buffer => {
    at += size
    return bytes.subarray(at - size, at)
  }
  const [createdAt, tail, floor, touchedAt, writtenAt] = [0, 8, 16, 24, 32].map((skip) =>
    bytes.readDoubleLE(start + 20 + skip)
  ) as [number, number, number, number, number]
  return {
    ...{ key: keyAt(bytes, start), contentType: typeOf(bytes.toString("utf8", keyEnd, typeEnd)), createdAt },
    ...{ ttlS: rest.ttlS, expiresAt: rest.expiresAt, expiresMs: rest.expiresMs, origin: rest.origin },
    ...{ tail, floor, closed: (flags & isClosed) !== 0, closedBy: rest.closedBy, touchedAt, writtenAt, seq: rest.seq },
    producers: rest.producers === undefined ? undefined : new Map(rest.producers),
    data: rest.data === undefined ? undefined : Data.load(rest.data, take),
    pins: rest.pins === undefined ? undefined : new Map(rest.pins),
    hidden: (flags & isHidden) !== 0,
    attributes: rest.attributes,
    snapshot: rest.snapshot,
    proof: rest.proof
  }
}

const endsAt = (bytes: Buffer, at: number): [number, number, number] => {
  const keyEnd = at + headBytes + bytes.readUInt16LE(at + 6)
  const typeEnd = keyEnd + bytes.readUInt32LE(at + 8)
  return [keyEnd, typeEnd, typeEnd + bytes.readUInt32LE(at + 12)]
}

/** Most streams are of few types: each is one text in memory. */
const types = new Map<string, string>()
const typesMax = 256

const typeOf = (text: string): string => {
  const known = types.get(text)
  if (known !== undefined) return known
  if (types.size < typesMax) types.set(text, text)
  return text
}
