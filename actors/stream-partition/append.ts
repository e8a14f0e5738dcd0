/** Whether an append is accepted, and as what: the checks stand in the order in which a client is told of them. */
import { partitionHotBytesMax } from "../../messages/limits.ts"
import type { EventOf, RefusalOf } from "../../messages/protocol.ts"
import { isJsonType, mediaOf } from "../../messages/stream.ts"
import type { Append, Appended, Payload, StreamPartition, Wire } from "../../messages/stream-partition.ts"
import { runOf } from "./json.ts"
import { judge } from "./producers.ts"
import type { State, Stream } from "./state.ts"

type Refusal = RefusalOf<StreamPartition>
type Refused = { readonly refused: Refusal }
export type Outcome = { readonly events: Array<EventOf<StreamPartition>>; readonly reply: Appended } | Refused

/** A body in the form in which it is kept. Nothing, when a JSON body is an empty array. */
export const wireOf = (contentType: string, body: Payload): Wire | undefined | Refused => {
  const { text, base64, object } = body
  if (object !== undefined) return object.size === 0 ? undefined : storedWire(object)
  if (!isJsonType(contentType)) {
    if (text !== undefined) return text === "" ? undefined : { text, size: Buffer.byteLength(text), count: 1 }
    const size = Buffer.byteLength(base64 ?? "", "base64")
    return size === 0 ? undefined : { base64: base64 ?? "", size, count: 1 }
  }
  if (text === undefined) return { refused: { _tag: "NotJson", why: "the body is not UTF-8" } }
  const run = runOf(text)
  if ("why" in run) return { refused: { _tag: "NotJson", why: run.why } }
  return run.count === 0 ? undefined : { text: run.text, size: Buffer.byteLength(run.text), count: run.count }
}

const storedWire = ({ key, ...stored }: NonNullable<Payload["object"]>): Wire => ({ object: key, ...stored })

const isEmpty = (body: Payload | undefined): boolean =>
  body === undefined || (body.object === undefined && (body.text ?? body.base64 ?? "") === "")

/** A closed stream takes a repetition of what closed it, and nothing else. */
const whenClosed = (stream: Stream, { close, producer, body }: Append): Outcome => {
  const { closedBy, tail } = stream
  const reply = { from: tail, tail, closed: true, duplicate: true }
  if (producer === undefined && close === true && isEmpty(body)) return { events: [], reply }
  if (
    producer !== undefined &&
    producer.id === closedBy?.id &&
    producer.epoch === closedBy.epoch &&
    producer.seq === closedBy.seq
  )
    return { events: [], reply: { ...reply, producer: { epoch: producer.epoch, seq: producer.seq } } }
  return { refused: { _tag: "StreamClosed", stream: stream.key, tail } }
}

/** What an append of this body would be refused for, by the stream's form. */
const misfit = (stream: Stream, { body, close, contentType }: Append): Refusal | undefined => {
  if (isEmpty(body)) return close === true ? undefined : { _tag: "EmptyAppend" }
  if (contentType === undefined) return { _tag: "MissingContentType" }
  if (mediaOf(contentType) !== mediaOf(stream.contentType))
    return { _tag: "WrongContentType", expected: stream.contentType }
  return undefined
}

const isLess = (a: string, b: string): boolean => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0

export const append = (state: State, stream: Stream, operation: Append): Outcome => {
  if (stream.closed) return whenClosed(stream, operation)
  const refused = misfit(stream, operation)
  if (refused !== undefined) return { refused }
  const { producer, seq, ifTail, body, close } = operation
  if (producer !== undefined) {
    const judged = judge(stream, producer)
    if (judged !== "new") return "refused" in judged ? judged : { events: [], reply: judged.duplicate }
  }
  if (seq !== undefined && stream.seq !== undefined && !isLess(stream.seq, seq))
    return { refused: { _tag: "OutOfOrder", last: stream.seq } }
  if (ifTail !== undefined && ifTail !== stream.tail) return { refused: { _tag: "WrongTail", tail: stream.tail } }
  const wire = isEmpty(body) ? undefined : wireOf(stream.contentType, body as Payload)
  if (wire !== undefined && "refused" in wire) return wire
  if (wire === undefined && !isEmpty(body)) return { refused: { _tag: "EmptyAppend" } }
  if (wire !== undefined && wire.object === undefined && state.hotBytes + wire.size > partitionHotBytesMax)
    return { refused: { _tag: "Full", what: "bytes of the partition in memory", max: partitionHotBytesMax } }
  return accepted(stream, operation, wire, close === true)
}

const accepted = (stream: Stream, operation: Append, wire: Wire | undefined, closed: boolean): Outcome => {
  const { producer, seq } = operation
  const { key, tail: from } = stream
  const events: Array<EventOf<StreamPartition>> = []
  const by = producer === undefined ? {} : { producer }
  if (wire !== undefined)
    events.push({ _tag: "Appended", stream: key, from, wire, ...by, ...(seq !== undefined && { seq }) })
  if (closed) events.push({ _tag: "StreamClosed", stream: key, ...by })
  const tail = from + (wire?.size ?? 0)
  const reply = { from, tail, closed, duplicate: false }
  if (producer === undefined) return { events, reply }
  return { events, reply: { ...reply, producer: { epoch: producer.epoch, seq: producer.seq } } }
}
