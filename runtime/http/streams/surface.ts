/** What the handlers of the streams' surface share. */
import type { Stream } from "effect"
import type { Corrupt, Durability, Read, Unavailable } from "../../ports/journal.ts"
import type { Live } from "../../streams/live.ts"
import type { Partitions } from "../../streams/partitions.ts"
import type { Store } from "../../streams/store.ts"
import type { Subscriptions } from "../../streams/subscriptions.ts"
import type { Exchange } from "../exchange.ts"
import type { QuotaLimits, Quotas } from "./quota.ts"
import type { SigningKey } from "./webhook.ts"

export interface StreamOptions {
  /** How long a long-poll waits for something to be appended. */
  readonly longPollMs: number
  /** After so long an event stream ends, so that caches in front can join readers anew. */
  readonly sseMs: number
  /** An event stream says at least so often that it is there. */
  readonly keepAliveMs: number
  /** Everybody may do everything; API keys are asked for otherwise. */
  readonly isOpen: boolean
  readonly limits?: QuotaLimits
}

export const streamOptions: StreamOptions = { longPollMs: 30_000, sseMs: 60_000, keepAliveMs: 15_000, isOpen: false }

export interface Surface {
  readonly partitions: Partitions
  readonly live: Live
  readonly store: Store
  readonly subscriptions: Subscriptions
  readonly signing: SigningKey
  /** A text that nobody can guess. */
  readonly secret: () => string
  /** Undefined where nothing is limited. */
  readonly quotas: Quotas | undefined
  readonly durability: Durability
  /** What a partition's shard has in its log. */
  readonly log: (partition: number) => Stream.Stream<ReadonlyArray<Read>, Unavailable | Corrupt>
  readonly options: StreamOptions
}

/** One request to one stream. */
export interface Asked {
  readonly exchange: Exchange
  readonly key: string
  /** The URL path of the stream, as it was asked for. */
  readonly path: string
  readonly caller: string
  /** Whose streams it may reach. */
  readonly org: string
  /** Calls back once when the exchange is over before it was answered. */
  readonly onGone: (callback: () => void) => void
  /** Runs what is not on the hot path; the request's end interrupts it. */
  readonly run: Run
}

export type Run = (work: import("effect").Effect.Effect<void>) => void

export type Handler = (surface: Surface, asked: Asked) => void
