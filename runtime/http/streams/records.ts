/** Many appends in one request: a batch for one stream, and an atomic append to several; and their answers. */
import { Option, Schema } from "effect"
import { offsetText, ownKey, parseOffset, streamFault } from "../../../messages/stream.ts"
import type { Append, Appended } from "../../../messages/stream-partition.ts"
import { tellFenced } from "../../streams/fences.ts"
import type { Outcome } from "../../streams/partitions.ts"
import { fenceOf } from "./fence.ts"
import { admitted } from "./quota.ts"
import { refuse, refuseOutcome, reply, sayJson } from "./reply.ts"
import { BadRequest, header, payloadOf, readAll } from "./request.ts"
import type { Asked, Handler, Surface } from "./surface.ts"

/** All of them become one entry of the journal, which has to fit into one message. */
const batchBytesMax = 512 * 1024

/** The frames of a batch: each is its length in four bytes, the largest first, and its payload. */
const framesOf = (body: Buffer): Array<Buffer> | undefined => {
  const frames: Array<Buffer> = []
  for (let at = 0; at < body.length; ) {
    if (at + 4 > body.length) return undefined
    const size = body.readUInt32BE(at)
    if (size === 0 || at + 4 + size > body.length) return undefined
    frames.push(body.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  return frames.length === 0 ? undefined : frames
}

export const appendBatch: Handler = (surface, asked) => {
  const { exchange, key } = asked
  const contentType = header(exchange.request, "content-type")?.trim()
  if (contentType === undefined) return refuse(exchange, 400, "a batch needs the Content-Type of its frames")
  readAll(
    exchange.request,
    (body) => {
      if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
      const frames = framesOf(body)
      if (frames === undefined)
        return refuse(exchange, 400, "a batch is frames: a length in four bytes, big-endian, and as many bytes")
      const operations = frames.map((frame): Append => ({ stream: key, contentType, body: payloadOf(frame) }))
      sendAll(surface, asked, operations)
    },
    batchBytesMax
  )
}

const ackText = ({ tail, from, closed, duplicate, producer }: Appended) => ({
  status: producer === undefined || duplicate ? 204 : 200,
  stream_offset: offsetText(from),
  stream_next_offset: offsetText(tail),
  ...(closed && { stream_closed: true }),
  ...(producer !== undefined && { producer_epoch: producer.epoch, producer_seq: producer.seq })
})

const sendAll = (surface: Surface, asked: Asked, operations: ReadonlyArray<Append>): void => {
  const { exchange, caller } = asked
  const { partitions } = surface
  const claim = fenceOf(exchange.request, asked.org)
  if (claim instanceof BadRequest) return refuse(exchange, claim.status, claim.why)
  const partition = partitions.of(operations[0]?.stream ?? "")
  const stray = operations.find(({ stream }) => partitions.of(stream) !== partition)
  if (stray !== undefined) return refuseOutcome(exchange, { refused: { _tag: "OtherPartition", stream: stray.stream } })
  const answered = (outcome: Outcome): void => {
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    const headers = { "stream-durability": surface.durability }
    if (header(exchange.request, "prefer") === "return=minimal") return reply(exchange, 204, headers)
    const { appended } = outcome.ok as { readonly appended: ReadonlyArray<Appended> }
    sayJson(exchange, 200, appended.map(ackText), headers)
  }
  const command = { _tag: "AppendAll" as const, operations }
  const bytes = operations.reduce((sum, { body }) => sum + (body?.text ?? body?.base64 ?? "").length, 0)
  admitted(surface.quotas, asked, { streams: 0, appends: operations.length, bytes }, () => {
    if (claim === undefined) partitions.tell(partition, command, caller, answered)
    else tellFenced(partitions, { partition, claim, caller }, command, answered)
  })
}

const Operation = Schema.Struct({
  stream: Schema.String,
  content_type: Schema.optionalKey(Schema.String),
  payload: Schema.optionalKey(Schema.String),
  payload_base64: Schema.optionalKey(Schema.String.check(Schema.isBase64())),
  close_after: Schema.optionalKey(Schema.Boolean),
  stream_seq: Schema.optionalKey(Schema.String),
  if_match: Schema.optionalKey(Schema.String),
  producer: Schema.optionalKey(
    Schema.Struct({
      producer_id: Schema.String.check(Schema.isMinLength(1)),
      producer_epoch: Schema.Natural,
      producer_seq: Schema.Natural
    })
  )
})
const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ operations: Schema.NonEmptyArray(Operation) }))
)

/** The key of an operation's stream is below the path of the request; what is wrong with it is told in words. */
const operationOf = (under: string, operation: typeof Operation.Type): Append | string => {
  const stream = `${under}/${operation.stream}`
  const fault = streamFault(ownKey(stream))
  if (fault !== undefined) return `${operation.stream} names no stream: ${fault}`
  const ifTail = operation.if_match === undefined ? undefined : parseOffset(operation.if_match)
  if (operation.if_match !== undefined && ifTail === undefined) return `${operation.if_match} is no offset`
  const { payload, payload_base64: base64, producer } = operation
  const body = base64 === undefined ? undefined : payloadOf(Buffer.from(base64, "base64"))
  const sent = body ?? (payload === undefined ? undefined : { text: payload })
  return {
    stream,
    ...(operation.content_type !== undefined && { contentType: operation.content_type }),
    ...(sent !== undefined && { body: sent }),
    ...(operation.close_after === true && { close: true }),
    ...(operation.stream_seq !== undefined && { seq: operation.stream_seq }),
    ...(ifTail !== undefined && { ifTail }),
    ...(producer !== undefined && {
      producer: { id: producer.producer_id, epoch: producer.producer_epoch, seq: producer.producer_seq }
    })
  }
}

/** `key` is what stands before `$transaction`: the bucket, or the bucket and what the streams' names have in common. */
export const transact: Handler = (surface, asked) => {
  const { exchange, key } = asked
  readAll(
    exchange.request,
    (body) => {
      if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
      const decoded = Option.getOrUndefined(decode(body.toString()))
      if (decoded === undefined) return refuse(exchange, 400, "the body has to be JSON: {operations: [{stream, …}]}")
      const operations = decoded.operations.map((operation) => operationOf(key, operation))
      const fault = operations.find((operation) => typeof operation === "string")
      if (fault !== undefined) return refuse(exchange, 400, fault)
      sendAll(surface, asked, operations as Array<Append>)
    },
    2 * batchBytesMax
  )
}
