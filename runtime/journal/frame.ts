/** A frame holds the entries of one append, or one claim, as bytes: what journals store, and all that they store. */
import { crc32 } from "node:zlib"
import type { Entry, Position } from "../../messages/entry.ts"
import { batchBytesMax, batchEntriesMax, entryBytesMax } from "../../messages/limits.ts"
import type { Read } from "../ports/journal.ts"

/** The place of an entry: its frame's place in the log, and its own within the frame. Sequences begin with 1. */
export const positionOf = (sequence: number, index: number): Position => sequence * batchEntriesMax + index
export const sequenceOf = (position: Position): number => Math.floor(position / batchEntriesMax)
export const indexOf = (position: Position): number => position % batchEntriesMax

/*
 * All numbers are little-endian.
 *
 *   header  0 magic · 4 checksum of everything from byte 8 to the end of the heads · 8 format · 9 flags
 *           10 count (u16) · 12 bytes of the heads (u32) · 16 bytes of the frame (u32)
 *           20 epoch (f64) · 28 sequence (f64)
 *           36 ordinal: the how many-th of its claim it is, from 1 on; 0 for the claim itself (f64)
 *   heads   one after another: 0 version (f64) · 8 at (f64) · 16 due (f64)
 *           24 lengths of kind, id, cause and caller (4 × u16) · 32 name: bytes and encoding (u32)
 *           36 events length (u32) · 40 reply length (u32) · 44 body: bytes and encoding (u32)
 *           48 the body's checksum (u32) · 52 the name: kind, id, cause and caller as one text
 *   bodies  one after another: events and reply as one text
 *
 * Lengths count UTF-16 units and bytes count bytes. A body's checksum goes on from that of the body before it: so the
 * last one vouches for all of them at once, and when it does not, each is checked alone, for the heads vouch for its
 * start.
 * The heads of a claim are its owner's name, in UTF-8. One that was written without knowing its sequence says 0, and
 * its epoch is then the sequence at which it was found.
 */
const magic = 0x4c545241
const format = 1
const claimFlag = 1
const headerBytes = 44
const headBytes = 52
const bytesMask = 0x3fff_ffff
const ascii = 0
const utf8 = 1
/** For text that is not well-formed Unicode, which UTF-8 cannot carry. */
const utf16 = 2

/** What encoding a text gets, above its bytes: one integer, for a pair would be an object for every entry. */
const extentOf = (text: string): number => {
  const bytes = Buffer.byteLength(text)
  if (bytes === text.length) return bytes
  if (text.isWellFormed()) return bytes + utf8 * 0x4000_0000
  return text.length * 2 + utf16 * 0x4000_0000
}
const bytesOf = (extent: number): number => extent & bytesMask
const encodingOf = (extent: number): number => extent >>> 30

const writeText = (frame: Buffer, text: string, at: number, extent: number): void => {
  const encoding = encodingOf(extent)
  if (encoding === ascii) frame.write(text, at, "latin1")
  else if (encoding === utf8) frame.write(text, at, "utf8")
  else frame.write(text, at, "utf16le")
}

const readText = (frame: Buffer, at: number, extent: number): string => {
  const end = at + bytesOf(extent)
  const encoding = encodingOf(extent)
  if (encoding === ascii) return frame.toString("latin1", at, end)
  return encoding === utf8 ? frame.toString("utf8", at, end) : frame.toString("utf16le", at, end)
}

const nameOf = (entry: Entry): string => entry.kind + entry.id + entry.cause + entry.caller
const bodyOf = (entry: Entry): string => entry.events + entry.reply

/** What an entry takes of a frame. One above `entryBytesMax` is to be refused before it comes to a journal. */
export const entryBytes = (entry: Entry): number =>
  headBytes + bytesOf(extentOf(nameOf(entry))) + bytesOf(extentOf(bodyOf(entry)))

const tooLarge = (entry: Entry, bytes: number): Error =>
  new Error(`entry ${entry.version} of ${entry.kind}/${entry.id} takes ${bytes} bytes, above ${entryBytesMax}`)

/** Dies on an entry above the limit, without counting the bytes of one that is far below it. */
export const mustFit = (entry: Entry): void => {
  if ((nameOf(entry).length + entry.events.length + entry.reply.length) * 3 + headBytes <= entryBytesMax) return
  const bytes = entryBytes(entry)
  if (bytes > entryBytesMax) throw tooLarge(entry, bytes)
}

/** Entries on their way into one frame, with their texts and extents, so that nothing is measured twice. */
class Gathered {
  readonly entries: Array<Entry> = []
  readonly names: Array<string> = []
  readonly nameExtents: Array<number> = []
  readonly bodies: Array<string> = []
  readonly bodyExtents: Array<number> = []
  headsBytes = 0
  bodiesBytes = 0

  /** Takes the entry, or answers false when it belongs into the next frame. */
  take(entry: Entry): boolean {
    const name = nameOf(entry)
    const body = bodyOf(entry)
    const nameExtent = extentOf(name)
    const bodyExtent = extentOf(body)
    const head = headBytes + bytesOf(nameExtent)
    const bytes = head + bytesOf(bodyExtent)
    if (bytes > entryBytesMax) throw tooLarge(entry, bytes)
    if (this.entries.length === batchEntriesMax) return false
    if (headerBytes + this.headsBytes + this.bodiesBytes + bytes > batchBytesMax) return false
    this.entries.push(entry)
    this.names.push(name)
    this.nameExtents.push(nameExtent)
    this.bodies.push(body)
    this.bodyExtents.push(bodyExtent)
    this.headsBytes += head
    this.bodiesBytes += bytesOf(bodyExtent)
    return true
  }
}

const viewOf = (frame: Buffer): DataView => new DataView(frame.buffer, frame.byteOffset, frame.byteLength)

interface Header {
  readonly flags: number
  readonly count: number
  readonly epoch: number
  readonly sequence: number
  readonly ordinal: number
  readonly headsBytes: number
}

/** Fills in the header last, for its checksum covers the heads. */
const seal = (frame: Buffer, view: DataView, header: Header): Buffer => {
  view.setUint32(0, magic, true)
  view.setUint8(8, format)
  view.setUint8(9, header.flags)
  view.setUint16(10, header.count, true)
  view.setUint32(12, header.headsBytes, true)
  view.setUint32(16, frame.byteLength, true)
  view.setFloat64(20, header.epoch, true)
  view.setFloat64(28, header.sequence, true)
  view.setFloat64(36, header.ordinal, true)
  view.setUint32(4, crc32(frame.subarray(8, headerBytes + header.headsBytes)), true)
  return frame
}

/** The same frame for another place in the log. */
export const moved = (frame: Buffer, sequence: number): Buffer => {
  const copy = Buffer.from(frame)
  const view = viewOf(copy)
  view.setFloat64(28, sequence, true)
  view.setUint32(4, crc32(copy.subarray(8, headerBytes + view.getUint32(12, true))), true)
  return copy
}

const setLength = (view: DataView, at: number, text: string): void => {
  if (text.length > 0xffff) throw new Error(`a name of ${text.length} characters does not fit into an entry`)
  view.setUint16(at, text.length, true)
}

const frameOf = (gathered: Gathered, place: Place): Buffer => {
  const { bodies, bodyExtents, entries, headsBytes, nameExtents, names } = gathered
  const frame = Buffer.allocUnsafe(headerBytes + headsBytes + gathered.bodiesBytes)
  const view = viewOf(frame)
  let head = headerBytes
  let body = headerBytes + headsBytes
  let checksum = 0
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index] as Entry
    const nameExtent = nameExtents[index] as number
    const bodyExtent = bodyExtents[index] as number
    const bodyEnd = body + bytesOf(bodyExtent)
    writeText(frame, bodies[index] as string, body, bodyExtent)
    checksum = crc32(frame.subarray(body, bodyEnd), checksum)
    view.setFloat64(head, entry.version, true)
    view.setFloat64(head + 8, entry.at, true)
    view.setFloat64(head + 16, entry.due, true)
    setLength(view, head + 24, entry.kind)
    setLength(view, head + 26, entry.id)
    setLength(view, head + 28, entry.cause)
    setLength(view, head + 30, entry.caller)
    view.setUint32(head + 32, nameExtent, true)
    view.setUint32(head + 36, entry.events.length, true)
    view.setUint32(head + 40, entry.reply.length, true)
    view.setUint32(head + 44, bodyExtent, true)
    view.setUint32(head + 48, checksum, true)
    writeText(frame, names[index] as string, head + headBytes, nameExtent)
    head += headBytes + bytesOf(nameExtent)
    body = bodyEnd
  }
  return seal(frame, view, { ...place, count: entries.length, flags: 0, headsBytes })
}

/** Whose frame it is, which of its owner's, and where in the log it is to stand. */
export interface Place {
  readonly epoch: number
  readonly ordinal: number
  readonly sequence: number
}

/** The entries as frames within the limits of one message, for this place in the log and the ones behind it. */
export const framesOf = (entries: ReadonlyArray<Entry>, { epoch, ordinal, sequence }: Place): Array<Buffer> => {
  const place = (index: number): Place => ({ epoch, ordinal: ordinal + index, sequence: sequence + index })
  const frames: Array<Buffer> = []
  let gathered = new Gathered()
  for (const entry of entries) {
    if (gathered.take(entry)) continue
    frames.push(frameOf(gathered, place(frames.length)))
    gathered = new Gathered()
    if (!gathered.take(entry)) throw new Error("an entry within the limit has to fit into an empty frame")
  }
  if (gathered.entries.length > 0) frames.push(frameOf(gathered, place(frames.length)))
  return frames
}

/** The frame by which an owner takes a log over; epoch and sequence are 0 where the log itself gives them. */
export const claimOf = (owner: string, epoch: number, sequence: number): Buffer => {
  const headsBytes = Buffer.byteLength(owner)
  if (headerBytes + headsBytes > batchBytesMax) throw new Error("the name of an owner has to fit into a frame")
  const frame = Buffer.allocUnsafe(headerBytes + headsBytes)
  frame.write(owner, headerBytes)
  return seal(frame, viewOf(frame), { count: 0, epoch, flags: claimFlag, headsBytes, ordinal: 0, sequence })
}

/** How many entries a sealed frame holds: for the positions of what was just packed. */
export const countOf = (frame: Buffer): number => frame.readUInt16LE(10)

export interface Frame {
  readonly epoch: number
  /** The how many-th frame of its claim it is, from 1 on; 0 for the claim itself. */
  readonly ordinal: number
  /** Set when the frame is a claim. */
  readonly owner: string | undefined
  readonly reads: Array<Read>
}
/** The frame cannot be trusted in anything: the damage is the log's, not one actor's. */
export interface Broken {
  readonly broken: string
}

const isClaim = (view: DataView): boolean => (view.getUint8(9) & claimFlag) !== 0

/** Why the header and the heads are not what was written, or undefined when they are. */
const breakage = (frame: Buffer, view: DataView, sequence: number): string | undefined => {
  if (frame.byteLength < headerBytes) return `a frame of ${frame.byteLength} bytes has no whole header`
  if (view.getUint32(0, true) !== magic) return "a frame does not begin as one"
  const written = view.getUint8(8)
  if (written !== format) return `a frame of format ${written} cannot be read by this version, which knows ${format}`
  const headsBytes = view.getUint32(12, true)
  const bytes = view.getUint32(16, true)
  if (bytes !== frame.byteLength) return `a frame of ${bytes} bytes is stored as ${frame.byteLength} bytes`
  if (headerBytes + headsBytes > bytes) return "the heads of a frame reach beyond its end"
  if (crc32(frame.subarray(8, headerBytes + headsBytes)) !== view.getUint32(4, true)) {
    return "the heads of a frame do not match their checksum"
  }
  const own = view.getFloat64(28, true)
  return own === sequence || (own === 0 && isClaim(view))
    ? undefined
    : `the frame at ${sequence} was written for ${own}`
}

/** The frame that was stored at this place in the log. */
export const readFrame = (stored: Uint8Array, sequence: number): Frame | Broken => {
  const frame = Buffer.isBuffer(stored) ? stored : Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const view = viewOf(frame)
  const broken = breakage(frame, view, sequence)
  if (broken !== undefined) return { broken }
  const headsEnd = headerBytes + view.getUint32(12, true)
  const epoch = view.getFloat64(20, true)
  if (isClaim(view)) {
    const owner = frame.toString("utf8", headerBytes, headsEnd)
    return { epoch: epoch === 0 ? sequence : epoch, ordinal: 0, owner, reads: [] }
  }
  const reads = readEntries(frame, view, sequence, headsEnd)
  if (reads === undefined) return { broken: "the heads of a frame do not fill it" }
  return { epoch, ordinal: view.getFloat64(36, true), owner: undefined, reads }
}

const readEntries = (frame: Buffer, view: DataView, sequence: number, headsEnd: number): Array<Read> | undefined => {
  const count = view.getUint16(10, true)
  const reads = new Array<Read>(count)
  const whole = crc32(frame.subarray(headsEnd))
  let head = headerBytes
  let body = headsEnd
  let checksum = 0
  for (let index = 0; index < count; index++) {
    if (head + headBytes > headsEnd) return undefined
    const bodyExtent = view.getUint32(head + 44, true)
    const nameEnd = head + headBytes + bytesOf(view.getUint32(head + 32, true))
    const bodyEnd = body + bytesOf(bodyExtent)
    if (nameEnd > headsEnd || bodyEnd > frame.byteLength) return undefined
    checksum = view.getUint32(head + 48, true)
    reads[index] = { entry: entryAt(frame, view, head, body), position: positionOf(sequence, index) }
    head = nameEnd
    body = bodyEnd
  }
  if (head !== headsEnd || body !== frame.byteLength) return undefined
  if (checksum !== whole) nameDamage(frame, view, reads, headsEnd)
  return reads
}

const entryAt = (frame: Buffer, view: DataView, head: number, body: number): Entry => {
  const name = readText(frame, head + headBytes, view.getUint32(head + 32, true))
  const text = readText(frame, body, view.getUint32(head + 44, true))
  const kindEnd = view.getUint16(head + 24, true)
  const idEnd = kindEnd + view.getUint16(head + 26, true)
  const causeEnd = idEnd + view.getUint16(head + 28, true)
  const eventsEnd = view.getUint32(head + 36, true)
  return {
    kind: name.slice(0, kindEnd),
    id: name.slice(kindEnd, idEnd),
    version: view.getFloat64(head, true),
    cause: name.slice(idEnd, causeEnd),
    caller: name.slice(causeEnd),
    at: view.getFloat64(head + 8, true),
    due: view.getFloat64(head + 16, true),
    events: text.slice(0, eventsEnd),
    reply: text.slice(eventsEnd)
  }
}

/** Puts the name of its actor in the place of each entry whose body is not what was written. */
const nameDamage = (frame: Buffer, view: DataView, reads: Array<Read>, headsEnd: number): void => {
  let head = headerBytes
  let body = headsEnd
  let before = 0
  for (let index = 0; index < reads.length; index++) {
    const bodyEnd = body + bytesOf(view.getUint32(head + 44, true))
    const checksum = view.getUint32(head + 48, true)
    const read = reads[index] as Read
    if (crc32(frame.subarray(body, bodyEnd), before) !== checksum && "entry" in read) {
      const { id, kind, version } = read.entry
      const why = "the body of the entry does not match its checksum"
      reads[index] = { damaged: { id, kind, version, why }, position: read.position }
    }
    head += headBytes + bytesOf(view.getUint32(head + 32, true))
    body = bodyEnd
    before = checksum
  }
}
