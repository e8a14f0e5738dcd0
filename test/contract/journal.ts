/** What every journal promises, whatever it is made of: the same checks run on each of them. */
import { Context, Effect, Exit, Fiber, Layer, type Scope, Stream } from "effect"
import { describe, expect, it } from "vitest"
import type { Entry, Placed, Position } from "../../messages/entry.ts"
import { batchEntriesMax } from "../../messages/limits.ts"
import { type ClaimedLog, Journal, type Read } from "../../runtime/ports/journal.ts"

type Service = Journal["Service"]

/** One place where logs are kept, as several nodes reach it. */
export interface Bench {
  /** Another node's hands on the same logs. */
  readonly layer: Layer.Layer<Journal, unknown>
  /** Changes one bit of a stored entry's body, where the adapter's storage can be reached from a test. */
  readonly damage?: (shard: number, position: Position) => Effect.Effect<void>
  /** Removes the stored frame that holds this position, as no journal ever does. */
  readonly lose?: (shard: number, position: Position) => Effect.Effect<void>
}
export interface Options {
  /** Logs that survive the layers made over them, and what they need while a test runs. */
  readonly make: Effect.Effect<Bench, unknown, Scope.Scope>
  /** Which of the hooks below there are: the checks that need the other are not part of this suite. */
  readonly harms: ReadonlyArray<"damage" | "lose">
  /** Seconds that one test may take. */
  readonly patience?: number
}

export const entryOf = (version: number, more: Partial<Entry> = {}): Entry => ({
  kind: "account",
  id: "acme",
  version,
  cause: `command-${version}`,
  caller: "operator",
  at: 1_700_000_000_000 + version,
  due: 0,
  events: `[{"_tag":"Added","n":${version}}]`,
  reply: `{"n":${version}}`,
  ...more
})
export const entriesOf = (from: number, count: number): Array<Entry> =>
  Array.from({ length: count }, (_, index) => entryOf(from + index))

/** Appends and waits for the acknowledgement. */
export const put = (log: ClaimedLog, entries: ReadonlyArray<Entry>) => Effect.flatten(log.append(entries))

export const placed = (reads: ReadonlyArray<Read>): ReadonlyArray<Placed> =>
  reads.map((read) => {
    if ("damaged" in read) throw new Error(`damaged: ${read.damaged.why}`)
    return read
  })
export const readAll = (journal: Service, shard: number, after = 0) =>
  Effect.map(Stream.runCollect(journal.read(shard, after)), (pages) => pages.flat())
export const versions = (reads: ReadonlyArray<Read>): Array<number> => placed(reads).map((read) => read.entry.version)

const follow = (journal: Service, shard: number, after: Position, count: number) =>
  Effect.map(
    Stream.runCollect(journal.follow(shard, after).pipe(Stream.flattenIterable, Stream.take(count))),
    (reads) => reads
  )

const failure = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) throw new Error("this had to fail")
  return exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
}

/** Runs the checks on this journal. */
export const journalContract = (name: string, options: Options): void => {
  const patience = (options.patience ?? 20) * 1000
  /** A test with as many nodes as it asks for, over fresh logs. */
  const check = (
    what: string,
    run: (bench: Bench, node: Effect.Effect<Service, unknown, Scope.Scope>) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it(
      what,
      () => Effect.runPromise(Effect.scoped(Effect.flatMap(options.make, (bench) => run(bench, nodeOf(bench))))),
      patience
    )

  describe(`journal: ${name}`, () => {
    check("gives back what was appended, in order, at places that grow", (_, node) =>
      Effect.gen(function* () {
        const journal = yield* node
        const log = yield* journal.claim(3, "one")
        const first = yield* put(log, entriesOf(1, 3))
        const second = yield* put(log, entriesOf(4, 2))
        const positions = [...first, ...second]
        expect(positions).toHaveLength(5)
        expect(positions.every((position, index) => position > (positions[index - 1] ?? log.head))).toBe(true)
        const reads = placed(yield* readAll(journal, 3))
        expect(reads.map((read) => read.entry)).toEqual(entriesOf(1, 5))
        expect(reads.map((read) => read.position)).toEqual(positions)
        expect(yield* readAll(journal, 4)).toEqual([])
      })
    )

    check("keeps pipelined appends in the order of the calls", (_, node) =>
      Effect.gen(function* () {
        const log = yield* (yield* node).claim(0, "one")
        const inner = []
        for (let n = 0; n < 200; n++) inner.push(yield* log.append(entriesOf(n * 3 + 1, 3)))
        const positions = (yield* Effect.all(inner, { concurrency: "unbounded" })).flat()
        const reads = placed(yield* readAll(yield* node, 0))
        expect(reads.map((read) => read.entry)).toEqual(entriesOf(1, 600))
        expect(reads.map((read) => read.position)).toEqual(positions)
      })
    )

    check("takes characters of every kind", (_, node) =>
      Effect.gen(function* () {
        const journal = yield* node
        const odd = ["naïve", "日本語", "👩‍👩‍👧‍👦", "\u0000\u001f\u007f", "\ud800 alone", "\u2028"]
        const entries = odd.map((text, index) =>
          entryOf(index + 1, { events: JSON.stringify([text]), id: text, reply: text })
        )
        yield* put(yield* journal.claim(0, "ö"), entries)
        expect(placed(yield* readAll(journal, 0)).map((read) => read.entry)).toEqual(entries)
      })
    )

    check("splits a batch with more entries, and one with more bytes, than a message may have", (_, node) =>
      Effect.gen(function* () {
        const journal = yield* node
        const log = yield* journal.claim(0, "one")
        const many = entriesOf(1, batchEntriesMax + 5)
        const large = Array.from({ length: 5 }, (_x, index) =>
          entryOf(many.length + 1 + index, { events: JSON.stringify(["x".repeat(400_000)]) })
        )
        const positions = [...(yield* put(log, many)), ...(yield* put(log, large))]
        const reads = placed(yield* readAll(journal, 0))
        expect(reads.map((read) => read.entry)).toEqual([...many, ...large])
        expect(reads.map((read) => read.position)).toEqual(positions)
        expect(new Set(positions).size).toBe(many.length + 5)
      })
    )

    check("dies when it is given an entry above the limit", (_, node) =>
      Effect.gen(function* () {
        const log = yield* (yield* node).claim(0, "one")
        const exit = yield* Effect.exit(put(log, [entryOf(1, { events: "x".repeat(1024 * 1024) })]))
        expect(Exit.hasDies(exit)).toBe(true)
        expect(yield* put(log, entriesOf(1, 1))).toHaveLength(1)
      })
    )

    check("reads what lies behind a place, also inside of one append", (_, node) =>
      Effect.gen(function* () {
        const journal = yield* node
        const log = yield* journal.claim(0, "one")
        const positions = [...(yield* put(log, entriesOf(1, 5))), ...(yield* put(log, entriesOf(6, 5)))]
        for (const [index, position] of positions.entries()) {
          expect(versions(yield* readAll(journal, 0, position))).toEqual(
            entriesOf(index + 2, 9 - index).map((entry) => entry.version)
          )
        }
      })
    )

    check("numbers its claims, and says what was written before each", (_, node) =>
      Effect.gen(function* () {
        const one = yield* node
        const two = yield* node
        const first = yield* one.claim(5, "one")
        const [position] = yield* put(first, entriesOf(1, 1))
        const second = yield* two.claim(5, "two")
        expect(second.epoch).toBeGreaterThan(first.epoch)
        expect(second.head).toBeGreaterThanOrEqual(position ?? 0)
        const [later] = yield* put(second, entriesOf(2, 1))
        expect(later).toBeGreaterThan(second.head)
        const other = yield* one.claim(6, "one")
        expect(yield* put(other, entriesOf(1, 1))).toHaveLength(1)
        expect(versions(yield* readAll(two, 5))).toEqual([1, 2])
      })
    )

    check("fences the earlier owner for ever, and writes nothing of what it sends", (_, node) =>
      Effect.gen(function* () {
        const one = yield* node
        const two = yield* node
        const old = yield* one.claim(0, "one")
        yield* put(old, entriesOf(1, 2))
        const now = yield* two.claim(0, "two")
        for (let n = 0; n < 3; n++) {
          expect(failure(yield* Effect.exit(put(old, entriesOf(90, 3))))).toMatchObject({
            _tag: "Fenced",
            epoch: now.epoch
          })
        }
        yield* put(now, entriesOf(3, 1))
        expect(failure(yield* Effect.exit(put(old, entriesOf(90, 1))))).toMatchObject({ _tag: "Fenced" })
        expect(versions(yield* readAll(one, 0))).toEqual([1, 2, 3])
      })
    )

    check("lets a zombie's appends in flight end in order: written before the claim, or fenced", (_, node) =>
      Effect.gen(function* () {
        const one = yield* node
        const two = yield* node
        for (let round = 0; round < 5; round++) {
          const old = yield* one.claim(round, "one")
          const waits: Array<Fiber.Fiber<Exit.Exit<ReadonlyArray<number>, unknown>>> = []
          const send = Effect.gen(function* () {
            for (let n = 1; n <= 60; n++) {
              const wait = yield* old.append(entriesOf(n, 1))
              waits.push(yield* Effect.forkScoped(Effect.exit(wait)))
              if (n % 7 === 0) yield* Effect.yieldNow
            }
          })
          const sending = yield* Effect.forkScoped(send)
          for (let n = 0; n < round * 3; n++) yield* Effect.yieldNow
          const now = yield* two.claim(round, "two")
          yield* Fiber.join(sending)
          const exits = yield* Fiber.joinAll(waits)
          const acknowledged = exits.filter(Exit.isSuccess).length
          expect(exits.slice(0, acknowledged).every(Exit.isSuccess)).toBe(true)
          const before = versions(yield* readAll(two, round))
          expect(before).toEqual(entriesOf(1, before.length).map((entry) => entry.version))
          expect(before.length).toBeGreaterThanOrEqual(acknowledged)
          for (const read of yield* readAll(two, round)) expect(read.position).toBeLessThanOrEqual(now.head)
          yield* put(now, [entryOf(1000)])
          expect(versions(yield* readAll(one, round))).toEqual([...before, 1000])
        }
      })
    )

    check("lets one of many racing claims be the last, and only that one write", (_, node) =>
      Effect.gen(function* () {
        const nodes = [yield* node, yield* node, yield* node]
        const logs = yield* Effect.forEach(
          Array.from({ length: 12 }, (_x, index) => nodes[index % 3] as Service),
          (one, index) => one.claim(0, `racer-${index}`),
          { concurrency: "unbounded" }
        )
        expect(new Set(logs.map((log) => log.epoch)).size).toBe(12)
        const exits = yield* Effect.forEach(logs, (log) => Effect.exit(put(log, [entryOf(log.epoch)])), {
          concurrency: "unbounded"
        })
        const newest = Math.max(...logs.map((log) => log.epoch))
        exits.forEach((exit, index) => {
          expect(Exit.isSuccess(exit)).toBe(logs[index]?.epoch === newest)
          if (Exit.isFailure(exit)) expect(failure(exit)).toMatchObject({ _tag: "Fenced" })
        })
        expect(versions(yield* readAll(nodes[0] as Service, 0))).toEqual([newest])
      })
    )

    check("lets followers see everything once and in order, before and after they came, whoever writes", (_, node) =>
      Effect.gen(function* () {
        const one = yield* node
        const two = yield* node
        const log = yield* one.claim(0, "one")
        const positions = [...(yield* put(log, entriesOf(1, 10)))]
        const seen = yield* Effect.forkScoped(follow(one, 0, 0, 100))
        const late = yield* Effect.forkScoped(follow(two, 0, positions[4] ?? 0, 95))
        for (let n = 11; n <= 50; n += 4) positions.push(...(yield* put(log, entriesOf(n, 4))))
        const next = yield* two.claim(0, "two")
        for (let n = 51; n <= 100; n += 5) positions.push(...(yield* put(next, entriesOf(n, 5))))
        const reads = placed(yield* Fiber.join(seen))
        expect(reads.map((read) => read.entry)).toEqual(entriesOf(1, 100))
        expect(reads.map((read) => read.position)).toEqual(positions)
        expect(versions(yield* Fiber.join(late))).toEqual(entriesOf(6, 95).map((entry) => entry.version))
      })
    )

    check("forgets what was truncated and nothing more, and goes on growing", (_, node) =>
      Effect.gen(function* () {
        const journal = yield* node
        const log = yield* journal.claim(0, "one")
        const positions: Array<number> = []
        for (let n = 1; n <= 100; n += 1) positions.push(...(yield* put(log, entriesOf(n, 1))))
        yield* journal.truncate(0, positions[59] ?? 0)
        const kept = versions(yield* readAll(journal, 0))
        expect(kept.slice(-41)).toEqual(entriesOf(60, 41).map((entry) => entry.version))
        expect(kept).toHaveLength(41)
        expect(versions(yield* readAll(journal, 0, positions[79]))).toHaveLength(20)
        yield* journal.truncate(0, Number.MAX_SAFE_INTEGER)
        const again = yield* (yield* node).claim(0, "two")
        expect(again.epoch).toBeGreaterThan(log.epoch)
        const [next] = yield* put(again, entriesOf(101, 1))
        expect(next).toBeGreaterThan(positions[99] ?? 0)
        expect(versions(yield* readAll(journal, 0)).slice(-1)).toEqual([101])
      })
    )

    check("keeps all of it over a restart", (bench) =>
      Effect.gen(function* () {
        const life = (run: (journal: Service) => Effect.Effect<number, unknown>) =>
          Effect.scoped(Effect.flatMap(nodeOf(bench), run))
        const before = yield* life((journal) =>
          Effect.gen(function* () {
            const log = yield* journal.claim(2, "one")
            yield* put(log, entriesOf(1, 20))
            yield* journal.sync
            return log.epoch
          })
        )
        const after = yield* life((journal) =>
          Effect.gen(function* () {
            const log = yield* journal.claim(2, "one")
            yield* put(log, entriesOf(21, 1))
            expect(versions(yield* readAll(journal, 2))).toEqual(entriesOf(1, 21).map((entry) => entry.version))
            return log.epoch
          })
        )
        expect(after).toBeGreaterThan(before)
      })
    )

    if (options.harms.includes("damage"))
      check("names the actor of a damaged entry, and gives the others", (bench, node) =>
        Effect.gen(function* () {
          if (bench.damage === undefined) throw new Error("this bench has no such hook")
          const journal = yield* node
          const [, second] = yield* put(yield* journal.claim(0, "one"), entriesOf(1, 3))
          yield* bench.damage(0, second ?? 0)
          const reads = yield* readAll(journal, 0)
          expect(reads).toHaveLength(3)
          expect(reads[1]).toMatchObject({ damaged: { id: "acme", kind: "account", version: 2 }, position: second })
          expect(versions([reads[0], reads[2]] as ReadonlyArray<Read>)).toEqual([1, 3])
        })
      )

    if (options.harms.includes("lose"))
      check("calls a missing frame corruption, and does not read past it", (bench, node) =>
        Effect.gen(function* () {
          if (bench.lose === undefined) throw new Error("this bench has no such hook")
          const journal = yield* node
          const log = yield* journal.claim(0, "one")
          const places: Array<number> = []
          for (let n = 1; n <= 3; n++) places.push(...(yield* put(log, entriesOf(n, 1))))
          yield* bench.lose(0, places[1] ?? 0)
          expect(failure(yield* Effect.exit(readAll(journal, 0)))).toMatchObject({
            _tag: "Corrupt",
            log: journal.nameOf(0),
            position: places[1]
          })
        })
      )
  })
}

/** Builds one more node over these logs, for as long as the scope lives. */
const nodeOf = (bench: Bench): Effect.Effect<Service, unknown, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(bench.layer)), (context) => Context.get(context, Journal))
