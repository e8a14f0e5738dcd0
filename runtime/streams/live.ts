/** Who waits for what is appended, and the news that wake them in the turn of the commit. */
import type { State } from "../../actors/stream-partition/state.ts"
import type { EventOf } from "../../messages/protocol.ts"
import { partitionKind } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Heard } from "../actor/owner.ts"
import { hand } from "./guard.ts"
import { type Later, Telling } from "./telling.ts"

/** What a commit has changed about one stream. */
export interface News {
  readonly key: string
  /** The committed tail. */
  end: number
  closed: boolean
  created: boolean
  /** It cannot be read any more. */
  over: boolean
  /** What one reader has made of it, for the others who stand at the same place. */
  readonly made: Map<string, unknown>
}

export type PartitionListener = (partition: number, what: "swept" | "reloaded") => void

export type Listener = (news: News) => void

type Event = EventOf<StreamPartition>

export class Live {
  private readonly waiting = new Map<string, Set<Listener>>()
  private readonly watching = new Set<Listener>()
  private readonly subscriptionWatchers = new Set<(id: string, partition: number, event: Event) => void>()
  private readonly partitionWatchers = new Set<PartitionListener>()
  /** Appends and bytes that were committed on this node, for its metrics. */
  readonly counted = { appends: 0, bytes: 0 }

  /** Hears of every commit, in its turn. */
  also: Heard | undefined
  private readonly telling: Telling

  /** With `later`, many who listen to one stream are told some at a time. */
  constructor(later?: Later) {
    this.telling = new Telling(later)
  }

  /** Hears of one stream until the given function is called. */
  listen(key: string, listener: Listener): () => void {
    let listeners = this.waiting.get(key)
    if (listeners === undefined) {
      listeners = new Set()
      this.waiting.set(key, listeners)
    }
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.waiting.get(key) === listeners) this.waiting.delete(key)
    }
  }

  /** Hears of every stream. */
  watch(listener: Listener): () => void {
    this.watching.add(listener)
    return () => this.watching.delete(listener)
  }

  /** Hears of every change of a subscription. */
  watchSubscriptions(listener: (id: string, partition: number, event: Event) => void): () => void {
    this.subscriptionWatchers.add(listener)
    return () => this.subscriptionWatchers.delete(listener)
  }

  /** Hears of partitions whose timer has rung, and of those that had to be taken anew from their owner. */
  watchPartitions(listener: PartitionListener): () => void {
    this.partitionWatchers.add(listener)
    return () => this.partitionWatchers.delete(listener)
  }

  get listeners(): number {
    let sum = 0
    for (const listeners of this.waiting.values()) sum += listeners.size
    return sum
  }

  /** Whether there is news of a stream that has not been told to everybody yet. */
  isTelling(key: string): boolean {
    return this.telling.isUnderWay(key)
  }

  /** The keys of streams that somebody hears of. */
  keys(): Iterable<string> {
    return this.waiting.keys()
  }

  /** Events of a partition of another node, which has committed them. */
  folded(partition: number, events: ReadonlyArray<Event>): void {
    const news = new Map<string, News>()
    for (const event of events) this.fold(news, event, partition)
    for (const each of news.values()) this.tell(each)
  }

  /** A partition as it is now: whatever happened to it in between, this is what has come of it. */
  reloaded(partition: number, { streams }: State, isOfIt: (key: string) => boolean): void {
    for (const listener of this.partitionWatchers) listener(partition, "reloaded")
    for (const key of [...this.waiting.keys()]) {
      if (!isOfIt(key)) continue
      const stream = streams.get(key)
      const over = stream === undefined || stream.hidden
      this.tell({
        ...{ key, end: stream?.tail ?? -1, closed: stream?.closed ?? false, created: false, over },
        made: new Map()
      })
    }
  }

  readonly heard: Heard = (shard, placed, batch) => {
    const news = new Map<string, News>()
    for (let index = 0; index < placed.length; index++) {
      if (placed[index]?.entry.kind !== partitionKind) continue
      for (const event of batch.events[index] as ReadonlyArray<Event>) {
        this.fold(news, event, shard)
        if (event._tag !== "Appended") continue
        this.counted.appends += 1
        this.counted.bytes += event.wire.size
      }
    }
    for (const each of news.values()) this.tell(each)
    this.also?.(shard, placed, batch)
  }

  private fold(news: Map<string, News>, event: Event, partition: number): void {
    if ("id" in event) {
      for (const listener of this.subscriptionWatchers) listener(event.id, partition, event)
      return
    }
    if (event._tag === "Swept") for (const listener of this.partitionWatchers) listener(partition, "swept")
    if (!("stream" in event)) return
    const { stream: key } = event
    let known = news.get(key)
    if (known === undefined) {
      known = { key, end: -1, closed: false, created: false, over: false, made: new Map() }
      news.set(key, known)
    }
    if (event._tag === "Appended") {
      known.end = event.from + event.wire.size
    } else if (event._tag === "StreamClosed") known.closed = true
    else if (event._tag === "StreamCreated") {
      known.created = true
      known.over = false
      known.end = event.origin?.offset ?? 0
    } else if (event._tag === "StreamRemoved" || event._tag === "StreamHidden") known.over = true
  }

  private tell(news: News): void {
    if (news.end < 0 && !news.closed && !news.over && !news.created) return
    for (const listener of this.watching) hand(listener, news)
    const listeners = this.waiting.get(news.key)
    if (listeners !== undefined) this.telling.tell(news, listeners)
  }
}
