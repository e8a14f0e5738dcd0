/** Sees to it that subscriptions with work are woken, by looking at how things are: what it missed is not lost. */

import { glance, type State } from "../../actors/stream-partition/state.ts"
import { fencedBy, linksOf, type Subscriber } from "../../actors/stream-partition/subscriber.ts"
import type { Fenced } from "../../messages/fence.ts"
import { keyOfPath, pathOfKey } from "../../messages/stream.ts"
import type { Link, Mark, SubscriptionConfig, Wake } from "../../messages/subscription.ts"
import { Followed } from "./followed.ts"
import { matcherOf } from "./glob.ts"
import { changesLinks, Interest } from "./interest.ts"
import type { Live, News } from "./live.ts"
import type { Outcome, Partitions, Query } from "./partitions.ts"

/** What one round is told of. */
const marksMax = 1000
/** Brings a partition into memory, whatever it answers. */
const anyQuestion: Query = { _tag: "ShowSubscription", id: "-" }
/** In place of an epoch. */
const elsewhere = -1
/** How often everything in memory is looked at that no news pointed to. */
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

export class Subscriptions {
  private readonly followed = new Map<string, Followed>()
  private readonly interest = new Interest(this.followed)
  private readonly partitions: Partitions
  private readonly workings: Workings
  /** Partitions whose subscriptions are known, by the epoch in which they are served here. */
  private readonly met = new Map<number, number>()
  /** From where each partition was heard of last: what was appended in between is not known. */
  private readonly sources = new Map<number, number>()
  private isOver = false

  constructor(partitions: Partitions, live: Live, workings: Workings) {
    this.partitions = partitions
    this.workings = workings
    live.watch((news) => this.heard(news))
    live.watchSubscriptions((id, partition, event) => {
      if (changesLinks(event)) this.interest.changed()
      this.look(id, partition)
    })
    live.watchPartitions((partition, what) => {
      // A lease or a pause has ended, of which the partition's own timer has told it.
      if (what === "swept") this.lookAll(partition)
      else this.unsee(partition)
    })
    this.scan()
  }

  stop(): void {
    this.isOver = true
  }

  /** What matches a subscription now, with its tails. Every partition of this node is brought into memory for it. */
  matching(
    { streams, ...config }: Pick<SubscriptionConfig, "pattern" | "streams" | "org">,
    done: (marks: Array<Mark>) => void
  ): void {
    const matches = matcherOf(config)
    const now = this.partitions.now()
    this.brought(this.partitions.ids.keys(), () => {
      const marks: Array<Mark> = []
      for (const partition of this.partitions.ids.keys()) {
        const state = this.stateOf(partition)
        for (const key of state?.streams.keys() ?? []) {
          const path = pathOfKey(key)
          if (state === undefined || !(matches(path) || streams.includes(path))) continue
          const found = glance(state, key, now)
          if ("stream" in found) marks.push({ path, offset: found.stream.tail })
        }
      }
      done(marks)
    })
  }

  /** Where these streams end, as far as there are such. */
  tailsOf(paths: ReadonlyArray<string>, done: (marks: Array<Mark>) => void): void {
    const partitionOf = (path: string): number => this.partitions.of(keyOfPath(path))
    this.brought(new Set(paths.map(partitionOf)), () => {
      const marks = paths.flatMap((path): Array<Mark> => {
        const state = this.stateOf(partitionOf(path))
        const found = state === undefined ? undefined : glance(state, keyOfPath(path), this.partitions.now())
        return found !== undefined && "stream" in found ? [{ path, offset: found.stream.tail }] : []
      })
      done(marks)
    })
  }

  /** What may be work of this subscription, at most so much that one round can be told of it. */
  work(id: string, partition: number, done: (marks: Array<Mark>) => void): void {
    this.brought([partition], () => {
      const subscriber = this.stateOf(partition)?.subscribers.get(id)
      if (subscriber === undefined) return done([])
      const followed = this.follow(subscriber, partition)
      this.seeAll(followed, () => done(followed.pending().slice(0, marksMax)))
    })
  }

  /** As its owner, or as one who follows it. Who looks so does not keep it in memory. */
  private stateOf(partition: number): State | undefined {
    return this.partitions.peek(partition)?.state ?? this.partitions.replicas?.state(partition)
  }

  /** Calls back when those that are served here have been in memory at least for a moment. */
  private brought(partitions: Iterable<number>, done: () => void): void {
    const all = this.partitions
    const asleep = [...partitions].filter((each) => all.isServedHere(each) && all.peek(each) === undefined)
    let left = asleep.length
    if (left === 0) return done()
    for (const partition of asleep)
      all.ask(partition, anyQuestion, "node", () => {
        left -= 1
        if (left === 0) done()
      })
  }

  private follow(subscriber: Subscriber, partition: number): Followed {
    const known = this.followed.get(subscriber.id)
    if (known?.subscriber.createdAt === subscriber.createdAt) {
      if (known.subscriber !== subscriber) this.interest.changed()
      known.subscriber = subscriber
      return known
    }
    const followed = new Followed(subscriber, partition, this.partitions.ids.keys())
    this.followed.set(subscriber.id, followed)
    this.interest.changed()
    this.partitions.replicas?.needAll()
    return followed
  }

  /** Compares it with what it has not been compared with, as far as that is to be had. */
  private seeAll(followed: Followed, done: () => void): void {
    this.brought(followed.unseen, () => {
      for (const partition of [...followed.unseen]) {
        const state = this.stateOf(partition)
        if (state !== undefined) followed.see(partition, state, this.partitions.now())
      }
      done()
    })
  }

  private heard({ key, end, over }: News): void {
    if (this.followed.size === 0) return
    const path = pathOfKey(key)
    for (const [id, followed] of this.interest.in(path)) {
      if (over) followed.forget(path)
      if (over || end <= 0) continue
      followed.hear(path, end)
      this.look(id, followed.partition)
    }
  }

  /** Its news may not have come here for a while. */
  private unsee(partition: number): void {
    this.interest.changed()
    for (const followed of this.followed.values()) followed.unseen.add(partition)
  }

  /**
   * A partition that has come to this node is brought into memory once, to know its subscriptions. From then on it is
   * left alone: what is appended is heard of, and its own timer wakes it when something is due.
   */
  private scan(): void {
    if (this.isOver) return
    let isNew = this.met.size === 0
    for (const partition of this.partitions.ids.keys()) {
      const epoch = this.partitions.epochOf(partition)
      const source = epoch ?? elsewhere
      if (this.sources.get(partition) !== source) this.unsee(partition)
      this.sources.set(partition, source)
      if (epoch === undefined) continue
      if (this.met.get(partition) === epoch) this.lookAll(partition)
      else {
        isNew = true
        this.meet(partition, epoch)
      }
    }
    if (this.followed.size > 0) this.partitions.replicas?.needAll()
    for (const [id, followed] of this.followed) if (followed.unseen.size > 0) this.look(id, followed.partition)
    this.workings.after(isNew ? newScanMs : scanMs, () => this.scan())
  }

  private meet(partition: number, epoch: number): void {
    this.partitions.ask(partition, anyQuestion, "node", (outcome) => {
      if (!("ok" in outcome || "refused" in outcome)) return
      this.met.set(partition, epoch)
      this.lookAll(partition)
    })
  }

  private lookAll(partition: number): void {
    for (const id of this.partitions.peek(partition)?.state.subscribers.keys() ?? []) this.look(id, partition)
  }

  private look(id: string, partition: number): void {
    const state = this.stateOf(partition)
    const subscriber = state?.subscribers.get(id)
    if (state !== undefined && subscriber === undefined) {
      this.followed.delete(id)
      this.interest.changed()
      return
    }
    if (!this.partitions.isServedHere(partition)) return
    if (subscriber === undefined) return this.brought([partition], () => this.lookAll(partition))
    const followed = this.follow(subscriber, partition)
    // When a pause between attempts has passed, the partition's timer tells.
    if (followed.isBusy || subscriber.wake !== undefined || subscriber.retryAt > this.partitions.now()) return
    followed.isBusy = true
    this.seeAll(followed, () => {
      followed.isBusy = false
      const pending = followed.pending().slice(0, marksMax)
      if (pending.length > 0) this.wake(followed.subscriber, followed, pending)
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
      const subscriber = this.partitions.peek(followed.partition)?.state.subscribers.get(id)
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
        return this.tailsOf(
          acks.map(({ path }) => path),
          (tails) => this.partitions.tell(partition, { ...command, tails }, "node", ignored)
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
