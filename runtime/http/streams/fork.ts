/** Forks over HTTP: the source is pinned, the fork is made, and a pin that came to nothing is taken off again. */
import { hash } from "node:crypto"
import { Effect } from "effect"
import { firstOf } from "../../../actors/stream-partition/json.ts"
import { streamInlineBytesMax } from "../../../messages/limits.ts"
import { isJsonType, keyIn, mediaOf, parseOffset, streamFault } from "../../../messages/stream.ts"
import type { Origin, Payload, StreamInfo, Wire } from "../../../messages/stream-partition.ts"
import { announced } from "../../streams/announced.ts"
import type { Command, Outcome } from "../../streams/partitions.ts"
import { answerCreated, prepared } from "./body.ts"
import { proofAsked } from "./proof.ts"
import { refuse, refuseOutcome } from "./reply.ts"
import { type Expiry, header, isClosing, keyOfUrlPath, typeToCreate, wholeNumber } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"

interface Wanted {
  readonly source: string
  readonly asked: number | undefined
  readonly sub: number
  readonly contentType: string | undefined
}

const wantedOf = ({ exchange, org }: Asked): Wanted | string => {
  const { request } = exchange
  const named = keyOfUrlPath(header(request, "stream-forked-from") ?? "")
  if (named === undefined || streamFault(named) !== undefined) return "Stream-Forked-From names no stream"
  const offset = header(request, "stream-fork-offset")
  const asked = offset === undefined ? undefined : offset === "-1" ? 0 : parseOffset(offset)
  if (offset !== undefined && asked === undefined) return `Stream-Fork-Offset ${offset} is no offset`
  const subText = header(request, "stream-fork-sub-offset")
  const sub = subText === undefined ? 0 : wholeNumber(subText)
  if (sub === undefined) return `Stream-Fork-Sub-Offset ${subText} is no whole number`
  return { source: keyIn(org, named), asked, sub, contentType: typeToCreate(request) }
}

export interface Given {
  readonly expiry: Expiry
  readonly body: Buffer
}

export const fork = (surface: Surface, asked: Asked, given: Given): void => {
  const wanted = wantedOf(asked)
  if (typeof wanted === "string") return refuse(asked.exchange, 400, wanted)
  asked.run(forking(surface, asked, given, wanted))
}

type Failed = Exclude<Outcome, { readonly ok: unknown }>

/** A source that is gone cannot be forked: for the fork's path that is a conflict. */
const refusePin = ({ exchange }: Asked, outcome: Failed): void => {
  const gone = "refused" in outcome && outcome.refused._tag === "StreamGone"
  if (gone) refuse(exchange, 409, "the source was deleted")
  else refuseOutcome(exchange, outcome)
}

const forking = Effect.fnUntraced(function* (surface: Surface, asked: Asked, given: Given, wanted: Wanted) {
  const { partitions } = surface
  const { source, contentType } = wanted
  const pin = partitions.freshId()
  const command: Command = {
    ...{ _tag: "PinStream", stream: source, pin },
    ...(contentType !== undefined && { contentType: mediaOf(contentType) }),
    ...(wanted.asked !== undefined && { offset: wanted.asked })
  }
  const pinned = yield* partitions.told(partitions.of(source), command, asked.caller)
  if (!("ok" in pinned)) return refusePin(asked, pinned)
  const { info, offset } = pinned.ok as { readonly info: StreamInfo; readonly offset: number }
  const made = yield* making(surface, asked, given, { ...wanted, pin, info, offset })
  if (typeof made === "object" && "ok" in made && (made.ok as { readonly created: boolean }).created)
    return answerMade(surface, asked, made)
  // It exists already, with a pin of its own, or it cannot be made: this pin is for nothing.
  yield* partitions.told(partitions.of(source), { _tag: "UnpinStream", stream: source, pin }, "node")
  answerMade(surface, asked, made)
})

const answerMade = (surface: Surface, asked: Asked, made: Outcome | string): void => {
  if (typeof made === "string") return refuse(asked.exchange, 400, made)
  if (!("ok" in made)) return refuseOutcome(asked.exchange, made)
  const { created, info } = made.ok as { readonly created: boolean; readonly info: StreamInfo }
  answerCreated(surface, asked, created, info)
}

interface Pinned extends Wanted {
  readonly pin: string
  readonly info: StreamInfo
  readonly offset: number
}

const making = Effect.fnUntraced(function* (surface: Surface, asked: Asked, given: Given, pinned: Pinned) {
  const { partitions } = surface
  const { info, source, offset, sub, pin } = pinned
  const contentType = pinned.contentType ?? info.contentType
  const prefix = yield* prefixOf(surface, asked.key, pinned)
  if (typeof prefix === "string") return prefix
  const origin: Origin = {
    ...{ source, partition: partitions.idOf(source), pin, offset, sub },
    ...(pinned.asked !== undefined && { asked: pinned.asked }),
    ...(info.floor > 0 && { floor: info.floor })
  }
  const body = given.body.length === 0 ? undefined : yield* bodyOf(surface, asked, { body: given.body, contentType })
  const command: Command = {
    ...{ _tag: "CreateStream", stream: asked.key, contentType, origin },
    ...expiryOf(given.expiry, info),
    ...(isClosing(asked.exchange.request) && { closed: true }),
    ...proofAsked(asked.exchange.request),
    ...(prefix !== undefined && { prefix }),
    ...(body !== undefined && { body })
  }
  return yield* partitions.told(partitions.of(asked.key), command, asked.caller)
})

const bodyOf = (surface: Surface, asked: Asked, given: { readonly body: Buffer; readonly contentType: string }) =>
  Effect.callback<Payload>((resume) => prepared(surface, asked, given, (payload) => resume(Effect.succeed(payload))))

/** What the request says wins; else the source's own expiry goes on. */
const expiryOf = (given: Expiry, { ttlS, expiresAt }: StreamInfo): Expiry => {
  if (given.ttlS !== undefined || given.expiresAt !== undefined) return given
  if (ttlS !== undefined) return { ttlS }
  return expiresAt === undefined ? {} : { expiresAt, expiresMs: Date.parse(expiresAt) }
}

/** The first bytes, or messages, of the append that begins at the fork's offset. */
const prefixOf = Effect.fnUntraced(function* (surface: Surface, fork: string, { info, offset, sub, source }: Pinned) {
  const base = info.forkedFrom?.offset ?? 0
  const isKnown = offset === 0 || offset === info.tail || (offset >= base && offset >= (info.sealed ?? 0))
  if (sub === 0 && isKnown) return undefined
  const wire = yield* unitAt(surface, info, { source, offset })
  const unit = wire === undefined ? undefined : yield* boundUnit(surface, wire, offset)
  if (unit === "away") return "the source's data cannot be read now"
  if (unit === undefined) return "no append begins at the fork's offset"
  if (sub === 0) return undefined
  return yield* cut(surface, unit, { isJson: isJsonType(info.contentType), sub, fork })
})

/** From the stream itself, or from the one along its forks that has this offset. */
const unitAt: (
  surface: Surface,
  info: StreamInfo,
  at: { readonly source: string; readonly offset: number }
) => Effect.Effect<Wire | undefined> = Effect.fnUntraced(function* (surface, info, { source, offset }) {
  const { partitions } = surface
  let key = source
  for (let of: StreamInfo["forkedFrom"] = info.forkedFrom; of !== undefined && offset < of.offset; ) {
    key = of.source
    const outcome = yield* partitions.asked(partitions.of(key), { _tag: "ShowStream", stream: key }, "node")
    of = "ok" in outcome ? (outcome.ok as { readonly info: StreamInfo }).info.forkedFrom : undefined
  }
  const unit = yield* partitions.asked(partitions.of(key), { _tag: "ReadUnit", stream: key, from: offset }, "node")
  return "ok" in unit ? (unit.ok as { readonly wire: Wire }).wire : undefined
})

/** Its bytes; undefined when it lies in a segment in which no append begins there. */
const boundUnit = ({ store }: Surface, wire: Wire, offset: number) =>
  store.unitOf(wire, offset).pipe(Effect.catch(() => Effect.succeed("away" as const)))

interface Cutting {
  readonly isJson: boolean
  readonly sub: number
  /** Whose beginning it becomes. */
  readonly fork: string
}

const cut = Effect.fnUntraced(function* (
  { store, partitions }: Surface,
  unit: Buffer,
  { isJson, sub, fork: key }: Cutting
) {
  const part = isJson ? firstOf(unit.toString(), sub) : sub <= unit.length ? unit.subarray(0, sub) : undefined
  if (part === undefined) return "Stream-Fork-Sub-Offset is beyond the append at the fork's offset"
  const size = Buffer.byteLength(part)
  const count = isJson ? sub : 1
  if (size <= streamInlineBytesMax)
    return typeof part === "string" ? { text: part, size, count } : { base64: part.toString("base64"), size, count }
  const write = (object: string) => Effect.as(store.putRaw(object, Buffer.from(part)), object)
  const stored = yield* announced(partitions, partitions.of(key), write).pipe(Effect.option)
  return stored._tag === "None"
    ? "the object store is away"
    : { object: stored.value, size, count, sha256: hash("sha256", part) }
})
