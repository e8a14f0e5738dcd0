/** What one subscription may have to be woken for: which streams are ahead of what it has acknowledged. */
import { glance, type State } from "../../actors/stream-partition/state.ts"
import { pendingOf, type Subscriber } from "../../actors/stream-partition/subscriber.ts"
import { pathOfKey } from "../../messages/stream.ts"
import type { Mark } from "../../messages/subscription.ts"
import { matcherOf } from "./glob.ts"

export class Followed {
  readonly partition: number
  subscriber: Subscriber
  /** A command is under way whose outcome has to be known first. */
  isBusy = false
  /** Partitions whose streams it has not been compared with: of the others it hears whatever is appended. */
  readonly unseen: Set<number>
  private readonly glob: (path: string) => boolean
  /** Streams that may be ahead, and where they end. Their partitions need not be in memory. */
  private readonly tails = new Map<string, number>()

  constructor(subscriber: Subscriber, partition: number, partitions: Iterable<number>) {
    this.subscriber = subscriber
    this.partition = partition
    this.glob = matcherOf(subscriber.config)
    this.unseen = new Set(partitions)
  }

  matches(path: string): boolean {
    return this.glob(path) || this.subscriber.links.has(path)
  }

  hear(path: string, tail: number): void {
    this.tails.set(path, tail)
  }

  /** It was deleted, or has expired. */
  forget(path: string): void {
    this.tails.delete(path)
  }

  see(partition: number, state: State, now: number): void {
    if (!this.unseen.delete(partition)) return
    for (const key of state.streams.keys()) {
      const path = pathOfKey(key)
      if (!this.matches(path)) continue
      const found = glance(state, key, now)
      if ("stream" in found) this.hear(path, found.stream.tail)
    }
  }

  /** What is work now. What is not is not remembered either: it is heard of when it is appended to. */
  pending(): Array<Mark> {
    const marks = [...this.tails].map(([path, offset]) => ({ path, offset }))
    const pending = pendingOf(
      this.subscriber,
      marks.filter(({ path }) => this.matches(path))
    )
    this.tails.clear()
    for (const { path, offset } of pending) this.tails.set(path, offset)
    return pending
  }
}
