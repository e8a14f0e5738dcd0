/** How streams come to be and cease: create, fork, pin, delete, expire. */
import { partitionStreamsMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import { mediaOf } from "../../messages/stream.ts"
import type { StreamPartition, Wire } from "../../messages/stream-partition.ts"
import type { Context, Decision } from "../decider.ts"
import { wireOf } from "./append.ts"
import { lacksDigest } from "./proof.ts"
import { endOf, find, isPinned, type State, type Stream } from "./state.ts"
import { absence, infoOf, isUnit } from "./view.ts"

type Event = EventOf<StreamPartition>
type Refusal = RefusalOf<StreamPartition>
type Outcome = Decision<unknown, Refusal, Event>
type Of<Tag extends CommandOf<StreamPartition>["_tag"]> = Extract<CommandOf<StreamPartition>, { readonly _tag: Tag }>

/** How long a pin holds whose fork has not said yet that it exists: longer than anybody keeps on asking. */
const pinMs = 60_000

/** In what a stream that exists differs from the one that is asked for, by the name of the header or field. */
const difference = (stream: Stream, asked: Of<"CreateStream">): string | undefined => {
  const { origin } = stream
  const wanted = asked.origin
  if (mediaOf(stream.contentType) !== mediaOf(asked.contentType)) return "content type"
  if (stream.ttlS !== asked.ttlS) return "time to live"
  if (stream.expiresAt !== asked.expiresAt) return "expiry"
  if (stream.closed !== (asked.closed ?? false)) return "closed or open"
  if (origin?.source !== wanted?.source) return "source of the fork"
  if (wanted?.asked !== undefined && wanted.asked !== origin?.offset) return "offset of the fork"
  if (wanted !== undefined && wanted.sub !== origin?.sub) return "sub-offset of the fork"
  if (asked.attributes !== undefined && JSON.stringify(asked.attributes) !== JSON.stringify(stream.attributes))
    return "attributes"
  if (asked.proof !== undefined && stream.proof === undefined) return "proof"
  return undefined
}

export const create = (state: State, command: Of<"CreateStream">, { at, caller }: Context): Outcome => {
  const found = find(state, command.stream, at)
  if ("stream" in found) {
    const differs = difference(found.stream, command)
    if (differs !== undefined) return { refused: { _tag: "StreamExists", stream: command.stream, differs } }
    return { events: [], reply: { created: false, info: infoOf(found.stream) } }
  }
  if (found.absent === "gone")
    return { refused: { _tag: "StreamExists", stream: command.stream, differs: "it is kept for its forks" } }
  if (state.streams.size >= partitionStreamsMax)
    return { refused: { _tag: "Full", what: "streams of the partition", max: partitionStreamsMax } }
  const wire = command.body === undefined ? undefined : wireOf(command.contentType, command.body)
  if (wire !== undefined && "refused" in wire) return wire
  if (command.proof !== undefined && [command.prefix, wire].some(lacksDigest)) return { refused: { _tag: "NoProof" } }
  const { _tag, body, prefix, closed, ...made } = command
  const events: Array<Event> = found.expired === undefined ? [] : [removed(found.expired)]
  events.push({ _tag: "StreamCreated", ...made, by: caller as never })
  let tail = command.origin?.offset ?? 0
  for (const each of [prefix, wire]) {
    if (each === undefined) continue
    events.push({ _tag: "Appended", stream: command.stream, from: tail, wire: each })
    tail += each.size
  }
  if (closed === true) events.push({ _tag: "StreamClosed", stream: command.stream })
  return { events, reply: { created: true, info: infoOfNew(command, { tail, at, wire }) } }
}

const infoOfNew = (
  command: Of<"CreateStream">,
  { tail, at }: { readonly tail: number; readonly at: number; readonly wire: Wire | undefined }
) => {
  const { stream, contentType, closed, ttlS, expiresAt, origin, attributes } = command
  return {
    ...{ stream, contentType, tail, closed: closed ?? false, createdAt: at, writtenAt: at },
    ...{ floor: origin?.floor ?? 0, producers: 0, forks: 0 },
    ...(ttlS !== undefined && { ttlS }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(origin !== undefined && { forkedFrom: origin }),
    ...(attributes !== undefined && { attributes })
  }
}

const removed = ({ key, origin }: Stream): Event => ({
  _tag: "StreamRemoved",
  stream: key,
  ...(origin !== undefined && { origin })
})

export const remove = (state: State, key: string, at: number): Outcome => {
  const found = find(state, key, at)
  if ("absent" in found) return { refused: absence(key, found.absent) }
  const { stream } = found
  return { events: [isPinned(stream, at) ? { _tag: "StreamHidden", stream: key } : removed(stream)], reply: {} }
}

export const pin = (state: State, command: Of<"PinStream">, at: number): Outcome => {
  const key = command.stream
  const found = find(state, key, at)
  if ("absent" in found) return { refused: absence(key, found.absent) }
  const { stream } = found
  if (command.contentType !== undefined && mediaOf(command.contentType) !== mediaOf(stream.contentType))
    return { refused: { _tag: "WrongContentType", expected: stream.contentType } }
  const offset = command.offset ?? stream.tail
  const why = misplaced(stream, offset)
  if (why !== undefined) return { refused: { _tag: "BadForkOffset", why } }
  return {
    events: [{ _tag: "StreamPinned", stream: key, pin: command.pin, until: at + pinMs }],
    reply: { info: infoOf(stream), offset }
  }
}

const misplaced = (stream: Stream, offset: number): string | undefined => {
  if (offset > stream.tail) return "it lies behind the tail of the source"
  if (offset < stream.floor) return "it lies before what the source has kept"
  const isOwn = offset >= (stream.origin?.offset ?? 0)
  if (!isOwn || offset === stream.tail || isUnit(stream, offset)) return undefined
  return "no append begins there"
}

export const confirm = (state: State, { stream: key, pin: id }: Of<"ConfirmPin">): Outcome => {
  const isKnown = state.streams.has(key) && state.streams.get(key)?.pins?.get(id) !== 0
  return { events: isKnown ? [{ _tag: "PinConfirmed", stream: key, pin: id }] : [], reply: {} }
}

/** The last fork of a stream that nobody else needs takes it along. */
export const unpin = (state: State, { stream: key, pin: id }: Of<"UnpinStream">, at: number): Outcome => {
  const stream = state.streams.get(key)
  if (stream?.pins?.has(id) !== true) return { events: [], reply: {} }
  const events: Array<Event> = [{ _tag: "StreamUnpinned", stream: key, pin: id }]
  const isEnded = stream.hidden || endOf(stream) <= at
  const others = [...stream.pins].some(([other, until]) => other !== id && (until === 0 || until > at))
  if (isEnded && !others) events.push(removed(stream))
  return { events, reply: {} }
}

/** What an alarm finds: the stream's end, or pins whose forks never came to be. */
export const expire = (state: State, key: string, at: number): Array<Event> => {
  const stream = state.streams.get(key)
  if (stream === undefined) return []
  const lapsed = [...(stream.pins ?? [])].filter(([, until]) => until !== 0 && until <= at)
  const events: Array<Event> = lapsed.map(([pin]) => ({ _tag: "StreamUnpinned", stream: key, pin }))
  const isEnded = stream.hidden || endOf(stream) <= at
  if (!isEnded) return events
  if (!isPinned(stream, at)) events.push(removed(stream))
  else if (!stream.hidden) events.push({ _tag: "StreamHidden", stream: key })
  return events
}
