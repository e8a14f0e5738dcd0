/** Requests in the plainest form of HTTP/1.1, read strictly: whatever is not in that form is left to node:http. */
import type { IncomingHttpHeaders } from "node:http"

/** What a head says that came whole. */
export interface Head {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly bodyBytes: number
  /** What whoever serves it has found out about it: the next request with this head need not be looked at again. */
  known: unknown
}

/** A head longer than this is unusual enough to be left to others. */
export const headBytesMax = 8 * 1024
const headersMax = 48

const requestLine = /^(GET|HEAD|PUT|POST|DELETE) (\/[!-~]*) HTTP\/1\.1$/
/** A live read goes on for as long as it likes: only what is answered at once is plain. */
const plainQuery = /^\?offset=[\w-]{1,80}$/
const name = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is there to find them.
const notInValue = /[\x00-\x08\x0a-\x1f\x7f]/
const length = /^\d{1,9}$/

/** They say how the message is framed, or what comes after it. */
const framing = new Set(["transfer-encoding", "expect", "upgrade", "trailer", "te", "connection", "keep-alive"])

const isPlainTarget = (target: string): boolean => {
  const query = target.indexOf("?")
  return query < 0 || plainQuery.test(target.slice(query))
}

/** The names that most requests have, so that they need not be looked at each time. */
const known = new Map(
  ["Host", "Connection", "Content-Type", "Content-Length", "User-Agent", "Accept", "Authorization", "If-Match"]
    .concat(["Accept-Encoding", "Accept-Language", "Producer-Id", "Producer-Epoch", "Producer-Seq", "Stream-Seq"])
    .flatMap((each) => [
      [each, each.toLowerCase()],
      [each.toLowerCase(), each.toLowerCase()]
    ])
)

const nameOf = (text: string): string | undefined =>
  known.get(text) ?? (name.test(text) ? text.toLowerCase() : undefined)

/** The head's text is Latin-1, without the empty line that ends it. Undefined when it is not plain. */
export const headOf = (text: string): Head | undefined => {
  const lines = text.split("\r\n")
  if (lines.length > headersMax) return undefined
  const [, method, target] = requestLine.exec(lines[0] as string) ?? []
  if (method === undefined || target === undefined || !isPlainTarget(target)) return undefined
  const headers: Record<string, string> = Object.create(null)
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] as string
    const colon = line.indexOf(":")
    const key = colon < 1 ? undefined : nameOf(line.slice(0, colon))
    // What stands twice is joined or dropped by rules that need not be known here.
    if (key === undefined || key in headers) return undefined
    const value = line.slice(colon + 1).trim()
    if (notInValue.test(value)) return undefined
    if (framing.has(key) && !(key === "connection" && value.toLowerCase() === "keep-alive")) return undefined
    headers[key] = value
  }
  const bytes = headers["content-length"]
  if (headers["host"] === undefined || (bytes !== undefined && !length.test(bytes))) return undefined
  return { method, target, headers, bodyBytes: bytes === undefined ? 0 : Number(bytes), known: undefined }
}
