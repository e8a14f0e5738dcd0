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

export const controlFrame = ({ next, cursor, isUpToDate, isClosed }: Control): string => {
  const told = {
    streamNextOffset: offsetText(next),
    ...(cursor !== undefined && !isClosed && { streamCursor: cursor }),
    ...(isUpToDate && { upToDate: true }),
    ...(isClosed && { streamClosed: true })
  }
  return `event: control\ndata:${JSON.stringify(told)}\n\n`
}

const lineEnd = /\r\n|\r|\n/

/** A line of the payload that would end the event, or begin another, becomes a data line of its own. */
const textFrame = (text: string): string =>
  lineEnd.test(text)
    ? `event: data\n${text
        .split(lineEnd)
        .map((line) => `data:${line}`)
        .join("\n")}\n\n`
    : `event: data\ndata:${text}\n\n`

const joined = (parts: ReadonlyArray<Buffer>): Buffer =>
  parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)

export const dataFrame = (coding: Coding, parts: ReadonlyArray<Buffer>): string => {
  const bytes = joined(parts)
  if (coding === "base64") return `event: data\ndata:${bytes.toString("base64")}\n\n`
  if (coding === "text") return textFrame(bytes.toString())
  return textFrame(`[${bytes.toString("utf8", 0, bytes.length - 1)}]`)
}
