/** Bodies on their way in, and the answer to what they made. */
import type { OutgoingHttpHeaders } from "node:http"
import { Effect } from "effect"
import { streamInlineBytesMax } from "../../../messages/limits.ts"
import { offsetText } from "../../../messages/stream.ts"
import type { Payload, StreamInfo } from "../../../messages/stream-partition.ts"
import { announced } from "../../streams/announced.ts"
import { refuse, reply } from "./reply.ts"
import { payloadOf } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"

/** A small body as it is; a large one is announced and stored first. */
export const prepared = (
  { partitions, store }: Surface,
  { exchange, key, run }: Asked,
  { body, contentType }: { readonly body: Buffer; readonly contentType: string },
  use: (payload: Payload) => void
): void => {
  if (body.length <= streamInlineBytesMax) return use(payloadOf(body))
  const partition = partitions.of(key)
  const known = partitions.known(partition)
  const isAsked = exchange.request.headers["stream-proof"] !== undefined
  const isProven = isAsked || known === undefined || known.streams.look(key)?.proof !== undefined
  run(
    announced(partitions, partition, (object) => store.put(object, contentType, body, isProven)).pipe(
      Effect.map(use),
      Effect.catch((error) =>
        Effect.sync(() => refuse(exchange, 503, `the body cannot be stored now: ${error.why}`, { "retry-after": "1" }))
      )
    )
  )
}

export const answerCreated = (surface: Surface, asked: Asked, created: boolean, info: StreamInfo): void => {
  const { request } = asked.exchange
  const headers: OutgoingHttpHeaders = {
    "content-type": info.contentType,
    "stream-next-offset": offsetText(info.tail),
    "stream-durability": surface.durability
  }
  if (info.closed) headers["stream-closed"] = "true"
  if (created) headers["location"] = `http://${request.headers.host ?? "localhost"}${asked.path}`
  reply(asked.exchange, created ? 201 : 200, headers)
}
