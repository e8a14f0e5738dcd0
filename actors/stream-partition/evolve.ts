/** How a partition changes: total over its events, and in place. */
import type { EventOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { objectAlarm, setAlarm, subscriberAlarm, takeAlarms } from "./alarms.ts"
import { evolveRaised } from "./fence.ts"
import { evolvePlanned, sweepObjects } from "./objects.ts"
import { note } from "./producers.ts"
import { beginProof, extendProof, raiseProof } from "./proof.ts"
import { dropToFloor, evolveMerged, evolveSealed, refer, release, releaseAll } from "./segments.ts"
import { addData, endOf, type State, type Stream } from "./state.ts"
import { type Subscriber, tokensMax } from "./subscriber.ts"

type Event = EventOf<StreamPartition>
type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

/** What an append or a close changes about a stream besides its data. */
export const advance = (stream: Stream, event: Event, at: number): void => {
  if (event._tag === "Appended") {
    const { from, wire, producer, seq } = event
    stream.tail = from + wire.size
    if (seq !== undefined) stream.seq = seq
    if (producer !== undefined) note(stream, producer, [from, stream.tail], at)
    stream.writtenAt = at
  } else if (event._tag === "StreamClosed") {
    stream.closed = true
    stream.closedBy = event.producer
    if (event.producer !== undefined) note(stream, event.producer, [stream.tail, stream.tail], at)
  }
  stream.touchedAt = at
}

const streamOf = (state: State, key: string): Stream => {
  const stream = state.streams.get(key)
  if (stream === undefined) throw new Error(`an event of ${key}, which is not there`)
  return stream
}

export const evolve = (state: State, event: Event, at: number): State => {
  switch (event._tag) {
    case "Appended": {
      const stream = streamOf(state, event.stream)
      if (event.from !== stream.tail)
        throw new Error(`${event.stream}: an append at ${event.from}, and the tail is ${stream.tail}`)
      addData(state, stream, event.from, event.wire)
      extendProof(stream, event.from, event.wire)
      advance(stream, event, at)
      break
    }
    case "StreamClosed":
      advance(streamOf(state, event.stream), event, at)
      break
    case "StreamCreated":
      created(state, event, at)
      break
    case "StreamTouched":
      streamOf(state, event.stream).touchedAt = at
      break
    case "StreamRemoved": {
      const stream = streamOf(state, event.stream)
      releaseAll(state, stream, at)
      state.streams.delete(event.stream)
      break
    }
    case "Swept":
      swept(state, at)
      break
    case "Sealed":
      evolveSealed(state, event, at)
      break
    case "SegmentsMerged":
      evolveMerged(state, event, at)
      break
    case "ObjectsPlanned":
      evolvePlanned(state, event)
      break
    case "FenceRaised":
      evolveRaised(state, event, at)
      break
    case "ObjectsForgotten":
      for (const object of event.objects) state.garbage.delete(object)
      break
    default:
      if ("id" in event) evolveSubscriber(state, event, at)
      else evolveStream(state, streamOf(state, event.stream), event, at)
  }
  return state
}

const created = (state: State, event: Of<"StreamCreated">, at: number): void => {
  const { stream: key, contentType, origin, attributes, ttlS, expiresAt, expiresMs, proof } = event
  const stream: Stream = {
    ...{ key, contentType, createdAt: at, ttlS, expiresAt, expiresMs, origin, attributes },
    ...{
      tail: origin?.offset ?? 0,
      floor: origin?.floor ?? 0,
      closed: false,
      closedBy: undefined,
      touchedAt: at,
      writtenAt: at
    },
    ...{ seq: undefined, producers: undefined, data: undefined, pins: undefined, hidden: false, snapshot: undefined },
    proof: proof === undefined ? undefined : beginProof(key, at, origin?.offset ?? 0)
  }
  state.streams.set(key, stream)
  setAlarm(state, endOf(stream), key)
}

type StreamEvent = Of<
  | "StreamHidden"
  | "StreamPinned"
  | "PinConfirmed"
  | "StreamUnpinned"
  | "AttributesSet"
  | "SnapshotPublished"
  | "FloorRaised"
>

const evolveStream = (state: State, stream: Stream, event: StreamEvent, at: number): void => {
  switch (event._tag) {
    case "StreamHidden":
      stream.hidden = true
      break
    case "StreamPinned":
      stream.pins ??= new Map()
      stream.pins.set(event.pin, event.until)
      setAlarm(state, event.until, stream.key)
      break
    case "PinConfirmed":
      stream.pins ??= new Map()
      stream.pins.set(event.pin, 0)
      break
    case "StreamUnpinned":
      stream.pins?.delete(event.pin)
      if (stream.pins?.size === 0) stream.pins = undefined
      dropToFloor(state, stream, at)
      break
    case "AttributesSet":
      stream.attributes = event.attributes
      break
    case "SnapshotPublished":
      if (stream.snapshot !== undefined) release(state, [stream.snapshot.object], at)
      stream.snapshot = event.snapshot
      refer(state, event.snapshot.object)
      break
    case "FloorRaised":
      raiseProof(stream, event.floor)
      stream.floor = event.floor
      dropToFloor(state, stream, at)
      break
  }
}

/** What has rung is forgotten, and what is still to come rings again: a touch moves a stream's end without an alarm. */
const swept = (state: State, at: number): void => {
  const keys = new Set(takeAlarms(state, at).map(({ key }) => key))
  // One that has ended rings again soon, should the events of this sweep not have been enough for it.
  const again = (until: number, key: string): void => setAlarm(state, Math.max(until, at + 1000), key)
  if (keys.has(objectAlarm)) sweepObjects(state, at)
  for (const key of keys) {
    const until = key.startsWith(subscriberAlarm) ? state.subscribers.get(key.slice(1))?.wake?.until : undefined
    if (until !== undefined) again(until, key)
    const stream = state.streams.get(key)
    if (stream === undefined) continue
    if (!stream.hidden && endOf(stream) !== Number.POSITIVE_INFINITY) again(endOf(stream), key)
    for (const pinned of stream.pins?.values() ?? []) if (pinned !== 0) again(pinned, key)
  }
}

type SubscriberEvent = Extract<Event, { readonly id: string }>

const evolveSubscriber = (state: State, event: SubscriberEvent, at: number): void => {
  if (event._tag === "SubscriptionPut") {
    const links = new Map(event.links.map(({ path, link, acked }) => [path, { link, acked }]))
    const { id, config } = event
    const rest = { generation: 0, failures: 0, retryAt: 0, wake: undefined, tokens: [] }
    state.subscribers.set(id, { id, config, createdAt: at, links, ...rest })
    return
  }
  if (event._tag === "SubscriptionDeleted") {
    state.subscribers.delete(event.id)
    return
  }
  const subscriber = state.subscribers.get(event.id)
  if (subscriber === undefined) throw new Error(`an event of the subscription ${event.id}, which is not there`)
  progress(state, subscriber, event)
}

const progress = (
  state: State,
  subscriber: Subscriber,
  event: Exclude<SubscriberEvent, { readonly _tag: "SubscriptionPut" | "SubscriptionDeleted" }>
): void => {
  const { links } = subscriber
  const alarm = (until: number | undefined): void => {
    if (until !== undefined) setAlarm(state, until, `${subscriberAlarm}${subscriber.id}`)
  }
  switch (event._tag) {
    case "StreamsLinked":
      for (const { path, link, acked } of event.links) links.set(path, { link, acked })
      break
    case "StreamUnlinked":
      links.delete(event.path)
      break
    case "SubscriptionWoken":
      for (const { path, link, acked } of event.links) links.set(path, { link, acked })
      subscriber.wake = event.wake
      subscriber.generation = event.wake.generation
      subscriber.tokens = [...subscriber.tokens, event.token].slice(-tokensMax)
      alarm(event.wake.until)
      break
    case "SubscriptionAcked": {
      for (const { path, offset } of event.acks)
        links.set(path, { link: links.get(path)?.link ?? "glob", acked: offset })
      subscriber.failures = 0
      const { wake } = subscriber
      subscriber.wake =
        event.done || wake === undefined || event.until === undefined ? undefined : { ...wake, until: event.until }
      alarm(event.until)
      break
    }
    case "FenceGranted":
      subscriber.fenced = [...(subscriber.fenced ?? []), event.partition]
      break
    case "SubscriptionLapsed":
      subscriber.wake = undefined
      if (event.retryAt !== undefined) {
        subscriber.failures += 1
        subscriber.retryAt = event.retryAt
        alarm(event.retryAt)
      }
      break
  }
}
