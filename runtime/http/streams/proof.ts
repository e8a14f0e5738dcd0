/** Hash chains over HTTP: asked for when a stream is made, told with its tail, and with what redoing them takes. */
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http"
import { Effect } from "effect"
import { offsetText, ownKey, parseOffset } from "../../../messages/stream.ts"
import { isSheet, open, type Sheet } from "../../streams/open.ts"
import { unitEnds } from "../../streams/read.ts"
import { refuse, refuseOutcome, sayJson } from "./reply.ts"
import { header } from "./request.ts"
import type { Asked, Handler, Surface } from "./surface.ts"

const algorithm = "sha-256"

export const proofUnknown = (request: IncomingMessage): string | undefined => {
  const asked = header(request, "stream-proof")
  return asked === undefined || asked === algorithm ? undefined : `Stream-Proof is ${algorithm}, or nothing`
}

export const proofAsked = (request: IncomingMessage): { readonly proof?: typeof algorithm } =>
  header(request, "stream-proof") === algorithm ? { proof: algorithm } : {}

export const proofHeader = (digest: string | undefined): OutgoingHttpHeaders =>
  digest === undefined ? {} : { "stream-proof": `${algorithm}=${digest}` }

interface Proven {
  readonly createdAt: number
  readonly tail: number
  readonly digest: string
  readonly anchors: ReadonlyArray<{ readonly offset: number; readonly digest: string }>
}

const moving = "the stream is moving to another node"

/** Where appends end, from an offset on, so that a reader can redo the chain over what it reads. */
export const showProof: Handler = (surface, asked) => {
  const { exchange, key, caller } = asked
  const { partitions } = surface
  const given = exchange.url.searchParams.get("offset")
  const from = given === null ? undefined : parseOffset(given)
  if (given !== null && from === undefined) return refuse(exchange, 400, "offset is none of this service's")
  partitions.ask(partitions.of(key), { _tag: "ShowProof", stream: key }, caller, (outcome) => {
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    const proven = outcome.ok as Proven
    open(partitions, key, { from: from ?? proven.anchors[0]?.offset ?? 0 }, (opened) => {
      // What there is was told of by the owner: where it ends is in what is committed, or lies behind the tail.
      if (isSheet(opened) && opened.isHeard) asked.run(telling(surface, asked, opened, proven))
      else refuse(exchange, 503, moving, { "retry-after": "1" })
    })
  })
}

const telling = (surface: Surface, asked: Asked, sheet: Sheet, proven: Proven) =>
  Effect.forEach(unitEnds(surface.partitions, sheet.key, sheet), (mark) => {
    if (typeof mark === "number") return Effect.succeed([mark])
    const { segment } = mark
    return segment === undefined ? Effect.succeed([]) : surface.store.cold.endsOf({ ...mark, segment })
  }).pipe(
    Effect.map((ends) =>
      sayJson(asked.exchange, 200, {
        ...{ algorithm, stream: ownKey(asked.key), created_at_ms: proven.createdAt },
        tail_offset: offsetText(proven.tail),
        digest: proven.digest,
        anchors: proven.anchors.map(({ offset, digest }) => ({ offset: offsetText(offset), digest })),
        offset: offsetText(sheet.from),
        next_offset: offsetText(sheet.next),
        ends: ends.flat().filter((end) => end <= proven.tail)
      })
    ),
    Effect.catch((error) =>
      Effect.sync(() => refuse(asked.exchange, 503, `the object store is away (${error._tag})`, { "retry-after": "1" }))
    )
  )
