/** One response's worth of a stream on its way out: what catch-up reads and live reads have in common. */
import { createHash } from "node:crypto"
import type { OutgoingHttpHeaders } from "node:http"
import { Effect } from "effect"
import { isJsonType, offsetText, ownKey } from "../../../messages/stream.ts"
import type { Opened, Sheet } from "../../streams/open.ts"
import { isInMemory } from "../../streams/store.ts"
import { proofHeader } from "./proof.ts"
import { head, refuse, refuseOutcome, reply } from "./reply.ts"
import { header } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"

export interface Place {
  readonly from: number
  readonly isNow: boolean
}

export const refuseOpened = ({ exchange, key }: Asked, opened: Exclude<Opened, Sheet>): void => {
  if ("failed" in opened) return refuseOutcome(exchange, opened.failed)
  if ("floor" in opened)
    return refuse(exchange, 410, `nothing before ${offsetText(opened.floor)} is kept`, {
      "stream-retained-offset": offsetText(opened.floor)
    })
  const isGone = opened.absent === "gone"
  refuse(exchange, isGone ? 410 : 404, isGone ? `${ownKey(key)} was deleted` : `there is no stream ${ownKey(key)}`)
}

/** Nothing leaves before what it saw is committed. */
export const whenCommitted = ({ partitions }: Surface, { exchange }: Asked, sheet: Sheet, use: () => void): void => {
  if (sheet.here === undefined) return use()
  partitions.settled(sheet.here, (isCommitted) => {
    if (isCommitted) use()
    else refuse(exchange, 503, "the stream is moving to another node", { "retry-after": "1" })
  })
}

/** A read renews the time to live, by one command in an eighth of it at most. */
export const touch = ({ partitions }: Surface, { key, caller }: Asked, { ttlS, touchedAt }: Sheet): void => {
  if (ttlS === undefined || partitions.now() - touchedAt < ttlS * 125) return
  // A stream that ends meanwhile is the next reader's concern.
  partitions.tell(partitions.of(key), { _tag: "TouchStream", stream: key }, caller, () => {})
}

export const isAtEnd = ({ next, tail }: Sheet): boolean => next >= tail

const etagOf = ({ key, createdAt, from, next, closed, tail }: Sheet): string => {
  const name = createHash("sha1").update(`${key}\n${createdAt}`).digest("base64url").slice(0, 16)
  return `"${name}:${from}:${next}${closed && next >= tail ? ":c" : ""}"`
}

export interface Manner {
  readonly place: Place
  /** More headers, of a live read. */
  readonly live: OutgoingHttpHeaders
}

export const headersOf = (surface: Surface, sheet: Sheet): OutgoingHttpHeaders => {
  const headers: OutgoingHttpHeaders = {
    "content-type": sheet.contentType,
    "stream-next-offset": offsetText(sheet.next),
    "stream-durability": surface.durability
  }
  if (isAtEnd(sheet)) {
    headers["stream-up-to-date"] = "true"
    if (sheet.closed) headers["stream-closed"] = "true"
    if (sheet.proof !== undefined) Object.assign(headers, proofHeader(sheet.proof))
  }
  return headers
}

export const sendSheet = (surface: Surface, asked: Asked, sheet: Sheet, { place, live }: Manner): void => {
  const { exchange } = asked
  const { request } = exchange
  const headers: OutgoingHttpHeaders = { ...headersOf(surface, sheet), ...live }
  if (place.isNow) headers["cache-control"] = "no-store"
  else {
    const scope = surface.options.isOpen ? "public" : "private"
    headers["cache-control"] = `${scope}, max-age=60, stale-while-revalidate=300`
    headers["etag"] = etagOf(sheet)
    if (header(request, "if-none-match") === headers["etag"]) return reply(exchange, 304, headers)
  }
  const { parts } = sheet
  if (isInMemory(parts)) return sendBody(asked, headers, framed(sheet, parts))
  asked.run(
    surface.store.bytesOf(parts).pipe(
      Effect.map((bytes) => sendBody(asked, headers, framed(sheet, bytes))),
      Effect.catch((error) =>
        Effect.sync(() => refuse(exchange, 503, `the object store is away (${error._tag})`, { "retry-after": "1" }))
      )
    )
  )
}

const opening = Buffer.from("[")
const closing = Buffer.from("]")
const empty = Buffer.from("[]")

/** JSON messages are stored with a comma behind each: as an array they lack brackets, and have one comma too many. */
export const framed = ({ contentType }: Sheet, parts: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  if (!isJsonType(contentType)) return parts
  const last = parts.at(-1)
  return last === undefined ? [empty] : [opening, ...parts.slice(0, -1), last.subarray(0, -1), closing]
}

const sendBody = ({ exchange }: Asked, headers: OutgoingHttpHeaders, parts: ReadonlyArray<Buffer>): void => {
  const { response } = exchange
  let size = 0
  for (const part of parts) size += part.length
  head(response, 200, { ...headers, "content-length": size })
  response.cork()
  for (const part of parts) response.write(part)
  response.end()
  response.uncork()
}
