/** Fences: what the holder of a claim shows with its appends, so that none of them lands once it is another's turn. */
import { Schema } from "effect"
import { ActorId, Millis } from "./ids.ts"

/** The id of a subscription, as its own commands have it. */
const subscription = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,192}$/))
const secret = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))

/** With an append: it is accepted while this token is the one of the round that the partition knows. */
export const Fence = Schema.Struct({ subscription, token: secret })
export type Fence = typeof Fence.Type

/** Rounds of a subscription are in order: by when it was made, for it may have been made anew, and by generation. */
const round = { subscription, since: Millis, generation: Schema.Natural }

export const fenceCommands = {
  /** To the subscription: whether this round goes on. The partition will be told when it is over. */
  GrantFence: {
    input: Schema.Struct({
      id: subscription,
      token: secret,
      wakeId: secret,
      generation: Schema.Natural,
      partition: ActorId
    }),
    reply: Schema.Struct({ since: Millis, until: Millis })
  },
  /** To a partition of streams: this round, or a later one, and no earlier one. Without a token it is nobody's yet. */
  RaiseFence: {
    input: Schema.Struct({ ...round, token: Schema.optionalKey(secret), until: Millis }),
    reply: Schema.Struct({})
  }
}

export const fenceRefusals = {
  /** The partition does not know that the round goes on: the subscription does. */
  FenceUnproven: { subscription: Schema.String }
}

export const fenceEvents = {
  FenceGranted: { id: subscription, partition: ActorId },
  FenceRaised: { ...round, token: Schema.optionalKey(secret), until: Millis }
}

/** What whoever ends a round is told: which partitions have to know, and as what round. */
export const Fenced = Schema.Struct({
  since: Millis,
  generation: Schema.Natural,
  partitions: Schema.Array(Schema.String)
})
export type Fenced = typeof Fenced.Type
