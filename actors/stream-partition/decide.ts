/** Which commands a partition accepts, and what comes of them. */

import { streamAttributesBytesMax, transactionOperationsMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import { partitionKind } from "../../messages/stream.ts"
import type { Append, Appended, StreamPartition } from "../../messages/stream-partition.ts"
import type { Context, Decision, Obligation, Tick } from "../decider.ts"
import { type Alarm, subscriberAlarm } from "./alarms.ts"
import { append } from "./append.ts"
import { confirm, create, expire, pin, remove, unpin } from "./create.ts"
import { advance } from "./evolve.ts"
import { fenceFault, grant, raise } from "./fence.ts"
import { objection, planObjects } from "./objects.ts"
import { proofFault } from "./proof.ts"
import { forget, merge, seal } from "./segments.ts"
import { find, type State, type Stream } from "./state.ts"
import { isSubscriptionCommand, lapse, subscribe } from "./subscribe.ts"
import { absence, isUnit } from "./view.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>
type Outcome = Decision<unknown, RefusalOf<StreamPartition>, Event>
type Of<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

export const decide = (state: State, command: Command | Tick, context: Context): Outcome => {
  const { at } = context
  const objected = objection(state, command, context.caller)
  if (objected !== undefined) return { refused: objected }
  if (isSubscriptionCommand(command)) return subscribe(state, command, context)
  switch (command._tag) {
    case "Tick":
      return sweep(state, at)
    case "Append": {
      const found = find(state, command.stream, at)
      if ("absent" in found) return { refused: absence(command.stream, found.absent) }
      const refused = fenceFault(state, command.fence, at) ?? proofFault(found.stream, command.body)
      return refused === undefined ? append(state, found.stream, command) : { refused }
    }
    case "AppendAll":
      return appendAll(state, command.operations, at)
    case "CreateStream":
      return create(state, command, context)
    case "DeleteStream":
      return remove(state, command.stream, at)
    case "PinStream":
      return pin(state, command, at)
    case "ConfirmPin":
      return confirm(state, command)
    case "UnpinStream":
      return unpin(state, command, at)
    case "GrantFence":
      return grant(state, command, at)
    case "RaiseFence":
      return raise(state, command)
    case "Seal":
      return seal(state, command)
    case "Merge":
      return merge(state, command)
    case "PlanObjects":
      return planObjects(state, command, at)
    case "ForgetObjects":
      return forget(state, command)
    default:
      return amend(state, command, at)
  }
}

type Amendment = Of<"TouchStream" | "SetAttributes" | "PublishSnapshot" | "RetainFrom">

/** What changes something about a stream, and not what is in it. */
const amend = (state: State, command: Amendment, at: number): Outcome => {
  const found = find(state, command.stream, at)
  if ("absent" in found) return { refused: absence(command.stream, found.absent) }
  const { stream } = found
  switch (command._tag) {
    case "TouchStream":
      return { events: stream.ttlS === undefined ? [] : [{ _tag: "StreamTouched", stream: stream.key }], reply: {} }
    case "SetAttributes": {
      const bytes = Buffer.byteLength(JSON.stringify(command.attributes))
      if (bytes > streamAttributesBytesMax)
        return { refused: { _tag: "Full", what: "bytes of attributes", max: streamAttributesBytesMax } }
      return { events: [{ _tag: "AttributesSet", stream: stream.key, attributes: command.attributes }], reply: {} }
    }
    case "PublishSnapshot":
      return publish(stream, command)
    case "RetainFrom":
      return retain(stream, command.offset)
  }
}

const isBoundary = (stream: Stream, offset: number): boolean =>
  offset === stream.tail || offset === 0 || isUnit(stream, offset)

const publish = (stream: Stream, { snapshot, ifDigest }: Of<"PublishSnapshot">): Outcome => {
  const { snapshot: last, floor, tail, key } = stream
  const refuse = (why: string): Outcome => ({ refused: { _tag: "BadSnapshot", why } })
  if (ifDigest !== undefined && ifDigest !== last?.digest) return refuse("another snapshot was published since")
  if (last !== undefined && snapshot.offset === last.offset)
    return snapshot.digest === last.digest ? { events: [], reply: {} } : refuse("another one lies at this offset")
  if (snapshot.offset < floor) return { refused: { _tag: "BelowFloor", floor } }
  if (snapshot.offset > tail) return refuse("its offset lies behind the tail")
  if (last !== undefined && snapshot.offset < last.offset) return refuse("a later one is there already")
  if (!isBoundary(stream, snapshot.offset)) return refuse("no append begins at its offset")
  return { events: [{ _tag: "SnapshotPublished", stream: key, snapshot }], reply: {} }
}

const retain = (stream: Stream, offset: number): Outcome => {
  if (offset <= stream.floor) return { events: [], reply: { floor: stream.floor } }
  if (offset > stream.tail || !isBoundary(stream, offset))
    return { refused: { _tag: "BadSnapshot", why: "no append begins at this offset" } }
  return { events: [{ _tag: "FloorRaised", stream: stream.key, floor: offset }], reply: { floor: offset } }
}

/** Each operation is judged on what the earlier ones leave behind, on copies of the streams that they touch. */
const appendAll = (state: State, operations: ReadonlyArray<Append>, at: number): Outcome => {
  if (operations.length > transactionOperationsMax)
    return { refused: { _tag: "Full", what: "operations", max: transactionOperationsMax } }
  const copies = new Map<string, Stream>()
  const events: Array<Event> = []
  const appended: Array<Appended> = []
  for (const [index, operation] of operations.entries()) {
    const found = find(state, operation.stream, at)
    if ("absent" in found)
      return { refused: { _tag: "FailedOperation", index, refused: absence(operation.stream, found.absent) } }
    const stream = copies.get(operation.stream) ?? copyOf(found.stream)
    copies.set(operation.stream, stream)
    const fault = fenceFault(state, operation.fence, at) ?? proofFault(stream, operation.body)
    const outcome = fault === undefined ? append(state, stream, operation) : { refused: fault }
    if ("refused" in outcome) return { refused: { _tag: "FailedOperation", index, refused: outcome.refused } }
    for (const event of outcome.events) advance(stream, event, at)
    events.push(...outcome.events)
    appended.push(outcome.reply)
  }
  return { events, reply: { appended } }
}

const copyOf = (stream: Stream): Stream => ({
  ...stream,
  producers: stream.producers === undefined ? undefined : new Map(stream.producers)
})

/** The events of a sweep fit into one entry. */
const sweepStreamsMax = 1000

const sweep = (state: State, at: number): Outcome => {
  const events: Array<Event> = [{ _tag: "Swept" }]
  for (const key of ringing(state.alarms, at)) {
    const subscriber = key.startsWith(subscriberAlarm) ? state.subscribers.get(key.slice(1)) : undefined
    events.push(...(subscriber === undefined ? expire(state, key, at) : lapse(subscriber, at)))
    if (events.length > sweepStreamsMax) break
  }
  return { events, reply: {} }
}

/** Only what rings is visited: below an alarm of the heap that is still to come there is none that rings. */
const ringing = (alarms: ReadonlyArray<Alarm>, at: number): Set<string> => {
  const keys = new Set<string>()
  const places = [0]
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const alarm = alarms[place]
    if (alarm === undefined || alarm.at > at) continue
    keys.add(alarm.key)
    places.push(2 * place + 1, 2 * place + 2)
  }
  return keys
}

/** A fork concerns its source, and a pull-wake's workers are told in a stream: in whatever partition that is. */
export const oblige = (event: Event): ReadonlyArray<Obligation> => {
  if (event._tag === "StreamCreated" && event.origin !== undefined) return [ofPin("ConfirmPin", event.origin)]
  if (event._tag === "StreamRemoved" && event.origin !== undefined) return [ofPin("UnpinStream", event.origin)]
  if (event._tag === "SubscriptionWoken" && event.tell !== undefined) {
    const { stream, partition, text } = event.tell
    const command = { _tag: "Append", stream, contentType: "application/json", body: { text } }
    return [{ kind: partitionKind, id: partition, command }]
  }
  return none
}

const none: ReadonlyArray<Obligation> = []

const ofPin = (
  name: "ConfirmPin" | "UnpinStream",
  { source, partition, pin: id }: { readonly source: string; readonly partition: string; readonly pin: string }
): Obligation => ({ kind: partitionKind, id: partition, command: { _tag: name, stream: source, pin: id } as never })
