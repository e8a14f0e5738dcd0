/** Subscriptions: who is woken, who works, and what of the streams is done with. All of it is in events. */
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import { ownKey, pathOfKey } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Link, Mark } from "../../messages/subscription.ts"
import { subscriptionCommands } from "../../messages/subscription.ts"
import type { Context, Decision } from "../decider.ts"
import type { State } from "./state.ts"
import { fencedBy, linksOf, pendingOf, type Subscriber, sameConfig, told } from "./subscriber.ts"

type Event = EventOf<StreamPartition>
type Outcome = Decision<unknown, RefusalOf<StreamPartition>, Event>
type Of<Tag extends keyof typeof subscriptionCommands> = Extract<CommandOf<StreamPartition>, { readonly _tag: Tag }>
export type SubscriptionCommand = Of<keyof typeof subscriptionCommands>

export const isSubscriptionCommand = (command: { readonly _tag: string }): command is SubscriptionCommand =>
  Object.hasOwn(subscriptionCommands, command._tag)

const nothing: Outcome = { events: [], reply: {} }

export const subscribe = (state: State, command: SubscriptionCommand, context: Context): Outcome => {
  const subscriber = state.subscribers.get(command.id)
  if (command._tag === "PutSubscription") return put(subscriber, command, context.at)
  if (subscriber === undefined) return { refused: { _tag: "NoSuchSubscription", id: command.id } }
  switch (command._tag) {
    case "DeleteSubscription":
      return { events: [{ _tag: "SubscriptionDeleted", id: command.id }], reply: {} }
    case "LinkStreams":
      return link(subscriber, command)
    case "UnlinkStream":
      if (!subscriber.links.has(command.path)) return nothing
      return { events: [{ _tag: "StreamUnlinked", id: command.id, path: command.path }], reply: {} }
    case "WakeSubscription":
      return wake(subscriber, command, context.at)
    case "ClaimSubscription":
      return claim(subscriber, command, context.at)
    case "AckSubscription":
      return ack(subscriber, command, context.at)
    case "ReleaseSubscription":
      return release(subscriber, command)
    case "FailDelivery":
      return fail(subscriber, command, context.at)
  }
}

const put = (known: Subscriber | undefined, command: Of<"PutSubscription">, at: number): Outcome => {
  const { id, config, existing } = command
  if (known !== undefined) {
    if (!sameConfig(known.config, config)) return { refused: { _tag: "SubscriptionExists", id } }
    return { events: [], reply: { created: false, subscription: told(known) } }
  }
  const tails = new Map(existing.map(({ path, offset }) => [path, offset]))
  const links = new Map<string, Link>()
  for (const path of tails.keys()) links.set(path, { path, link: "glob", acked: tails.get(path) ?? -1 })
  for (const path of config.streams) links.set(path, { path, link: "explicit", acked: tails.get(path) ?? -1 })
  const all = [...links.values()]
  const subscription = { id, config, links: all, createdAt: at, generation: 0, failures: 0 }
  return { events: [{ _tag: "SubscriptionPut", id, config, links: all }], reply: { created: true, subscription } }
}

const link = (subscriber: Subscriber, { id, streams }: Of<"LinkStreams">): Outcome => {
  const links = streams
    .filter(({ path }) => subscriber.links.get(path)?.link !== "explicit")
    .map(({ path, offset }): Link => {
      const acked = subscriber.links.get(path)?.acked ?? offset
      return { path, link: "explicit", acked }
    })
  return links.length === 0 ? nothing : { events: [{ _tag: "StreamsLinked", id, links }], reply: {} }
}

/** Streams that the pattern has met since: all of each is work. */
const newLinks = ({ links }: Subscriber, pending: ReadonlyArray<Mark>): Array<Link> =>
  pending.flatMap(({ path }) => (links.has(path) ? [] : [{ path, link: "glob", acked: -1 }]))

const wake = (subscriber: Subscriber, command: Of<"WakeSubscription">, at: number): Outcome => {
  const pending = pendingOf(subscriber, command.tails)
  if (pending.length === 0 || subscriber.wake !== undefined || subscriber.retryAt > at)
    return { events: [], reply: { woken: false } }
  const { config, id } = subscriber
  const generation = subscriber.generation + 1
  const isPull = config.type === "pull-wake"
  const until = isPull ? {} : { until: at + config.leaseMs }
  const made = { wakeId: command.wakeId, generation, ...until, tails: pending }
  const links = newLinks(subscriber, pending)
  const tell = isPull && command.wakePartition !== undefined ? { tell: wakeEvent(subscriber, command, at) } : {}
  return {
    events: [{ _tag: "SubscriptionWoken", id, wake: made, token: command.token, links, ...tell }],
    reply: { woken: true }
  }
}

const wakeEvent = ({ id, config, generation }: Subscriber, command: Of<"WakeSubscription">, at: number) => ({
  stream: command.wakeKey ?? "",
  partition: command.wakePartition ?? "",
  text: JSON.stringify({
    type: "wake",
    subscription_id: id.slice(id.indexOf("/") + 1),
    stream: pathOfKey(ownKey(config.wakeStream ?? "")),
    generation: generation + 1,
    ts: at
  })
})

const claim = (subscriber: Subscriber, command: Of<"ClaimSubscription">, at: number): Outcome => {
  const { wake: round, config, id } = subscriber
  if (round?.until !== undefined && round.until > at)
    return { refused: { _tag: "AlreadyClaimed", holder: round.holder ?? "", generation: round.generation } }
  const pending = pendingOf(subscriber, command.tails)
  if (pending.length === 0) return { refused: { _tag: "NoPendingWork" } }
  const isWaiting = round !== undefined && round.until === undefined
  const made = {
    wakeId: isWaiting ? round.wakeId : command.wakeId,
    generation: isWaiting ? round.generation : subscriber.generation + 1,
    holder: command.worker,
    until: at + config.leaseMs,
    tails: pending
  }
  const links = newLinks(subscriber, pending)
  return {
    events: [{ _tag: "SubscriptionWoken", id, wake: made, token: command.token, links }],
    reply: {
      ...{ wake: made, links: [...linksOf(subscriber), ...links], leaseMs: config.leaseMs },
      ...fencedBy(subscriber, made.generation)
    }
  }
}

interface Shown {
  readonly token: string
  readonly wakeId: string
  readonly generation: number
}

/** Why somebody with these papers may not work on it, or nothing when they may. */
export const barred = (subscriber: Subscriber, { token, wakeId, generation }: Shown) => {
  const { wake: round, tokens } = subscriber
  if (!tokens.includes(token)) return { _tag: "TokenInvalid" } as const
  const isCurrent = round?.wakeId === wakeId && round.generation === generation && tokens.at(-1) === token
  return isCurrent ? undefined : ({ _tag: "Fenced", generation: subscriber.generation } as const)
}

const misplaced = ({ links }: Subscriber, acks: ReadonlyArray<Mark>, tails: ReadonlyArray<Mark>) =>
  acks.find(({ path, offset }) => {
    const known = links.get(path)
    const tail = tails.find((each) => each.path === path)?.offset ?? 0
    return known === undefined || offset < Math.max(0, known.acked) || offset > tail
  })

const ack = (subscriber: Subscriber, command: Of<"AckSubscription">, at: number): Outcome => {
  const { acks, tails, done, id } = command
  const refused = barred(subscriber, command)
  if (refused !== undefined) return { refused }
  const wrong = misplaced(subscriber, acks, tails)
  if (wrong !== undefined) return { refused: { _tag: "InvalidOffset", path: wrong.path } }
  const acked = new Map(acks.map(({ path, offset }) => [path, offset]))
  const nextWake = done && pendingOf(subscriber, tails).some(({ path, offset }) => offset > (acked.get(path) ?? -1))
  const until = done ? {} : { until: at + subscriber.config.leaseMs }
  return { events: [{ _tag: "SubscriptionAcked", id, acks, done, ...until }], reply: { nextWake, ...over(subscriber) } }
}

const release = (subscriber: Subscriber, command: Of<"ReleaseSubscription">): Outcome => {
  const refused = barred(subscriber, command)
  return refused === undefined
    ? { events: [{ _tag: "SubscriptionLapsed", id: command.id }], reply: over(subscriber) }
    : { refused }
}

const over = (subscriber: Subscriber) => fencedBy(subscriber, subscriber.generation + 1)

const fail = (subscriber: Subscriber, command: Of<"FailDelivery">, at: number): Outcome =>
  subscriber.wake?.generation !== command.generation
    ? nothing
    : {
        events: [{ _tag: "SubscriptionLapsed", id: command.id, retryAt: at + command.retryMs }],
        reply: {}
      }

/** What an alarm finds: a lease that has ended. A moment to try again is only an occasion to look. */
export const lapse = ({ id, wake: round }: Subscriber, at: number): Array<Event> =>
  round?.until !== undefined && round.until <= at ? [{ _tag: "SubscriptionLapsed", id }] : []
