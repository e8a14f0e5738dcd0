/**
 * From decided batches to acknowledged ones: as many appends under way as the journal makes use of, settled in order.
 */
import { Clock, Deferred, Effect, type Scope } from "effect"
import type { Position } from "../../messages/entry.ts"
import { type ClaimedLog, type Fenced, Unavailable } from "../ports/journal.ts"
import type { Batch } from "./batch.ts"
import { meters } from "./meters.ts"
import type { Shard } from "./shard.ts"
import { Signal } from "./signal.ts"

type Acknowledged = Effect.Effect<ReadonlyArray<Position>, Fenced | Unavailable>

/** How long a shard that is given up waits for what it has under way. */
const drainMs = 1_000

/** So many are worth waiting for, while an append takes about a millisecond. */
const manyEntries = 16
/** Such an append takes its time for its bytes: the next one is on its way meanwhile. */
const heavyBytes = 128 * 1024
/** Turns of the event loop that bring nothing, some tenths of a millisecond: then nobody more is about to come. */
const quietTurnsMax = 64
/** Where turns take long, or those who come do so one by one. */
const gatherMs = 3

export class Pipeline {
  readonly wake = new Signal()
  /** In the order of the log, with the positions of those that are acknowledged. */
  private readonly inFlight = new Map<Batch, ReadonlyArray<Position> | undefined>()
  private readonly settled = new Signal()
  /** What is told of commits when the next append is on its way: nobody waits for it, and telling takes its time. */
  private later: Array<() => void> = []
  /** How many there are to be decided when all who were just answered have come back; 0 when those were few. */
  private expected = 0
  private readonly ended = Deferred.makeUnsafe<never, Fenced | Unavailable>()

  get isOver(): boolean {
    return Deferred.isDoneUnsafe(this.ended)
  }

  /** Ends when the shard is lost, with the reason; a defect of ours is one too, and is the cause then. */
  get lost(): Effect.Effect<never, Fenced | Unavailable> {
    return Deferred.await(this.ended)
  }

  /** Decides and appends until the shard is lost. */
  run(actors: Shard, log: ClaimedLog, window: number, scope: Scope.Scope): Effect.Effect<void> {
    const self = this
    return Effect.gen(function* () {
      while (!self.isOver) {
        yield* self.wake.wait
        // Whatever this turn of the event loop still brings is decided with it.
        yield* Effect.yieldNow
        if (self.expected > 0 && self.inFlight.size === 0) yield* self.gather(actors)
        while (self.hasRoom(actors, window) && !self.isOver) {
          const batch = actors.turn()
          if (batch === undefined && !actors.hasWork) break
          if (batch === undefined) continue
          self.inFlight.set(batch, undefined)
          const acknowledged = yield* log.append(batch.entries)
          yield* Effect.forkIn(self.settle(actors, batch, acknowledged), scope, { startImmediately: true })
        }
        // A few that have come meanwhile are on their way first: the journal works while the answers are written.
        self.commit(actors)
        if (self.later.length === 0) continue
        yield* Effect.yieldNow
        self.tellAll()
      }
    }).pipe((loop) => this.watch(actors, loop))
  }

  tellLater(tell: () => void): void {
    this.later.push(tell)
  }

  /** Behind what was to be told before. */
  tellNow(tell: () => void): void {
    this.tellAll()
    tell()
  }

  private tellAll(): void {
    const all = this.later
    this.later = []
    for (const tell of all) tell()
  }

  /**
   * What a journal has to do for an append hardly grows with the entries in it. So few entries go at once, beside the
   * append that is under way; many small ones wait for its end, and go together.
   */
  private hasRoom(actors: Shard, window: number): boolean {
    let flights = 0
    let entries = actors.waiting
    let bytes = 0
    for (const [batch, at] of this.inFlight) {
      if (at !== undefined) continue
      flights += 1
      entries += batch.entries.length
      bytes += batch.bytes
    }
    if (flights === 0) return true
    return flights < window && (entries < manyEntries || bytes >= heavyBytes)
  }

  /**
   * Who was answered mostly asks again at once. Where they are many the next append waits until they are back, as long
   * as the event loop brings some: one for all costs the journal half of what two cost that take turns.
   */
  private gather(actors: Shard): Effect.Effect<void> {
    const self = this
    return Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const until = clock.currentTimeMillisUnsafe() + gatherMs
      for (let quiet = 0; quiet < quietTurnsMax && clock.currentTimeMillisUnsafe() < until; quiet++) {
        if (actors.waiting >= self.expected || self.isOver) break
        const before = actors.waiting
        yield* Effect.yieldNow
        if (actors.waiting > before) quiet = 0
      }
      self.expected = 0
    })
  }

  /** A defect in anything that a shard needs ends its claim: it is reported, and the shard is read again. */
  watch(actors: Shard, work: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.catchDefect(work, (defect) => Effect.sync(() => this.stop(actors, Effect.die(defect))))
  }

  /** Lets what is under way be answered, for a moment. */
  drain(actors: Shard): Effect.Effect<void> {
    const self = this
    return Effect.gen(function* () {
      while (!self.isOver && (self.inFlight.size > 0 || actors.hasWork)) yield* self.settled.wait
    }).pipe(Effect.timeout(drainMs), Effect.ignore)
  }

  /** Tells everybody who waits to ask again. */
  end(actors: Shard, error: Fenced | Unavailable): void {
    this.stop(actors, Effect.fail(error))
  }

  private stop(actors: Shard, why: Effect.Effect<never, Fenced | Unavailable>): void {
    if (this.isOver) return
    this.tellAll()
    Deferred.doneUnsafe(this.ended, why)
    actors.abandon(this.inFlight.keys())
    this.inFlight.clear()
    this.settled.set()
  }

  private settle(actors: Shard, batch: Batch, acknowledged: Acknowledged): Effect.Effect<void> {
    const settled = acknowledged.pipe(
      Effect.flatMap((positions) => Effect.sync(() => this.acknowledge(actors, batch, positions))),
      Effect.catch((error) =>
        Effect.sync(() => {
          meters.lost()
          this.end(actors, error)
        })
      )
    )
    return this.watch(actors, settled)
  }

  private acknowledge(actors: Shard, acknowledged: Batch, positions: ReadonlyArray<Position>): void {
    if (this.isOver) return
    this.inFlight.set(acknowledged, positions)
    const answered = acknowledged.entries.length
    if (answered >= manyEntries) this.expected = answered + actors.waiting
    if (!actors.hasWork || answered >= manyEntries) this.commit(actors)
    this.wake.set()
  }

  /** Fibres may be resumed in any order; what they bring is committed in the order of the log. */
  private commit(actors: Shard): void {
    if (this.isOver) return
    for (const [batch, at] of this.inFlight) {
      if (at === undefined) break
      this.inFlight.delete(batch)
      actors.commit(batch, at)
    }
    this.settled.set()
  }
}

export const released = (log: string): Unavailable => new Unavailable({ log, why: "this node gave the shard up" })
