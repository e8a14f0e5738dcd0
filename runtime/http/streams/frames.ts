/** Server-sent events of a stream: each range is one data event and the control event that belongs to it. */
import { isJsonType, mediaOf, offsetText } from "../../../messages/stream.ts"

export type Coding = "text" | "json" | "base64"

/** Text goes as it is; whatever else is not JSON would not survive the framing. */
export const codingOf = (contentType: string): Coding =>
  isJsonType(contentType) ? "json" : mediaOf(contentType).startsWith("text/") ? "text" : "base64"

export interface Control {
  readonly next: number
  readonly cursor: string | undefined
  readonly isUpToDate: boolean
  readonly isClosed: boolean
}

export const controlFrame = ({ next, cursor, isUpToDate, isClosed }: Control): Buffer => {
  const told = {
    streamNextOffset: offsetText(next),
    ...(cursor !== undefined && !isClosed && { streamCursor: cursor }),
    ...(isUpToDate && { upToDate: true }),
    ...(isClosed && { streamClosed: true })
  }
  return Buffer.from(`event: control\ndata:${JSON.stringify(told)}\n\n`)
}

const begin = Buffer.from("event: data\ndata:")
const beginArray = Buffer.from("event: data\ndata:[")
const end = Buffer.from("\n\n")
const endArray = Buffer.from("]\n\n")

const lineEnd = /\r\n|\r|\n/
const [newline, carriageReturn] = [10, 13]

const isOneLine = (bytes: Buffer): boolean => !bytes.includes(newline) && !bytes.includes(carriageReturn)

/** A line of the payload that would end the event, or begin another, becomes a data line of its own. */
const manyLines = (parts: ReadonlyArray<Buffer>): Buffer => {
  const lines = joined(parts).toString().split(lineEnd)
  return Buffer.from(`event: data\n${lines.map((line) => `data:${line}`).join("\n")}\n\n`)
}

const joined = (parts: ReadonlyArray<Buffer>): Buffer =>
  parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)

const withoutComma = (parts: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => [
  ...parts.slice(0, -1),
  (parts.at(-1) as Buffer).subarray(0, -1)
]

/** Bytes that need no framing within are sent as they lie in memory. There is one part at least. */
export const dataFrame = (coding: Coding, parts: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  if (coding === "base64") return [begin, Buffer.from(joined(parts).toString("base64"), "latin1"), end]
  if (coding === "text") return parts.every(isOneLine) ? [begin, ...parts, end] : [manyLines(parts)]
  const messages = withoutComma(parts)
  if (messages.every(isOneLine)) return [beginArray, ...messages, endArray]
  return [manyLines([Buffer.from("["), ...messages, Buffer.from("]")])]
}

/** What is smaller is cheaper to copy once than to hand over in pieces, to each who hears it. */
const copiedBytesMax = 16 * 1024

const chunkEnd = Buffer.from("\r\n")

/** Bytes for a connection, with the frame of a chunk around them and without it. */
export interface Chunk {
  readonly framed: ReadonlyArray<Buffer>
  readonly bare: ReadonlyArray<Buffer>
}

export const chunkOf = (frames: ReadonlyArray<Buffer>): Chunk => {
  const size = frames.reduce((sum, { length }) => sum + length, 0)
  const head = Buffer.from(`${size.toString(16)}\r\n`)
  const framed = [head, ...frames, chunkEnd]
  if (size > copiedBytesMax) return { framed, bare: frames }
  const bytes = Buffer.concat(framed)
  return { framed: [bytes], bare: [bytes.subarray(head.length, head.length + size)] }
}
