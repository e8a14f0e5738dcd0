/** Fences of a partition: which rounds of subscriptions may append to its streams, and to whom its own have told it. */
import type { Fence } from "../../messages/fence.ts"
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Decision } from "../decider.ts"
import type { State } from "./state.ts"
import { barred } from "./subscribe.ts"

type Event = EventOf<StreamPartition>
type Refusal = RefusalOf<StreamPartition>
type Outcome = Decision<unknown, Refusal, Event>
type Of<Union, Tag> = Extract<Union, { readonly _tag: Tag }>
type Command<Tag> = Of<CommandOf<StreamPartition>, Tag>

/** The latest round of a subscription that a partition knows. */
export interface Raised {
  readonly since: number
  readonly generation: number
  readonly token: string | undefined
  readonly until: number
  readonly at: number
}

/**
 * Whoever shows a fence that is not known here is asked about at its subscription. So one may be forgotten at any time,
 * and is after an hour without news.
 */
const forgottenMs = 3_600_000

/** Why an append with this fence may not land, or nothing when it may. */
export const fenceFault = (state: State, fence: Fence | undefined, at: number): Refusal | undefined => {
  if (fence === undefined) return undefined
  const raised = state.fences.get(fence.subscription)
  const isHeld = raised?.token === fence.token && raised.until > at
  return isHeld ? undefined : { _tag: "FenceUnproven", subscription: fence.subscription }
}

export const grant = (state: State, command: Command<"GrantFence">, at: number): Outcome => {
  const { id, partition } = command
  const subscriber = state.subscribers.get(id)
  if (subscriber === undefined) return { refused: { _tag: "NoSuchSubscription", id } }
  const refused = barred(subscriber, command)
  if (refused !== undefined) return { refused }
  const until = subscriber.wake?.until ?? 0
  if (until <= at) return { refused: { _tag: "Fenced", generation: subscriber.generation } }
  const isKnown = subscriber.fenced?.includes(partition) === true
  const events: Array<Event> = isKnown ? [] : [{ _tag: "FenceGranted", id, partition }]
  return { events, reply: { since: subscriber.createdAt, until } }
}

const isLater = (asked: Command<"RaiseFence">, known: Raised | undefined): boolean => {
  if (known === undefined) return true
  if (asked.since !== known.since) return asked.since > known.since
  if (asked.generation !== known.generation) return asked.generation > known.generation
  if (asked.token === undefined) return false
  return known.token === undefined || (known.token === asked.token && asked.until > known.until)
}

export const raise = (state: State, command: Command<"RaiseFence">): Outcome => {
  if (!isLater(command, state.fences.get(command.subscription))) return { events: [], reply: {} }
  return { events: [{ ...command, _tag: "FenceRaised" }], reply: {} }
}

export const evolveRaised = ({ fences }: State, event: Of<Event, "FenceRaised">, at: number): void => {
  const { subscription, since, generation, token, until } = event
  fences.delete(subscription)
  fences.set(subscription, { since, generation, token, until, at })
  // What was heard of last stands last.
  for (const [id, raised] of fences) {
    if (Math.max(raised.at, raised.until) > at - forgottenMs) break
    fences.delete(id)
  }
}
