/** What a partition knows of a subscription that lives in it. */
import type { Fenced } from "../../messages/fence.ts"
import type { Link, Subscription, SubscriptionConfig, Wake } from "../../messages/subscription.ts"

export interface Subscriber {
  readonly id: string
  readonly config: SubscriptionConfig
  readonly createdAt: number
  /** By path: how it came to be followed, and what of it is done with. */
  readonly links: Map<string, Pick<Link, "link" | "acked">>
  generation: number
  failures: number
  retryAt: number
  wake: Wake | undefined
  /** The latest rounds' tokens, newest last: an old one is stale, any other is wrong. */
  tokens: ReadonlyArray<string>
  /** Partitions that took fenced appends of any of its rounds. */
  fenced?: ReadonlyArray<string>
}

export const tokensMax = 8

export const linksOf = ({ links }: Subscriber): Array<Link> =>
  [...links].map(([path, { link, acked }]) => ({ path, link, acked }))

export const told = (subscriber: Subscriber): Subscription => ({
  id: subscriber.id,
  config: subscriber.config,
  links: linksOf(subscriber),
  createdAt: subscriber.createdAt,
  generation: subscriber.generation,
  failures: subscriber.failures,
  ...(subscriber.wake !== undefined && { wake: subscriber.wake })
})

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

export const sameConfig = (a: SubscriptionConfig, b: SubscriptionConfig): boolean =>
  a.type === b.type &&
  a.pattern === b.pattern &&
  a.webhookUrl === b.webhookUrl &&
  a.wakeStream === b.wakeStream &&
  a.leaseMs === b.leaseMs &&
  a.description === b.description &&
  isSame([...a.streams].sort(), [...b.streams].sort())

/** What is ahead of what was acknowledged. A stream that is not linked yet matched later: all of it is. */
export const pendingOf = <M extends { readonly path: string; readonly offset: number }>(
  { links }: Subscriber,
  tails: ReadonlyArray<M>
): Array<M> => tails.filter(({ path, offset }) => offset > Math.max(0, links.get(path)?.acked ?? -1))

/** With the end of a round: who has to know of it before the next one begins. */
export const fencedBy = ({ fenced, createdAt }: Subscriber, generation: number): { readonly fenced?: Fenced } =>
  fenced === undefined ? {} : { fenced: { since: createdAt, generation, partitions: fenced } }
