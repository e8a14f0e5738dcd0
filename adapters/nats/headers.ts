/** NATS message headers: a first line, then one `Key: value` a line, then an empty line. */
import type { Headers } from "../../runtime/ports/bus.ts"

const firstLine = "NATS/1.0"
const ending = "\r\n\r\n"
/** The shortest block there is: the first line and the empty one. */
export const headerBytesMin = firstLine.length + ending.length

export const noHeaders: Headers = Object.freeze({})

/** The answer to a request that nobody hears. */
export const noRespondersBlock = Buffer.from(`${firstLine} 503${ending}`)

const nameForm = /^[\x21-\x39\x3b-\x7e]+$/
const lineBreak = /[\r\n]/

export const encodeHeaders = (headers: Headers): Buffer => {
  let text = `${firstLine}\r\n`
  for (const name in headers) {
    const value = headers[name] as string
    if (!nameForm.test(name)) throw new Error(`not the name of a header: ${JSON.stringify(name)}`)
    if (lineBreak.test(value)) throw new Error(`the header ${name} holds a line break`)
    text += `${name}: ${value}\r\n`
  }
  return Buffer.from(`${text}\r\n`)
}

/** Of a header that is given more than once, the first counts; a line without a name is passed over. */
export const decodeHeaders = (block: Buffer): Headers => {
  const headers: Record<string, string> = Object.create(null)
  const lines = block.toString("utf8").split("\r\n")
  for (let at = 1; at < lines.length; at++) {
    const line = lines[at] as string
    const colon = line.indexOf(":")
    if (colon <= 0) continue
    const name = line.slice(0, colon)
    headers[name] ??= line.slice(colon + 1).trim()
  }
  return headers
}

/** The status in the first line, such as 503; 0 when there is none. */
export const statusOf = (block: Buffer, start: number, end: number): number => {
  const from = start + firstLine.length
  if (end - from < 4 || block[from] !== 0x20) return 0
  return Number(block.toString("latin1", from + 1, from + 4)) || 0
}

/** Whether the bytes have the outer form of a header block; what its lines say is between the two ends. */
export const isHeaderBlock = (data: Buffer, start: number, end: number): boolean => {
  if (end - start < headerBytesMin) return false
  for (let at = 0; at < firstLine.length; at++) if (data[start + at] !== firstLine.charCodeAt(at)) return false
  for (let at = 0; at < ending.length; at++) if (data[end - 4 + at] !== ending.charCodeAt(at)) return false
  return true
}
