/** Buckets over HTTP: what streams they hold, page by page. A bucket is there as soon as it is named. */
import { Effect } from "effect"
import { streamPageMax } from "../../../messages/limits.ts"
import { bucketFault, keyIn, offsetText, ownKey } from "../../../messages/stream.ts"
import type { StreamInfo } from "../../../messages/stream-partition.ts"
import { refuse, refuseOutcome, reply, sayJson } from "./reply.ts"
import { wholeNumber } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"
import { wildcard } from "./wildcard.ts"

export const bucket = (surface: Surface, asked: Asked, name: string): void => {
  const { exchange } = asked
  const fault = bucketFault(name)
  if (fault !== undefined) return refuse(exchange, 400, fault)
  const { method } = exchange.request
  if (method === "PUT") return reply(exchange, 201)
  if (method !== "GET" && method !== "HEAD") return refuse(exchange, 405, "a bucket knows GET, HEAD and PUT")
  const { searchParams } = exchange.url
  if (method === "GET" && searchParams.has("live")) return wildcard(surface, asked, keyIn(asked.org, name))
  const limitText = searchParams.get("limit")
  const limit = limitText === null ? 100 : wholeNumber(limitText)
  if (limit === undefined || limit < 1 || limit > streamPageMax)
    return refuse(exchange, 400, `limit has to be 1 to ${streamPageMax}`)
  const prefix = searchParams.get("prefix") ?? ""
  const after = searchParams.get("after")
  asked.run(list(surface, asked, { bucket: name, prefix, limit, ...(after !== null && { after }) }))
}

interface Listing {
  readonly bucket: string
  readonly prefix: string
  readonly limit: number
  readonly after?: string
}

const told = (name: string, info: StreamInfo) => ({
  stream_id: ownKey(info.stream).slice(name.length + 1),
  status: info.closed ? "closed" : "open",
  content_type: info.contentType,
  tail_offset: offsetText(info.tail),
  created_at_ms: info.createdAt,
  last_write_at_ms: info.writtenAt
})

/** Every partition holds some of a bucket's streams: each is asked for a page, and the first of all of them are it. */
const list = Effect.fnUntraced(function* (surface: Surface, asked: Asked, listing: Listing) {
  const { partitions } = surface
  const { bucket: name, prefix, limit, after } = listing
  const within = (text: string) => keyIn(asked.org, `${name}/${text}`)
  const query = {
    ...{ _tag: "ListStreams" as const, prefix: within(prefix), limit },
    ...(after !== undefined && { after: within(after) })
  }
  const all: Array<StreamInfo> = []
  let more = false
  for (const partition of partitions.ids.keys()) {
    const outcome = yield* partitions.asked(partition, query, asked.caller)
    if (!("ok" in outcome)) return refuseOutcome(asked.exchange, outcome)
    const page = outcome.ok as { readonly streams: ReadonlyArray<StreamInfo>; readonly more: boolean }
    all.push(...page.streams)
    more ||= page.more
  }
  all.sort((a, b) => (a.stream < b.stream ? -1 : 1))
  const streams = all.slice(0, limit).map((info) => told(name, info))
  const hasMore = more || all.length > limit
  sayJson(asked.exchange, 200, {
    ...{ bucket_id: name, prefix, stream_count: streams.length, streams },
    ...(hasMore && { next_cursor: streams.at(-1)?.stream_id }),
    has_more: hasMore
  })
})
