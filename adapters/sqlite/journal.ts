/** The journal of a node that stands alone: one SQLite file with the logs of all its shards. */
import { Cause, Deferred, Effect, Layer, Stream } from "effect"
import type { Entry, Position } from "../../messages/entry.ts"
import { countOf, framesOf, positionOf, readFrame, sequenceOf } from "../../runtime/journal/frame.ts"
import { type ClaimedLog, Corrupt, type Fenced, Journal, type Read, Unavailable } from "../../runtime/ports/journal.ts"
import { failureOf, Store } from "./store.ts"
import { type Answer, type Claim, Writer } from "./writer.ts"

export interface Options {
  readonly file: string
  /** What an acknowledgement survives: power loss (the default), or the death of this process alone. */
  readonly durability?: "sync" | "process"
}

/** What another process writes to the same file is seen after this long; what this one writes, at once. */
const strangersMs = 200

type Pages = Stream.Stream<ReadonlyArray<Read>, Unavailable | Corrupt>

/** One node's hands on the file. */
class Logs {
  readonly store: Store
  readonly writer: Writer
  readonly #followers = new Map<number, Set<() => void>>()
  readonly #turns = new Map<number, number>()

  constructor(options: Options) {
    this.store = new Store(options.file)
    this.writer = new Writer(this.store, options.durability !== "process", (shards) => {
      for (const shard of shards) {
        this.#turns.set(shard, this.turnOf(shard) + 1)
        for (const look of [...(this.#followers.get(shard) ?? [])]) look()
      }
    })
  }

  readonly nameOf = (shard: number): string => `${this.store.file} shard ${shard}`

  readonly attempt = <A>(shard: number, run: () => A): Effect.Effect<A, Unavailable | Corrupt> =>
    Effect.try({ catch: (error) => failureOf(this.nameOf(shard), error), try: run })

  /** Reads on from a place, one page a call; an empty page says that nothing more is there yet. */
  reader(
    shard: number,
    after: Position
  ): (before: number) => Effect.Effect<ReadonlyArray<Read>, Unavailable | Corrupt> {
    let next = sequenceOf(after)
    let first = true
    const page = (before: number): Array<Read> => {
      next = Math.max(next, this.store.firstOf(shard), 1)
      const reads: Array<Read> = []
      for (const { frame: bytes, sequence } of this.store.page(shard, next, before)) {
        const position = positionOf(next, 0)
        const log = this.nameOf(shard)
        if (sequence !== next) {
          throw new Corrupt({ log, position, why: `frame ${next} is missing: ${sequence} is the next one` })
        }
        const frame = readFrame(bytes, sequence)
        if ("broken" in frame) throw new Corrupt({ log, position, why: frame.broken })
        for (const read of frame.reads) if (!first || read.position > after) reads.push(read)
        first = false
        next += 1
      }
      return reads
    }
    return (before) =>
      Effect.try({
        catch: (error) => (error instanceof Corrupt ? error : failureOf(this.nameOf(shard), error)),
        try: () => {
          for (;;) {
            const from = next
            const reads = page(Math.min(before, this.writer.unsettledFrom(shard)))
            // A page of claims alone has nothing to show, and is not the end.
            if (reads.length > 0 || next === from) return reads
          }
        }
      })
  }

  /** Counts what this node settled in the log: it tells a follower that something came after its last look. */
  turnOf(shard: number): number {
    return this.#turns.get(shard) ?? 0
  }

  /** Ends when something was settled since that turn, be it before we began to wait. */
  changed(shard: number, turn: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.turnOf(shard) !== turn) {
        resume(Effect.void)
        return
      }
      const followers = this.#followers.get(shard) ?? new Set()
      this.#followers.set(shard, followers)
      const look = () => resume(Effect.void)
      followers.add(look)
      return Effect.sync(() => void followers.delete(look))
    })
  }
}

const read = (logs: Logs, shard: number, after: Position): Pages =>
  Stream.unwrap(
    Effect.map(
      logs.attempt(shard, () => logs.store.lastOf(shard)),
      (last) => {
        const next = logs.reader(shard, after)(last + 1)
        return Stream.fromPull(
          Effect.succeed(
            Effect.flatMap(next, (page) => (page.length === 0 ? Cause.done() : Effect.succeed([page] as const)))
          )
        )
      }
    )
  )

const follow = (logs: Logs, shard: number, after: Position): Pages =>
  Stream.suspend(() => {
    const next = logs.reader(shard, after)(Number.POSITIVE_INFINITY)
    const pull: Effect.Effect<readonly [ReadonlyArray<Read>], Unavailable | Corrupt> = Effect.suspend(() => {
      const turn = logs.turnOf(shard)
      return Effect.flatMap(next, (page) =>
        page.length > 0
          ? Effect.succeed([page] as const)
          : Effect.flatMap(Effect.timeoutOption(logs.changed(shard, turn), strangersMs), () => pull)
      )
    })
    return Stream.fromPull(Effect.succeed(pull))
  })

const claimed = (logs: Logs, claim: Claim, sequence: number): ClaimedLog => {
  let next = sequence + 1
  const { epoch, shard } = claim
  const append = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Position>, Fenced | Unavailable> => {
    if (claim.failure !== undefined) return Effect.fail(claim.failure)
    const frames = framesOf(entries, { epoch, ordinal: next - sequence, sequence: next })
    const positions: Array<Position> = []
    let bytes = 0
    frames.forEach((frame, place) => {
      bytes += frame.byteLength
      const count = countOf(frame)
      for (let index = 0; index < count; index++) positions.push(positionOf(next + place, index))
    })
    const answer: Answer = Deferred.makeUnsafe()
    logs.writer.add({ answer, bytes, claim, epoch, frames, positions, sequence: next, shard })
    next += frames.length
    return Deferred.await(answer)
  }
  return { append: (entries) => Effect.sync(() => append(entries)), epoch, head: positionOf(sequence, 0) }
}

const claim = Effect.fnUntraced(function* (logs: Logs, shard: number, owner: string) {
  if (logs.writer.broken !== undefined) return yield* logs.writer.broken
  const { epoch, sequence } = yield* logs.attempt(shard, () => logs.store.claim(shard, owner))
  yield* logs.writer.flushed
  return claimed(logs, { epoch, failure: undefined, log: logs.nameOf(shard), shard }, sequence)
})

const truncate = Effect.fnUntraced(function* (logs: Logs, shard: number, before: Position) {
  // The newest frame stays, for it is where the next sequence is known from.
  const sequence = yield* logs.attempt(shard, () => Math.min(sequenceOf(before), logs.store.lastOf(shard)))
  yield* logs.attempt(shard, () => logs.store.beginAt(shard, sequence))
  const step = logs.attempt(shard, () => logs.store.deleteSome(shard, sequence))
  while (yield* step) yield* Effect.sleep(1)
})

const asUnavailable = (failure: Unavailable | Corrupt): Unavailable =>
  failure._tag === "Unavailable" ? failure : new Unavailable({ log: failure.log, why: failure.why })

const service = (logs: Logs, durability: "sync" | "process"): Journal["Service"] => ({
  claim: (shard, owner) => claim(logs, shard, owner),
  durability,
  follow: (shard, after) => follow(logs, shard, after),
  nameOf: logs.nameOf,
  read: (shard, after) => read(logs, shard, after),
  sync: logs.writer.flushed,
  truncate: (shard, before) => Effect.mapError(truncate(logs, shard, before), asUnavailable),
  window: 2
})

/** Opens the file, or makes it; fails with its name when it is damaged or written by a newer version. */
export const layer = (options: Options): Layer.Layer<Journal, Unavailable | Corrupt> =>
  Layer.effect(
    Journal,
    Effect.acquireRelease(
      Effect.try({ catch: (error) => failureOf(options.file, error), try: () => new Logs(options) }),
      (logs) =>
        Effect.andThen(
          logs.writer.close,
          Effect.sync(() => logs.store.close())
        )
    ).pipe(Effect.map((logs) => service(logs, options.durability ?? "sync")))
  )
