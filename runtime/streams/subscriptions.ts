/** Sees to it that subscriptions with work are woken, by looking at how things are: what it missed is not lost. */

import { find } from "../../actors/stream-partition/state.ts"
import { fencedBy, linksOf, pendingOf, type Subscriber } from "../../actors/stream-partition/subscriber.ts"
import type { Fenced } from "../../messages/fence.ts"
import { keyOfPath, pathOfKey } from "../../messages/stream.ts"
import type { Link, Mark, SubscriptionConfig, Wake } from "../../messages/subscription.ts"
import { matcherOf } from "./glob.ts"
import type { Live } from "./live.ts"
import type { Outcome, Partitions } from "./partitions.ts"

/** What one round is told of. */
const marksMax = 1000
/** How often everything is looked at that no news pointed to. */
const scanMs = 5_000
/** The same while partitions are still coming to this node. */
const newScanMs = 250
const retryMsMax = 60_000

export interface Delivery {
  readonly id: string
  readonly config: SubscriptionConfig
  readonly wake: Wake
  readonly token: string
  readonly links: ReadonlyArray<Link>
  /** Partitions that took appends of earlier rounds: they hear that those are over before anything is delivered. */
  readonly fenced?: Fenced
}

/** `done`: the webhook has dealt with all of it. `accepted`: it will say so itself. */
export type Delivered = "done" | "accepted" | "failed"

export interface Workings {
  readonly deliver: (delivery: Delivery, done: (delivered: Delivered) => void) => void
  /** A text that nobody can guess. */
  readonly secret: () => string
  readonly after: (ms: number, call: () => void) => void
  /** Between 0 and 1. */
  readonly random: () => number
}

interface Followed {
  readonly partition: number
  readonly matches: (path: string) => boolean
  /** Paths that may be ahead of what was acknowledged. */
  readonly candidates: Set<string>
  /** A command is under way whose outcome has to be known first. */
  isBusy: boolean
}

export class Subscriptions {
  private readonly followed = new Map<string, Followed>()
  private readonly partitions: Partitions
  private readonly workings: Workings
  /** Partitions that were looked through, by the epoch in which they are served here. */
  private readonly seen = new Map<number, number>()
  private isOver = false

  constructor(partitions: Partitions, live: Live, workings: Workings) {
    this.partitions = partitions
    this.workings = workings
    live.watch((news) => {
      if (this.followed.size > 0 && news.end > 0) this.appended(pathOfKey(news.key))
    })
    live.watchSubscriptions((id, partition) => this.look(id, partition))
    this.scan()
  }

  stop(): void {
    this.isOver = true
  }

  /** What matches a subscription now, with its tails. */
  matching({ streams, ...config }: Pick<SubscriptionConfig, "pattern" | "streams" | "org">): Array<Mark> {
    const matches = matcherOf(config)
    const marks: Array<Mark> = []
    this.eachStream((path, offset) => {
      if (matches(path) || streams.includes(path)) marks.push({ path, offset })
    })
    return marks
  }

  tailsOf(paths: Iterable<string>): Array<Mark> {
    const marks: Array<Mark> = []
    for (const path of paths) {
      const offset = this.tailOf(path)
      if (offset !== undefined) marks.push({ path, offset })
    }
    return marks
  }

  /** What may be work of this subscription, at most so much that one round can be told of it. */
  work(id: string, partition: number): Array<Mark> {
    const subscriber = this.subscriberOf(id, partition)
    if (subscriber === undefined) return []
    const followed = this.follow(subscriber, partition)
    const pending = pendingOf(subscriber, this.tailsOf(followed.candidates))
    const paths = new Set(pending.map(({ path }) => path))
    for (const path of followed.candidates) if (!paths.has(path)) followed.candidates.delete(path)
    return pending.slice(0, marksMax)
  }

  private tailOf(path: string): number | undefined {
    const key = keyOfPath(path)
    const state = this.partitions.known(this.partitions.of(key))
    const found = state === undefined ? undefined : find(state, key, this.partitions.now())
    return found !== undefined && "stream" in found ? found.stream.tail : undefined
  }

  private eachStream(visit: (path: string, tail: number) => void): void {
    const now = this.partitions.now()
    for (const partition of this.partitions.ids.keys()) {
      const state = this.partitions.known(partition)
      if (state === undefined) continue
      for (const key of state.streams.keys()) {
        const found = find(state, key, now)
        if ("stream" in found) visit(pathOfKey(key), found.stream.tail)
      }
    }
  }

  private subscriberOf(id: string, partition: number): Subscriber | undefined {
    return this.partitions.known(partition)?.subscribers.get(id)
  }

  private follow(subscriber: Subscriber, partition: number): Followed {
    const known = this.followed.get(subscriber.id)
    if (known !== undefined) return known
    const glob = matcherOf(subscriber.config)
    const matches = (path: string): boolean => glob(path) || subscriber.links.has(path)
    const followed: Followed = { partition, matches, candidates: new Set(), isBusy: false }
    this.followed.set(subscriber.id, followed)
    this.eachStream((path) => {
      if (matches(path)) followed.candidates.add(path)
    })
    return followed
  }

  private appended(path: string): void {
    for (const [id, { candidates, matches, partition }] of this.followed) {
      if (!matches(path)) continue
      candidates.add(path)
      this.look(id, partition)
    }
  }

  /** A partition that has come to this node is brought into memory once, and every subscription is looked at. */
  private scan(): void {
    if (this.isOver) return
    let isNew = this.seen.size === 0
    for (const partition of this.partitions.ids.keys()) {
      const epoch = this.partitions.epochOf(partition)
      if (epoch === undefined) continue
      if (this.seen.get(partition) === epoch) this.lookAll(partition)
      else {
        isNew = true
        this.meet(partition, epoch)
      }
    }
    this.workings.after(isNew ? newScanMs : scanMs, () => this.scan())
  }

  private meet(partition: number, epoch: number): void {
    this.partitions.ask(partition, { _tag: "ListStreams", prefix: "", limit: 1 }, "node", (outcome) => {
      if (!("ok" in outcome)) return
      this.seen.set(partition, epoch)
      this.lookAll(partition)
    })
  }

  private lookAll(partition: number): void {
    const subscribers = this.partitions.here(partition)?.state.subscribers
    // What they watch may be appended to on any node.
    if (subscribers !== undefined && subscribers.size > 0) this.partitions.replicas?.needAll()
    for (const id of subscribers?.keys() ?? []) this.look(id, partition)
  }

  private look(id: string, partition: number): void {
    const here = this.partitions.here(partition)
    if (here === undefined) return this.wakePartition(id, partition)
    const subscriber = here.state.subscribers.get(id)
    if (subscriber === undefined) {
      this.followed.delete(id)
      return
    }
    const isNew = !this.followed.has(id)
    const followed = this.follow(subscriber, partition)
    if (isNew) this.partitions.replicas?.needAll()
    if (followed.isBusy || subscriber.wake !== undefined) return
    const wait = subscriber.retryAt - this.partitions.now()
    if (wait > 0) return this.workings.after(wait, () => this.look(id, partition))
    const pending = this.work(id, partition)
    if (pending.length > 0) this.wake(subscriber, followed, pending)
  }

  /** It was put away while nothing happened in it. */
  private wakePartition(id: string, partition: number): void {
    if (!this.partitions.isServedHere(partition)) return
    this.partitions.ask(partition, { _tag: "ShowSubscription", id }, "node", () => {
      if (this.partitions.here(partition) !== undefined) this.look(id, partition)
    })
  }

  private wake({ id, config }: Subscriber, followed: Followed, tails: ReadonlyArray<Mark>): void {
    followed.isBusy = true
    const token = config.org === undefined ? this.workings.secret() : `${config.org}.${this.workings.secret()}`
    const wakeKey = config.wakeStream === undefined ? undefined : keyOfPath(config.wakeStream)
    const command = {
      ...{ _tag: "WakeSubscription" as const, id, wakeId: `w_${this.workings.secret()}`, token, tails },
      ...(wakeKey !== undefined && { wakeKey, wakePartition: this.partitions.idOf(wakeKey) })
    }
    this.partitions.tell(followed.partition, command, "node", (outcome) => {
      followed.isBusy = false
      const isWoken = "ok" in outcome && (outcome.ok as { readonly woken: boolean }).woken
      const subscriber = this.subscriberOf(id, followed.partition)
      if (isWoken && subscriber?.wake !== undefined && subscriber.config.type === "webhook")
        this.deliver(subscriber, subscriber.wake, token, followed.partition)
    })
  }

  private deliver(subscriber: Subscriber, wake: Wake, token: string, partition: number): void {
    const { id, config } = subscriber
    const fenced = fencedBy(subscriber, wake.generation)
    this.workings.deliver({ id, config, wake, token, links: linksOf(subscriber), ...fenced }, (delivered) => {
      const { generation, wakeId } = wake
      if (delivered === "accepted") return
      if (delivered === "done") {
        const acks = [...wake.tails]
        const command = { ...{ _tag: "AckSubscription" as const, id, token, wakeId, generation }, acks, done: true }
        return this.partitions.tell(
          partition,
          { ...command, tails: this.tailsOf(acks.map(({ path }) => path)) },
          "node",
          ignored
        )
      }
      const retryMs = Math.min(retryMsMax, 1000 * 2 ** subscriber.failures) * (0.8 + 0.4 * this.workings.random())
      const failed = { _tag: "FailDelivery" as const, id, generation, retryMs: Math.round(retryMs) }
      this.partitions.tell(partition, failed, "node", ignored)
    })
  }
}

/** What comes of it is in the state, and the scan looks there. */
const ignored = (_outcome: Outcome): void => {}
