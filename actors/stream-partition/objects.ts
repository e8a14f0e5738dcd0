/** Objects of a partition before they are needed, and when they are not any more: none is left behind by a crash. */
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Decision, Tick } from "../decider.ts"
import { objectAlarm, setAlarm } from "./alarms.ts"
import type { State } from "./state.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>
type Refusal = RefusalOf<StreamPartition>
type Of<Union, Tag> = Extract<Union, { readonly _tag: Tag }>

/** Deleted after so long at the earliest: who has begun to read it has finished by then. */
export const garbageMs = 600_000

/** The name under which nodes speak for themselves: no credential allows a connection from outside to use it. */
const nodeCaller = "node"
/** The same for what one actor owes another. */
const outboxCaller = "outbox"

const callers: Readonly<Record<string, ReadonlyArray<string>>> = {
  ...{ Seal: [nodeCaller], Merge: [nodeCaller], PlanObjects: [nodeCaller], ForgetObjects: [nodeCaller] },
  ...{ WakeSubscription: [nodeCaller], FailDelivery: [nodeCaller], RaiseFence: [nodeCaller] },
  ...{ ConfirmPin: [outboxCaller, nodeCaller], UnpinStream: [outboxCaller, nodeCaller] }
}

const needsOf = (command: Command): ReadonlyArray<string | undefined> => {
  switch (command._tag) {
    case "Append":
      return [command.body?.object?.key]
    case "AppendAll":
      return command.operations.map(({ body }) => body?.object?.key)
    case "CreateStream":
      return [command.body?.object?.key, command.prefix?.object]
    case "PublishSnapshot":
      return [command.snapshot.object]
    case "Seal":
    case "Merge":
      return [command.object]
    default:
      return none
  }
}

const none: ReadonlyArray<undefined> = []

/** Why this caller may not command this, or which object it may not rely on; nothing when all is well. */
export const objection = (state: State, command: Command | Tick, caller: string): Refusal | undefined => {
  if (command._tag === "Tick") return undefined
  const allowed = callers[command._tag]
  if (allowed?.includes(caller) === false)
    return { _tag: "NotAllowed", caller, why: `${command._tag} is for the nodes themselves` }
  const object = needsOf(command).find((each) => each !== undefined && !state.planned.has(each))
  return object === undefined ? undefined : { _tag: "ObjectUnplanned", object }
}

export const planObjects = (
  { id }: State,
  { objects, forMs }: Of<Command, "PlanObjects">,
  at: number
): Decision<unknown, Refusal, Event> => {
  const stray = objects.find((object) => !object.startsWith(`streams/${id}/`))
  if (stray !== undefined) return { refused: { _tag: "ObjectUnplanned", object: stray } }
  return { events: [{ _tag: "ObjectsPlanned", objects, until: at + forMs }], reply: {} }
}

export const evolvePlanned = (state: State, { objects, until }: Of<Event, "ObjectsPlanned">): void => {
  for (const object of objects) {
    state.planned.set(object, until)
    state.garbage.delete(object)
  }
  setAlarm(state, until, objectAlarm)
}

/** What was announced and came to nothing is to be deleted; whoever deletes it is woken when it is time. */
export const sweepObjects = (state: State, at: number): void => {
  for (const [object, until] of state.planned) {
    if (until > at) continue
    state.planned.delete(object)
    discard(state, object, at)
  }
  const [oldest] = state.garbage.values()
  if (oldest !== undefined) setAlarm(state, Math.max(oldest + garbageMs, at + againMs), objectAlarm)
}

/** While the store is away what it should delete is looked at so often. */
const againMs = 60_000

/** Nobody needs it any more. */
export const discard = (state: State, object: string, at: number): void => {
  if (state.garbage.size === 0) setAlarm(state, at + garbageMs, objectAlarm)
  state.garbage.set(object, at)
}
