/** What a request to a stream says: its place, its headers and its body, read strictly. */
import { isUtf8 } from "node:buffer"
import type { IncomingMessage } from "node:http"
import { streamAppendBytesMax } from "../../../messages/limits.ts"
import { keyOfPath, parseOffset } from "../../../messages/stream.ts"
import type { Payload, Producer } from "../../../messages/stream-partition.ts"
import { hand } from "../../streams/guard.ts"
import { WholeRequest } from "../whole.ts"

export class BadRequest {
  readonly why: string
  readonly status: number

  constructor(why: string, status = 400) {
    this.why = why
    this.status = status
  }
}

export const header = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "string" ? value : undefined
}

export const isClosing = (request: IncomingMessage): boolean =>
  header(request, "stream-closed")?.toLowerCase() === "true"

const typePattern = /^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+\s*(;.*)?$/

/** What is no media type counts as bytes. */
export const typeToCreate = (request: IncomingMessage): string | undefined => {
  const type = header(request, "content-type")?.trim()
  if (type === undefined || type === "") return undefined
  return typePattern.test(type) && type.length <= 256 ? type : "application/octet-stream"
}

const integer = /^(0|[1-9]\d*)$/
const digits = /^\d+$/

export const wholeNumber = (text: string): number | undefined => {
  const value = Number(text)
  return integer.test(text) && Number.isSafeInteger(value) ? value : undefined
}

const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

export interface Expiry {
  readonly ttlS?: number
  readonly expiresAt?: string
  readonly expiresMs?: number
}

export const expiryOf = (request: IncomingMessage): Expiry | BadRequest => {
  const ttl = header(request, "stream-ttl")
  const expiresAt = header(request, "stream-expires-at")
  if (ttl !== undefined && expiresAt !== undefined)
    return new BadRequest("Stream-TTL and Stream-Expires-At exclude each other")
  if (ttl !== undefined) {
    const ttlS = wholeNumber(ttl)
    return ttlS === undefined ? new BadRequest(`Stream-TTL ${ttl} is no whole number of seconds`) : { ttlS }
  }
  if (expiresAt === undefined) return {}
  const expiresMs = dateTime.test(expiresAt) ? Date.parse(expiresAt) : Number.NaN
  if (Number.isNaN(expiresMs)) return new BadRequest(`Stream-Expires-At ${expiresAt} is no RFC 3339 time`)
  return { expiresAt, expiresMs: Math.max(0, expiresMs) }
}

const counter = (text: string): number | undefined => {
  const value = Number(text)
  return digits.test(text) && Number.isSafeInteger(value) ? value : undefined
}

/** All three headers, or none. */
export const producerOf = (request: IncomingMessage): Producer | BadRequest | undefined => {
  const id = header(request, "producer-id")
  const epochText = header(request, "producer-epoch")
  const seqText = header(request, "producer-seq")
  if (id === undefined && epochText === undefined && seqText === undefined) return undefined
  if (id === undefined || epochText === undefined || seqText === undefined)
    return new BadRequest("Producer-Id, Producer-Epoch and Producer-Seq come together")
  if (id === "" || id.length > 256) return new BadRequest("Producer-Id has to be 1 to 256 characters")
  const epoch = counter(epochText)
  const seq = counter(seqText)
  if (epoch === undefined || seq === undefined)
    return new BadRequest("Producer-Epoch and Producer-Seq have to be whole numbers below 2^53")
  return { id, epoch, seq }
}

export const ifMatchOf = (request: IncomingMessage): number | BadRequest | undefined => {
  const text = header(request, "if-match")
  if (text === undefined) return undefined
  const offset = parseOffset(text.replace(/^"|"$/g, ""))
  return offset ?? new BadRequest(`If-Match ${text} is no offset`)
}

export type Body = Buffer | BadRequest

/** The whole body, as soon as it is there. A connection that breaks off has nobody left to answer. */
export const readAll = (
  request: IncomingMessage,
  done: (body: Body) => void,
  bytesMax = streamAppendBytesMax
): void => {
  const tooLarge = () => new BadRequest(`a body may have ${bytesMax} bytes`, 413)
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return done(tooLarge())
  if ((request as unknown) instanceof WholeRequest) return done((request as unknown as WholeRequest).whole)
  const parts: Array<Buffer> = []
  let size = 0
  const heard = (part: Buffer): void => {
    size += part.length
    if (size <= bytesMax) {
      parts.push(part)
      return
    }
    request.off("data", heard)
    request.pause()
    done(tooLarge())
  }
  request.on("data", heard)
  request.once("end", () => {
    if (size <= bytesMax) hand(done, parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts))
  })
}

export const payloadOf = (body: Buffer): Payload =>
  isUtf8(body) ? { text: body.toString() } : { base64: body.toString("base64") }

const decoded = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    // A percent sign that begins no escape names nothing.
    return undefined
  }
}

/** The stream's path within its family, with its escapes undone. */
export const pathIn = (rest: string): string | undefined => {
  const segments = rest.split("/").map(decoded)
  return segments.includes(undefined) ? undefined : segments.join("/")
}

const families = ["/v1/stream/", "/ds/", "/streams/"] as const

/** The key behind a URL path of any of the families, as `Stream-Forked-From` names it. */
export const keyOfUrlPath = (text: string): string | undefined => {
  const path = URL.canParse(text) ? new URL(text).pathname : text
  const family = families.find((prefix) => path.startsWith(prefix))
  const within = pathIn(family === undefined ? path.replace(/^\//, "") : path.slice(family.length))
  return within === undefined || within === "" ? undefined : keyOfPath(within)
}
