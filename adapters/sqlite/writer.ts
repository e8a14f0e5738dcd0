/** Group commit: what waits, over all shards, becomes one transaction and one flush of the disk. */
import { Deferred, Effect, Exit } from "effect"
import type { Position } from "../../messages/entry.ts"
import { Fenced, Unavailable } from "../../runtime/ports/journal.ts"
import { Checkpointer } from "./checkpoint.ts"
import { failureOf, type Store, type Write } from "./store.ts"

/** One transaction takes no more than this: a longer one would make the first of its commands wait for the last. */
const transactionBytesMax = 8 * 1024 * 1024

/** A flush that takes longer than this is left to a thread; a shorter one costs less than handing it over and back. */
const inlineFlushMs = 0.5

/**
 * How much the newest flush counts in what is expected of the next. One by a thread is not counted: on a busy host it
 * mostly waits for a processor, and flushes would be left to threads because they are. So one in many is done at once.
 */
const newestShare = 0.2
const lookEvery = 32
/** One that took very long tells of what has passed: it counts as this, or all would be left to threads for it. */
const slowFlushMs = 2 * inlineFlushMs

/** SQLite writes whole pages: at least one for each shard that a commit touches. */
const pageBytes = 4096

export type Answer = Deferred.Deferred<ReadonlyArray<Position>, Fenced | Unavailable>

/** What one owner holds: the first failure of an append is the failure of all later ones. */
export interface Claim {
  readonly shard: number
  readonly epoch: number
  readonly log: string
  failure: Fenced | Unavailable | undefined
}
export interface Append extends Write {
  readonly claim: Claim
  readonly positions: ReadonlyArray<Position>
  readonly bytes: number
  readonly answer: Answer
}

const unavailableOf = (log: string, error: unknown): Unavailable => {
  const failure = failureOf(log, error)
  return failure._tag === "Unavailable" ? failure : new Unavailable({ log, why: failure.why })
}

export class Writer {
  readonly #store: Store
  readonly #flushes: boolean
  readonly #checkpointer: Checkpointer
  readonly #settled: (shards: ReadonlySet<number>) => void
  /** Where frames begin, per shard, that are written and not flushed yet: nobody may be shown them. */
  readonly #unsettled = new Map<number, number>()
  #waiting: Array<Append> = []
  #barriers: Array<Deferred.Deferred<void, Unavailable>> = []
  #scheduled = false
  #flushing = false
  /** What a flush takes here, as far as known: at first it is not, and so left to a thread. */
  #flushMs = inlineFlushMs
  #looks = 0
  #closing = false
  /** After a failed flush nobody knows what the disk holds: the file has to be opened again, and its log replayed. */
  #broken: Unavailable | undefined

  constructor(store: Store, flushes: boolean, settled: (shards: ReadonlySet<number>) => void) {
    this.#store = store
    this.#flushes = flushes
    this.#checkpointer = new Checkpointer(store, () => this.#schedule())
    this.#settled = settled
  }

  get broken(): Unavailable | undefined {
    return this.#broken
  }

  /** The first sequence of this shard that is written and not acknowledged. */
  unsettledFrom(shard: number): number {
    return this.#unsettled.get(shard) ?? Number.POSITIVE_INFINITY
  }

  add(append: Append): void {
    if (this.#closing) {
      fail(append, this.#closed())
      return
    }
    this.#waiting.push(append)
    this.#schedule()
  }

  /** Ends when all that was committed before is on the disk. */
  readonly flushed: Effect.Effect<void, Unavailable> = Effect.suspend(() =>
    this.#closing ? Effect.fail(this.#closed()) : this.#barrier()
  )

  #closed(): Unavailable {
    return new Unavailable({ log: this.#store.file, why: "the journal is closed" })
  }

  #barrier(): Effect.Effect<void, Unavailable> {
    const done = Deferred.makeUnsafe<void, Unavailable>()
    this.#barriers.push(done)
    this.#schedule()
    return Deferred.await(done)
  }

  /** When whatever runs now is done, so that all who append within it share the commit. */
  #schedule(): void {
    if (this.#scheduled || this.#flushing || this.#checkpointer.isBehind) return
    if (this.#waiting.length === 0 && this.#barriers.length === 0) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#commit()
    })
  }

  #take(): Array<Append> {
    let bytes = 0
    let count = 0
    for (const append of this.#waiting) {
      if (count > 0 && bytes + append.bytes > transactionBytesMax) break
      bytes += append.bytes
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  #commit(): void {
    const taken = this.#take()
    const barriers = this.#barriers.splice(0)
    const written = this.#write(taken)
    if (this.#broken !== undefined || (!this.#flushes && barriers.length === 0)) {
      this.#settle(written, barriers, null)
      return
    }
    this.#flush(taken.length <= 1, (error) => this.#settle(written, barriers, error))
  }

  /** Alone on a quick disk, an append waits for the disk and nothing else; otherwise the loop goes on meanwhile. */
  #flush(alone: boolean, done: (error: Error | null) => void): void {
    if (alone && (this.#flushMs < inlineFlushMs || ++this.#looks % lookEvery === 0)) {
      const began = performance.now()
      const error = this.#flushInline()
      this.#flushMs += (Math.min(performance.now() - began, slowFlushMs) - this.#flushMs) * newestShare
      done(error)
      return
    }
    this.#flushing = true
    this.#store.flush((error) => {
      this.#flushing = false
      done(error)
    })
  }

  #flushInline(): Error | null {
    try {
      this.#store.flushSync()
      return null
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  /** Answers those that fail at once, and gives the ones that are written. */
  #write(taken: Array<Append>): Array<Append> {
    const live = taken.filter((append) => {
      const failure = this.#broken ?? append.claim.failure
      if (failure !== undefined) fail(append, failure)
      return failure === undefined
    })
    if (live.length === 0) return live
    try {
      const fenced = this.#store.write(live)
      for (const index of fenced) {
        const { claim } = live[index] as Append
        fail(live[index] as Append, new Fenced({ epoch: this.#store.epochOf(claim.shard), log: claim.log }))
      }
      const written = live.filter((_, index) => !fenced.has(index))
      for (const { sequence, shard } of written) {
        if (!this.#unsettled.has(shard)) this.#unsettled.set(shard, sequence)
      }
      return written
    } catch (error) {
      for (const append of live) fail(append, unavailableOf(append.claim.log, error))
      return []
    }
  }

  #settle(written: ReadonlyArray<Append>, barriers: Array<Deferred.Deferred<void, Unavailable>>, error: Error | null) {
    if (error !== null) {
      const why = `the disk failed to flush, and the journal has to be opened again: ${error.message}`
      this.#broken = new Unavailable({ log: this.#store.file, why })
    }
    const outcome = this.#broken === undefined ? Exit.void : Exit.fail(this.#broken)
    const shards = new Set(this.#unsettled.keys())
    // Before the answers, for whoever hears one may look at once. What a failed flush left unsettled stays hidden.
    if (this.#broken === undefined) this.#unsettled.clear()
    let bytes = 0
    for (const append of written) {
      if (this.#broken !== undefined) fail(append, this.#broken)
      else Deferred.doneUnsafe(append.answer, Exit.succeed(append.positions))
      bytes += append.bytes
    }
    for (const barrier of barriers) Deferred.doneUnsafe(barrier, outcome)
    if (this.#broken === undefined) this.#settled(shards)
    if (bytes > 0) this.#checkpointer.wrote(bytes + pageBytes * (shards.size + 1))
    this.#schedule()
  }

  /** Refuses what comes from now on, and ends when what came before is answered. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#closing = true
    const drained: Effect.Effect<void> = Effect.flatMap(Effect.exit(this.#barrier()), () =>
      this.#flushing || this.#waiting.length > 0 ? drained : Effect.promise(() => this.#checkpointer.close())
    )
    return drained
  })
}

const fail = (append: Append, failure: Fenced | Unavailable): void => {
  append.claim.failure ??= failure
  Deferred.doneUnsafe(append.answer, Exit.fail(failure))
}
