/**
 * Partitions of other nodes, folded here from their committed events: what is read and heard of them, it is from
 * here.
 */
import { Effect, type Fiber, type Scope } from "effect"
import { evolve } from "../../actors/stream-partition/evolve.ts"
import { load } from "../../actors/stream-partition/saved.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import type { EventOf } from "../../messages/protocol.ts"
import { partitionIds, partitionKind, partitionOf } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Client } from "../client.ts"
import { type Fold, type Followed, follow } from "../follow.ts"
import type { Bus } from "../ports/bus.ts"
import type { Live } from "./live.ts"

type Event = EventOf<StreamPartition>

export interface Around {
  readonly bus: Bus["Service"]
  readonly client: Client
  readonly live: Live
  readonly shards: number
  readonly now: () => number
  readonly isServedHere: (partition: number) => boolean
  readonly ask: (work: Effect.Effect<void>) => void
  /** Runs one for each partition; it ends with the node, or when it is interrupted. */
  readonly run: (partition: number, work: Effect.Effect<void, never, Scope.Scope>) => Fiber.Fiber<unknown, unknown>
}

/** Nobody has asked for it for so long: it is given up, and begins anew when somebody does. */
const idleMs = 300_000
/** How often it is looked who listens, and what is idle. */
const lookMs = 1_000
/** For how long an owner may keep a reader waiting: longer than a shard takes to move. */
const askMs = 3_000

interface Replica {
  state: State | undefined
  isLive: boolean
  usedAt: number
  followed: Followed | undefined
  /** Who wants to know that it is as it was at the owner when they came. */
  waiting: Array<(isFresh: boolean) => void>
  isAsking: boolean
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

export class Replicas {
  private readonly all = new Map<number, Replica>()
  private readonly around: Around

  constructor(around: Around) {
    this.around = around
  }

  /** What is folded: it may be older than what the owner has. Undefined when it is not followed, or may be broken. */
  state(partition: number): State | undefined {
    const replica = this.all.get(partition)
    if (replica === undefined || !replica.isLive) return undefined
    replica.usedAt = this.around.now()
    return replica.state
  }

  /**
   * Calls back when everything is folded that was committed before the call, or with false when that cannot be known.
   * One question to the owner is for all who have come meanwhile.
   */
  refresh(partition: number, done: (isFresh: boolean) => void): void {
    const replica = this.need(partition)
    replica.waiting.push(done)
    this.question(partition, replica)
  }

  /** The same for every partition that is not served here. */
  refreshAll(done: () => void): void {
    const away = [...partitionIds(this.around.shards).keys()].filter((each) => !this.around.isServedHere(each))
    let left = away.length
    if (left === 0) return done()
    for (const partition of away)
      this.refresh(partition, () => {
        left -= 1
        if (left === 0) done()
      })
  }

  /** Begins to follow what is not served here. */
  needAll(): void {
    for (const partition of partitionIds(this.around.shards).keys())
      if (!this.around.isServedHere(partition)) this.need(partition)
  }

  /** Follows for those who listen, also when their partition has left this node; gives up what nobody needs. */
  readonly look: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    for (;;) {
      yield* Effect.sleep(lookMs)
      const { live, shards, isServedHere, now } = this.around
      const listened = new Set<number>()
      for (const key of live.keys()) listened.add(partitionOf(key, shards))
      for (const partition of listened) if (!isServedHere(partition)) this.need(partition)
      for (const [partition, { usedAt, fiber }] of this.all)
        if (now() - usedAt > idleMs) {
          this.all.delete(partition)
          fiber?.interruptUnsafe()
        }
    }
  })

  private need(partition: number): Replica {
    const known = this.all.get(partition)
    if (known !== undefined) {
      known.usedAt = this.around.now()
      return known
    }
    const replica: Replica = {
      ...{ state: undefined, isLive: false, usedAt: this.around.now(), followed: undefined },
      ...{ waiting: [], isAsking: false, fiber: undefined }
    }
    this.all.set(partition, replica)
    replica.fiber = this.around.run(partition, this.following(partition, replica))
    return replica
  }

  private following(partition: number, replica: Replica): Effect.Effect<void, never, Scope.Scope> {
    const { bus, client, shards } = this.around
    const id = partitionIds(shards)[partition] as string
    const target = { kind: partitionKind, id, caller: "node", shards }
    return follow(bus, client, target, this.fold(partition, replica)).pipe(
      Effect.tap((followed) =>
        Effect.sync(() => {
          replica.followed = followed
          this.question(partition, replica)
        })
      ),
      Effect.andThen(Effect.never),
      Effect.catch((error) => Effect.logWarning(`partition ${id} cannot be followed at the moment`, error)),
      Effect.ensuring(Effect.sync(() => this.drop(partition, replica)))
    )
  }

  private fold(partition: number, replica: Replica): Fold {
    const id = partitionIds(this.around.shards)[partition] as string
    return {
      load: (bytes) => {
        const state = load(bytes, id)
        replica.state = state
        this.around.live.reloaded(partition, state, (key) => partitionOf(key, this.around.shards) === partition)
      },
      apply: (entries) => {
        try {
          for (const { events, at } of entries)
            for (const event of events as ReadonlyArray<Event>)
              if (replica.state !== undefined) replica.state = evolve(replica.state, event, at)
        } catch (error) {
          return this.fell(partition, replica, error)
        }
        this.around.live.folded(
          partition,
          entries.flatMap(({ events }) => events as ReadonlyArray<Event>)
        )
      },
      live: (isLive) => {
        replica.isLive = isLive
      }
    }
  }

  /** What is folded is worth nothing any more: it is taken anew by the next who needs it. */
  private fell(partition: number, replica: Replica, error: unknown): void {
    const id = partitionIds(this.around.shards)[partition]
    this.around.ask(
      Effect.logError(`what is folded of partition ${id} is given up: an event does not fit to it`, error)
    )
    this.drop(partition, replica)
    replica.fiber?.interruptUnsafe()
  }

  private drop(partition: number, replica: Replica): void {
    if (this.all.get(partition) === replica) this.all.delete(partition)
    replica.isLive = false
    for (const done of replica.waiting.splice(0)) done(false)
  }

  private question(partition: number, replica: Replica): void {
    const { followed } = replica
    if (followed === undefined || replica.isAsking || replica.waiting.length === 0) return
    replica.isAsking = true
    const asking = replica.waiting.splice(0)
    const { client, shards } = this.around
    const id = partitionIds(shards)[partition] as string
    const ask = { verb: "ask" as const, kind: partitionKind, id, caller: "node", name: "Since", patienceMs: askMs }
    // Behind everything there are no entries: the answer is the version alone.
    const body = `{"version":${Number.MAX_SAFE_INTEGER}}`
    const told = client.ask({ ...ask, body }).pipe(
      Effect.flatMap((answer) =>
        "ok" in answer
          ? Effect.as(followed.reached((answer.ok as { readonly version: number }).version), true)
          : Effect.succeed(false)
      ),
      Effect.timeoutOrElse({ duration: 2 * askMs, orElse: () => Effect.succeed(false) }),
      Effect.catch(() => Effect.succeed(false))
    )
    const answered = Effect.flatMap(told, (isFresh) =>
      Effect.sync(() => {
        replica.isAsking = false
        for (const done of asking) done(isFresh && replica.isLive)
        this.question(partition, replica)
      })
    )
    this.around.ask(answered)
  }
}
