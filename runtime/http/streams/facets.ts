/** What a stream has besides its data, as the last segments of its path: attributes, history, an inspection. */
import { Option, Schema } from "effect"
import { streamAttributesBytesMax } from "../../../messages/limits.ts"
import { offsetText, operatorOrg, ownKey } from "../../../messages/stream.ts"
import type { StreamInfo } from "../../../messages/stream-partition.ts"
import { bootstrap, getSnapshot, putSnapshot, retain } from "./history.ts"
import { showProof } from "./proof.ts"
import { bucketOf } from "./quota.ts"
import { appendBatch, transact } from "./records.ts"
import { refuse, refuseOutcome, reply, sayJson } from "./reply.ts"
import { BadRequest, readAll } from "./request.ts"
import type { Asked, Handler, Surface } from "./surface.ts"
import { tellPast } from "./timeline.ts"

const Attributes = Schema.Record(Schema.String, Schema.Json)
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Attributes))

const setAttributes: Handler = ({ partitions }, { exchange, key, caller }) =>
  readAll(
    exchange.request,
    (body) => {
      if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
      const attributes = Option.getOrUndefined(decode(body.toString()))
      if (attributes === undefined) return refuse(exchange, 400, "attributes are a JSON object")
      partitions.tell(partitions.of(key), { _tag: "SetAttributes", stream: key, attributes }, caller, (outcome) =>
        "ok" in outcome ? reply(exchange, 204) : refuseOutcome(exchange, outcome)
      )
    },
    4 * streamAttributesBytesMax
  )

const withInfo = (surface: Surface, { exchange, key, caller }: Asked, use: (info: StreamInfo) => void): void =>
  surface.partitions.ask(surface.partitions.of(key), { _tag: "ShowStream", stream: key }, caller, (outcome) =>
    "ok" in outcome ? use((outcome.ok as { readonly info: StreamInfo }).info) : refuseOutcome(exchange, outcome)
  )

const attributes: Handler = (surface, asked) =>
  withInfo(surface, asked, (info) => sayJson(asked.exchange, 200, info.attributes ?? {}))

/** How the stream stands, and where: for a person who wants to understand it. */
const inspect: Handler = (surface, asked) =>
  withInfo(surface, asked, (info) => {
    const { quotas } = surface
    const { searchParams } = asked.exchange.url
    if (searchParams.has("at") || searchParams.has("offset")) return tellPast(surface, asked, info)
    const told = standing(surface, asked, info)
    if (quotas === undefined) return sayJson(asked.exchange, 200, told)
    quotas.usage({ org: asked.org, bucket: bucketOf(asked.key) }, (used) =>
      sayJson(asked.exchange, 200, { ...told, used, limits: quotas.limits })
    )
  })

const standing = (surface: Surface, asked: Asked, { stream: key, tail, floor, forkedFrom, ...info }: StreamInfo) => {
  const { partitions } = surface
  const partition = partitions.of(asked.key)
  const here = partitions.here(partition)
  const stream = here?.state.streams.get(asked.key)
  return {
    stream: ownKey(key),
    ...info,
    ...(forkedFrom !== undefined && { forkedFrom: { ...forkedFrom, source: ownKey(forkedFrom.source) } }),
    tail: offsetText(tail),
    floor: offsetText(floor),
    partition: partitions.ids[partition],
    shard: partition,
    durability: surface.durability,
    ...(here !== undefined &&
      asked.org === operatorOrg && {
        served_here: { epoch: here.serving.epoch, version: here.cell.version, hot_bytes: here.state.hotBytes }
      }),
    ...(stream !== undefined && {
      bytes_in_memory: stream.data?.bytes ?? 0,
      last_stream_seq: stream.seq ?? null,
      producers: [...(stream.producers ?? [])].map(([id, { epoch, seq, at }]) => ({ id, epoch, seq, heard_at_ms: at }))
    })
  }
}

type Facet = (surface: Surface, asked: Asked, argument: string | undefined) => void

const facets: Readonly<Record<string, Readonly<Record<string, Facet>>>> = {
  attrs: { GET: attributes, HEAD: attributes, PUT: setAttributes },
  "append-batch": { POST: appendBatch },
  bootstrap: { GET: bootstrap, HEAD: bootstrap },
  proof: { GET: showProof, HEAD: showProof },
  inspect: { GET: inspect, HEAD: inspect },
  snapshot: { GET: getSnapshot, HEAD: getSnapshot },
  $transaction: { POST: transact }
}
const withOffset: Readonly<Record<string, Readonly<Record<string, Facet>>>> = {
  snapshot: {
    GET: getSnapshot,
    HEAD: getSnapshot,
    PUT: (surface, asked, offset) => putSnapshot(surface, asked, offset ?? "")
  },
  retention: { PUT: (surface, asked, offset) => retain(surface, asked, offset ?? "") }
}

export interface Faceted {
  readonly key: string
  readonly methods: Readonly<Record<string, Facet>>
  readonly argument: string | undefined
}

/** The facet that a key ends with, if it does: `runs/42/attrs` is one of `runs/42`. */
export const facetOf = (key: string): Faceted | undefined => {
  const segments = key.split("/")
  const last = segments.at(-1) ?? ""
  const before = segments.at(-2) ?? ""
  const isTransaction = last === "$transaction"
  if (Object.hasOwn(facets, last) && (segments.length > 2 || (isTransaction && segments.length > 1)))
    return { key: segments.slice(0, -1).join("/"), methods: facets[last] ?? {}, argument: undefined }
  if (Object.hasOwn(withOffset, before) && segments.length > 3)
    return { key: segments.slice(0, -2).join("/"), methods: withOffset[before] ?? {}, argument: last }
  return undefined
}
