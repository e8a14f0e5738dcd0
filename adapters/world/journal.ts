/**
 * A journal whose appends travel: they are late or lost, their acknowledgements too, and they outlive whoever sent
 * them.
 */
import { Clock, Deferred, Effect, Stream } from "effect"
import type { Entry, Placed, Position } from "../../messages/entry.ts"
import { type ClaimedLog, type Fenced, Journal, Unavailable } from "../../runtime/ports/journal.ts"
import type { Life, Weather } from "./weather.ts"

/** One entry as it was committed. */
export interface Committed {
  readonly shard: number
  readonly epoch: number
  /** When it landed, in the world's time. */
  readonly at: number
  readonly placed: Placed
}

type Landing = Effect.Effect<ReadonlyArray<Position>, Fenced | Unavailable>

export class Logs {
  /** What was ever committed, also behind a truncation: the truth that a checker holds everything against. */
  readonly ledger: Array<Committed> = []
  private readonly newest = new Map<number, ClaimedLog>()
  private readonly inner: Journal["Service"]
  private readonly weather: Weather
  private readonly isFenced: boolean
  private readonly window: number

  /** Without the fence, whoever has lost a shard goes on writing: a control that every checker has to notice. */
  constructor(
    inner: Journal["Service"],
    weather: Weather,
    options: { readonly fence: boolean; readonly window: number }
  ) {
    this.inner = inner
    this.weather = weather
    this.isFenced = options.fence
    this.window = options.window
  }

  /** The journal as one life sees it. */
  attach(life: Life): Journal["Service"] {
    const { inner, weather } = this
    const down = (shard: number) => (why: string) => new Unavailable({ log: inner.nameOf(shard), why })
    const readable = (shard: number, stream: ReturnType<typeof inner.read>) =>
      Stream.unwrap(weather.operate(life, "journal", Effect.succeed(stream), down(shard)))
    return Journal.of({
      durability: inner.durability,
      window: this.window,
      nameOf: inner.nameOf,
      claim: (shard, owner) =>
        weather
          .operate(life, "journal", inner.claim(shard, owner), down(shard))
          .pipe(Effect.map((claimed) => this.claimed(life, shard, claimed))),
      read: (shard, after) => readable(shard, inner.read(shard, after)),
      follow: (shard, after) => readable(shard, inner.follow(shard, after)),
      truncate: (shard, before) =>
        weather.operate(
          life,
          "journal",
          Effect.andThen(
            Effect.sync(() => weather.reach("truncated")),
            inner.truncate(shard, before)
          ),
          down(shard)
        ),
      sync: Effect.void
    })
  }

  private claimed(life: Life, shard: number, log: ClaimedLog): ClaimedLog {
    this.newest.set(shard, log)
    this.weather.reach("claimed")
    let before: Effect.Effect<boolean> = Effect.succeed(true)
    return {
      epoch: log.epoch,
      head: log.head,
      append: (entries) =>
        Effect.gen({ self: this }, function* () {
          const landed = yield* Deferred.make<boolean>()
          const landing = yield* Deferred.make<ReadonlyArray<Position>, Fenced | Unavailable>()
          const previous = before
          before = Deferred.await(landed)
          const travel = this.travel({ life, shard, log, entries, previous, landed })
          this.weather.run(Effect.asVoid(Deferred.into(travel, landing)))
          return Deferred.await(landing)
        })
    }
  }

  /** One append on its way: it lands only behind the one before, and not at all when that one did not. */
  private travel(append: {
    readonly life: Life
    readonly shard: number
    readonly log: ClaimedLog
    readonly entries: ReadonlyArray<Entry>
    readonly previous: Effect.Effect<boolean>
    readonly landed: Deferred.Deferred<boolean>
  }): Landing {
    const { weather } = this
    const { life, shard, landed } = append
    const lost = (why: string) => new Unavailable({ log: this.inner.nameOf(shard), why })
    return Effect.gen({ self: this }, function* () {
      yield* weather.delay("journal")
      const isOpen = yield* append.previous
      if (!isOpen || weather.isCut(life.name, "journal") || weather.chance("journal", "lost")) {
        yield* Deferred.succeed(landed, false)
        return yield* Effect.fail(lost("the append was lost"))
      }
      const positions = yield* this.land(append).pipe(
        Effect.tapError(() => Deferred.succeed(landed, false)),
        Effect.tap(() => Deferred.succeed(landed, true))
      )
      yield* weather.delay("journal")
      if (weather.isCut(life.name, "journal") || weather.chance("journal", "lostAck"))
        return yield* Effect.fail(lost("the acknowledgement was lost"))
      return positions
    })
  }

  private land(append: { readonly shard: number; readonly log: ClaimedLog; readonly entries: ReadonlyArray<Entry> }) {
    const { shard, log, entries } = append
    const write = (into: ClaimedLog) =>
      Effect.flatMap(into.append(entries), (acknowledged) => acknowledged).pipe(
        Effect.tap((positions) =>
          Effect.map(Clock.currentTimeMillis, (at) => this.note({ shard, epoch: log.epoch, at }, entries, positions))
        )
      )
    return write(log).pipe(
      Effect.catchTag("Fenced", (fenced) => {
        this.weather.reach("fenced")
        return this.isFenced ? Effect.fail(fenced) : write(this.newest.get(shard) ?? log)
      })
    )
  }

  private note(
    where: { readonly shard: number; readonly epoch: number; readonly at: number },
    entries: ReadonlyArray<Entry>,
    positions: ReadonlyArray<Position>
  ): void {
    for (const [index, entry] of entries.entries())
      this.ledger.push({ ...where, placed: { position: positions[index] ?? 0, entry } })
  }
}
