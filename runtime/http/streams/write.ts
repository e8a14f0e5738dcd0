/** Create, append, close and delete over HTTP. */
import type { OutgoingHttpHeaders } from "node:http"
import { offsetText } from "../../../messages/stream.ts"
import type { Appended, StreamInfo } from "../../../messages/stream-partition.ts"
import { type Claim, tellFenced } from "../../streams/fences.ts"
import type { Command, Outcome } from "../../streams/partitions.ts"
import { answerCreated, prepared } from "./body.ts"
import { fenceOf } from "./fence.ts"
import { fork } from "./fork.ts"
import { proofAsked, proofUnknown } from "./proof.ts"
import { admitted, creating } from "./quota.ts"
import { head, refuse, refuseOutcome, reply } from "./reply.ts"
import { BadRequest, expiryOf, header, ifMatchOf, isClosing, producerOf, readAll, typeToCreate } from "./request.ts"
import type { Asked, Handler, Surface } from "./surface.ts"

export const create: Handler = (surface, asked) => {
  const { exchange } = asked
  const { request } = exchange
  const expiry = expiryOf(request)
  if (expiry instanceof BadRequest) return refuse(exchange, expiry.status, expiry.why)
  const unknown = proofUnknown(request)
  if (unknown !== undefined) return refuse(exchange, 400, unknown)
  readAll(request, (body) => {
    if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
    if (header(request, "stream-forked-from") !== undefined)
      return creating(surface, asked, body.length, () => fork(surface, asked, { expiry, body }))
    if (header(request, "stream-fork-offset") !== undefined || header(request, "stream-fork-sub-offset") !== undefined)
      return refuse(exchange, 400, "a fork's offsets need Stream-Forked-From")
    const contentType = typeToCreate(request) ?? "application/octet-stream"
    const closed = isClosing(request) ? { closed: true } : {}
    const proof = proofAsked(request)
    const bare = { _tag: "CreateStream" as const, stream: asked.key, contentType, ...expiry, ...closed, ...proof }
    creating(surface, asked, body.length, () => {
      if (body.length === 0) return send(surface, asked, bare)
      prepared(surface, asked, { body, contentType }, (payload) => send(surface, asked, { ...bare, body: payload }))
    })
  })
}

const send = (surface: Surface, asked: Asked, command: Command): void => {
  const { partitions } = surface
  partitions.tell(partitions.of(asked.key), command, asked.caller, (outcome) => {
    if (!("ok" in outcome)) return refuseOutcome(asked.exchange, outcome)
    const { created, info } = outcome.ok as { readonly created: boolean; readonly info: StreamInfo }
    answerCreated(surface, asked, created, info)
  })
}

export const append: Handler = (surface, asked) => {
  const { exchange } = asked
  const { request } = exchange
  const producer = producerOf(request)
  if (producer instanceof BadRequest) return refuse(exchange, producer.status, producer.why)
  const ifTail = ifMatchOf(request)
  if (ifTail instanceof BadRequest) return refuse(exchange, ifTail.status, ifTail.why)
  const claim = fenceOf(request, asked.org)
  if (claim instanceof BadRequest) return refuse(exchange, claim.status, claim.why)
  const close = isClosing(request)
  const seq = header(request, "stream-seq")
  const contentType = header(request, "content-type")?.trim()
  const type = contentType === undefined || contentType === "" ? {} : { contentType }
  readAll(request, (body) => {
    if (body instanceof BadRequest) return refuse(exchange, body.status, body.why)
    if (body.length === 0 && !close) return refuse(exchange, 400, "there is nothing to append")
    if (body.length > 0 && type.contentType === undefined) return refuse(exchange, 400, "a body needs a Content-Type")
    const bare: { -readonly [Name in keyof AppendCommand]: AppendCommand[Name] } = { _tag: "Append", stream: asked.key }
    if (type.contentType !== undefined) bare.contentType = type.contentType
    if (close) bare.close = true
    if (producer !== undefined) bare.producer = producer
    if (seq !== undefined) bare.seq = seq
    if (ifTail !== undefined) bare.ifTail = ifTail
    admitted(surface.quotas, asked, { streams: 0, appends: 1, bytes: body.length }, () => {
      if (body.length === 0) return sendAppend(surface, asked, bare, claim)
      prepared(surface, asked, { body, contentType: type.contentType ?? "" }, (payload) => {
        bare.body = payload
        sendAppend(surface, asked, bare, claim)
      })
    })
  })
}

type AppendCommand = Command & { readonly _tag: "Append" }

const sendAppend = (surface: Surface, asked: Asked, command: AppendCommand, claim: Claim | undefined): void => {
  const { partitions, durability } = surface
  const { exchange, caller } = asked
  const partition = partitions.of(asked.key)
  const answered = (outcome: Outcome): void => {
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    const { tail, closed, duplicate, producer } = outcome.ok as Appended
    const headers: OutgoingHttpHeaders = { "stream-next-offset": offsetText(tail), "stream-durability": durability }
    if (closed) headers["stream-closed"] = "true"
    if (producer !== undefined) {
      headers["producer-epoch"] = String(producer.epoch)
      headers["producer-seq"] = String(producer.seq)
    }
    const isPlain = producer === undefined || duplicate || command.body === undefined
    reply(exchange, isPlain ? 204 : 200, headers)
  }
  if (claim === undefined) partitions.tell(partition, command, caller, answered)
  else tellFenced(partitions, { partition, claim, caller }, command, answered)
}

export const remove: Handler = ({ partitions }, { key, caller, exchange }) => {
  partitions.tell(partitions.of(key), { _tag: "DeleteStream", stream: key }, caller, (outcome) => {
    if (!("ok" in outcome)) return refuseOutcome(exchange, outcome)
    head(exchange.response, 204, {})
    exchange.response.end()
  })
}
