/** Subscriptions to streams: whom they wake, what they follow, and how work is claimed and acknowledged. */
import { Schema } from "effect"
import { Fenced } from "./fence.ts"
import { Millis } from "./ids.ts"

export const SubscriptionId = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,192}$/))

/** The path of a stream, or a glob of paths: `*` is one segment, `**` is any number of them. */
const path = Schema.String.check(Schema.isMaxLength(1024))

export const SubscriptionType = Schema.Literals(["webhook", "pull-wake"])

export const SubscriptionConfig = Schema.Struct({
  type: SubscriptionType,
  pattern: Schema.optionalKey(path),
  streams: Schema.Array(path),
  webhookUrl: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(2048))),
  wakeStream: Schema.optionalKey(path),
  /** Whose streams it follows; the operator's when it is absent. */
  org: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(63))),
  /** Under which URL workers reach the service: the one under which the subscription was made. */
  base: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(500))),
  leaseMs: Schema.Natural.check(Schema.isBetween({ minimum: 1000, maximum: 600_000 })),
  description: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(1000)))
})
export type SubscriptionConfig = typeof SubscriptionConfig.Type

/** A stream and a place in it. -1 stands for before the start. */
export const Mark = Schema.Struct({ path, offset: Schema.Int })
export type Mark = typeof Mark.Type

export const LinkType = Schema.Literals(["glob", "explicit"])

export const Link = Schema.Struct({ path, link: LinkType, acked: Schema.Int })
export type Link = typeof Link.Type

/** One round of work: it belongs to whoever holds the token, until the lease ends. */
export const Wake = Schema.Struct({
  wakeId: Schema.String,
  generation: Schema.Natural,
  holder: Schema.optionalKey(Schema.String),
  /** When the lease ends; absent while a pull-wake waits for somebody to claim it. */
  until: Schema.optionalKey(Millis),
  /** How far the streams were when it began. */
  tails: Schema.Array(Mark)
})
export type Wake = typeof Wake.Type

export const Subscription = Schema.Struct({
  id: SubscriptionId,
  config: SubscriptionConfig,
  links: Schema.Array(Link),
  createdAt: Millis,
  generation: Schema.Natural,
  failures: Schema.Natural,
  wake: Schema.optionalKey(Wake)
})
export type Subscription = typeof Subscription.Type

const id = SubscriptionId
const marks = Schema.Array(Mark)
const empty = Schema.Struct({})
const secret = Schema.String.check(Schema.isMaxLength(200))
/** What a worker shows: all of it has to be of the same round. */
const held = { id, token: secret, wakeId: secret, generation: Schema.Natural }

/** Partitions that took fenced appends of earlier rounds: they have to know before the next one begins. */
const fenced = { fenced: Schema.optionalKey(Fenced) }

export const subscriptionCommands = {
  PutSubscription: {
    /** `existing`: the streams that match now, with their tails; work on them begins there. */
    input: Schema.Struct({ id, config: SubscriptionConfig, existing: marks }),
    reply: Schema.Struct({ created: Schema.Boolean, subscription: Subscription })
  },
  DeleteSubscription: { input: Schema.Struct({ id }), reply: empty },
  LinkStreams: { input: Schema.Struct({ id, streams: marks }), reply: empty },
  UnlinkStream: { input: Schema.Struct({ id, path }), reply: empty },
  /** By a node that sees work: begins a round, unless one is under way. */
  WakeSubscription: {
    input: Schema.Struct({
      id,
      wakeId: secret,
      token: secret,
      tails: marks,
      /** The stream to which a pull-wake's workers listen, and the actor that has it. */
      wakeKey: Schema.optionalKey(Schema.String),
      wakePartition: Schema.optionalKey(Schema.String)
    }),
    reply: Schema.Struct({ woken: Schema.Boolean })
  },
  ClaimSubscription: {
    input: Schema.Struct({ id, worker: secret, wakeId: secret, token: secret, tails: marks }),
    reply: Schema.Struct({ wake: Wake, links: Schema.Array(Link), leaseMs: Schema.Natural, ...fenced })
  },
  AckSubscription: {
    input: Schema.Struct({ ...held, acks: marks, tails: marks, done: Schema.Boolean }),
    reply: Schema.Struct({ nextWake: Schema.Boolean, ...fenced })
  },
  ReleaseSubscription: { input: Schema.Struct(held), reply: Schema.Struct(fenced) },
  /** The webhook could not be reached, or did not answer as it should: the next attempt waits. */
  FailDelivery: {
    input: Schema.Struct({ id, generation: Schema.Natural, retryMs: Schema.Natural }),
    reply: empty
  }
}

export const subscriptionQueries = {
  ShowSubscription: { input: Schema.Struct({ id }), reply: Schema.Struct({ subscription: Subscription }) }
}

export const subscriptionRefusals = {
  NoSuchSubscription: { id: Schema.String },
  SubscriptionExists: { id: Schema.String },
  AlreadyClaimed: { holder: Schema.String, generation: Schema.Natural },
  NoPendingWork: {},
  TokenInvalid: {},
  Fenced: { generation: Schema.Natural },
  InvalidOffset: { path: Schema.String }
}

export const subscriptionEvents = {
  SubscriptionPut: { id, config: SubscriptionConfig, links: Schema.Array(Link) },
  SubscriptionDeleted: { id },
  StreamsLinked: { id, links: Schema.Array(Link) },
  StreamUnlinked: { id, path },
  SubscriptionWoken: {
    id,
    wake: Wake,
    token: secret,
    /** Matches that were not known before. */
    links: Schema.Array(Link),
    /** Where pull-wake workers are told, and what. */
    tell: Schema.optionalKey(Schema.Struct({ stream: Schema.String, partition: Schema.String, text: Schema.String }))
  },
  SubscriptionAcked: { id, acks: marks, until: Schema.optionalKey(Millis), done: Schema.Boolean },
  /** The round is over without having been finished. */
  SubscriptionLapsed: { id, retryAt: Schema.optionalKey(Millis) }
}
