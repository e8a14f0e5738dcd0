/** Reads over HTTP: from where, in which manner, and what is told of a stream without its data. */
import { offsetText, parseOffset } from "../../../messages/stream.ts"
import type { StreamInfo } from "../../../messages/stream-partition.ts"
import { isSheet, open } from "../../streams/open.ts"
import { longPoll } from "./longpoll.ts"
import { proofHeader } from "./proof.ts"
import { head, refuse, refuseOutcome } from "./reply.ts"
import { header } from "./request.ts"
import { type Place, refuseOpened, sendSheet, touch, whenCommitted } from "./sheet.ts"
import { sse } from "./sse.ts"
import type { Asked, Handler, Surface } from "./surface.ts"

/** Behind everything: where a reader of what is to come begins. */
const nowPlace: Place = { from: Number.MAX_SAFE_INTEGER, isNow: true }

const placeOf = (params: URLSearchParams): Place | string => {
  const given = params.getAll("offset")
  if (given.length > 1) return "offset may stand once"
  const [text] = given
  if (text === undefined || text === "-1") return { from: 0, isNow: false }
  if (text === "now") return nowPlace
  const from = parseOffset(text)
  return from === undefined
    ? "offset is none of this service's: use -1, now, or one that was returned"
    : { from, isNow: false }
}

export const get: Handler = (surface, asked) => {
  const { exchange } = asked
  const { searchParams } = exchange.url
  const place = placeOf(searchParams)
  if (typeof place === "string") return refuse(exchange, 400, place)
  const least = header(exchange.request, "stream-min-offset")
  if (least === undefined) return getFrom(surface, asked, place)
  const min = parseOffset(least)
  if (min === undefined) return refuse(exchange, 400, `Stream-Min-Offset ${least} is no offset`)
  // Every read is exact: a stream that does not reach so far here does not reach so far anywhere.
  open(surface.partitions, asked.key, { from: nowPlace.from }, (opened) => {
    if (!isSheet(opened) || opened.tail >= min) return getFrom(surface, asked, place)
    refuse(exchange, 412, `the tail is ${offsetText(opened.tail)}`, { "stream-next-offset": offsetText(opened.tail) })
  })
}

const getFrom = (surface: Surface, asked: Asked, place: Place): void => {
  const { exchange } = asked
  const { searchParams } = exchange.url
  const live = searchParams.get("live")
  if (live === null) return catchUp(surface, asked, place)
  if (!searchParams.has("offset")) return refuse(exchange, 400, "live needs an offset")
  if (live === "long-poll") return longPoll(surface, asked, place)
  if (live === "sse") return sse(surface, asked, place)
  refuse(exchange, 400, "live is long-poll or sse")
}

const catchUp = (surface: Surface, asked: Asked, place: Place): void =>
  open(surface.partitions, asked.key, { from: place.from }, (opened) => {
    if (!isSheet(opened)) return refuseOpened(asked, opened)
    touch(surface, asked, opened)
    whenCommitted(surface, asked, opened, () => sendSheet(surface, asked, opened, { place, live: {} }))
  })

/** Exact wherever it is asked: the owner answers, when all that it has seen is committed. */
export const show: Handler = (surface, { exchange, key, caller }) => {
  const { partitions } = surface
  partitions.ask(partitions.of(key), { _tag: "ShowStream", stream: key }, caller, (outcome) => {
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    const { info } = outcome.ok as { readonly info: StreamInfo }
    head(exchange.response, 200, {
      "content-type": info.contentType,
      "stream-next-offset": offsetText(info.tail),
      "stream-durability": surface.durability,
      "cache-control": "no-store",
      ...(info.ttlS !== undefined && { "stream-ttl": String(info.ttlS) }),
      ...(info.expiresAt !== undefined && { "stream-expires-at": info.expiresAt }),
      ...(info.closed && { "stream-closed": "true" }),
      ...proofHeader(info.proof),
      ...(info.floor > 0 && { "stream-retained-offset": offsetText(info.floor) })
    })
    exchange.response.end()
  })
}
