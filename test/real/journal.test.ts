/** The JetStream journal keeps the promises of the port on real servers, one alone and three in a cluster. */
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { layer } from "../../adapters/jetstream/journal.ts"
import { logSubject } from "../../messages/subjects.ts"
import { framesOf, sequenceOf } from "../../runtime/journal/frame.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { type Bench, entriesOf, entryOf, journalContract, placed, put, readAll, versions } from "../contract/journal.ts"
import { have, type NatsServer, nats, natsCluster, type ServerName } from "./servers.ts"

const ask = async (connection: NatsConnection, call: string, body: object = {}) =>
  (await connection.request(`$JS.API.${call}`, JSON.stringify(body), { timeout: 5000 })).json<Record<string, never>>()

/** Servers for all tests of a suite; each test begins without any stream. */
const suite = (
  name: string,
  which: ServerName,
  start: Effect.Effect<ReadonlyArray<NatsServer>, unknown, Scope.Scope>,
  tests: (
    bench: (servers: ReadonlyArray<NatsServer>) => Effect.Effect<void>,
    servers: () => ReadonlyArray<NatsServer>
  ) => void
) =>
  describe.skipIf(!have("test/real/journal.test.ts", which))(name, () => {
    const scope = Effect.runSync(Scope.make())
    let servers: ReadonlyArray<NatsServer> = []
    beforeAll(async () => {
      servers = await Effect.runPromise(Scope.provide(start, scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const clear = (all: ReadonlyArray<NatsServer>) =>
      Effect.promise(async () => {
        const connection = await connect({ servers: all.map((server) => server.url) })
        for (let shard = 0; shard < 8; shard++) await ask(connection, `STREAM.DELETE.ART_LOG_${shard}`)
        await connection.close()
      })
    tests(clear, () => servers)
  })

const layerOf = (servers: ReadonlyArray<NatsServer>, replicas: 1 | 3, window = 16) =>
  layer({ connection: { servers: servers.map((server) => server.url) }, replicas, window })

const nodeOf = (servers: ReadonlyArray<NatsServer>, replicas: 1 | 3, window = 16) =>
  Effect.map(Layer.build(layerOf(servers, replicas, window)), (context) => Context.get(context, Journal))

const linked = (servers: ReadonlyArray<NatsServer>) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: servers.map((server) => server.url) })),
    (connection) => Effect.promise(() => connection.close())
  )

const run = (test: Effect.Effect<void, unknown, Scope.Scope>) => Effect.runPromise(Effect.scoped(test))

suite(
  "one server",
  "nats",
  Effect.map(nats(), (server) => [server]),
  (clear, servers) => {
    journalContract("jetstream, one server", {
      harms: [],
      make: Effect.map(
        Effect.suspend(() => clear(servers())),
        (): Bench => ({ layer: layerOf(servers(), 1) })
      ),
      patience: 60
    })

    it("calls a deleted message corruption, and does not read past it", () =>
      run(
        Effect.gen(function* () {
          yield* clear(servers())
          const connection = yield* linked(servers())
          // A stream that somebody made beforehand, and that allows what ours forbid.
          const stream = { name: "ART_LOG_0", storage: "file", subjects: [logSubject(0)] }
          yield* Effect.promise(() => ask(connection, "STREAM.CREATE.ART_LOG_0", stream))
          const journal = yield* nodeOf(servers(), 1)
          const log = yield* journal.claim(0, "one")
          const places: Array<number> = []
          for (let n = 1; n <= 3; n++) places.push(...(yield* put(log, entriesOf(n, 1))))
          const seq = sequenceOf(places[1] ?? 0)
          yield* Effect.promise(() => ask(connection, "STREAM.MSG.DELETE.ART_LOG_0", { no_erase: true, seq }))
          const failure = yield* Effect.flip(readAll(journal, 0))
          expect(failure).toMatchObject({ _tag: "Corrupt", log: "stream ART_LOG_0", position: places[1] })
        })
      ))

    it("names the actor of a damaged entry, and calls a damaged head the log's corruption", () =>
      run(
        Effect.gen(function* () {
          yield* clear(servers())
          const connection = yield* linked(servers())
          const journal = yield* nodeOf(servers(), 1)
          const log = yield* journal.claim(0, "one")
          const frame = framesOf(entriesOf(1, 2), {
            epoch: log.epoch,
            ordinal: 1,
            sequence: log.epoch + 1
          })[0] as Buffer
          const last = frame.byteLength - 1
          frame[last] = (frame[last] as number) ^ 1
          yield* Effect.promise(() => connection.request(logSubject(0), frame))
          const reads = yield* readAll(journal, 0)
          expect(versions(reads.slice(0, 1))).toEqual([1])
          expect(reads[1]).toMatchObject({ damaged: { id: "acme", kind: "account", version: 2 } })
          frame[50] = (frame[50] as number) ^ 1
          yield* Effect.promise(() => connection.request(logSubject(0), frame))
          expect(yield* Effect.flip(readAll(journal, 0))).toMatchObject({ _tag: "Corrupt" })
        })
      ))

    it("refuses a stream that forgets", () =>
      run(
        Effect.gen(function* () {
          yield* clear(servers())
          const connection = yield* linked(servers())
          const stream = { max_msgs: 1000, name: "ART_LOG_0", storage: "file", subjects: [logSubject(0)] }
          yield* Effect.promise(() => ask(connection, "STREAM.CREATE.ART_LOG_0", stream))
          const failure = yield* Effect.flip((yield* nodeOf(servers(), 1)).claim(0, "one"))
          expect(failure.why).toContain("max_msgs 1000")
        })
      ))

    it("is not confused by what a deposed owner still had under way", () =>
      run(
        Effect.gen(function* () {
          yield* clear(servers())
          const connection = yield* linked(servers())
          const journal = yield* nodeOf(servers(), 1)
          const old = yield* journal.claim(0, "old")
          yield* put(old, entriesOf(1, 3))
          const log = yield* journal.claim(0, "new")
          // The old owner's next frames find the sequences that they expect, for the claim took the place of the first.
          const zombie = (at: number) =>
            framesOf([entryOf(90 + at)], { epoch: old.epoch, ordinal: 3, sequence: at })[0] as Buffer
          yield* Effect.promise(() => connection.request(logSubject(0), zombie(log.epoch + 1)))
          const inner = []
          for (let n = 4; n <= 40; n++) inner.push(yield* log.append(entriesOf(n, 1)))
          const positions = (yield* Effect.all(inner, { concurrency: "unbounded" })).flat()
          const reads = placed(yield* readAll(journal, 0))
          expect(reads.map((read) => read.entry)).toEqual(entriesOf(1, 40))
          expect(reads.slice(3).map((read) => read.position)).toEqual(positions)
        })
      ))
  }
)

/** Appends without a pause, several at once, and notes when each acknowledgement came. */
const load = (journal: Journal["Service"], state: { acknowledged: number; longestMs: number; stop: boolean }) =>
  Effect.gen(function* () {
    const log = yield* journal.claim(0, "one")
    let next = 1
    let heard = performance.now()
    const waits: Array<Fiber.Fiber<unknown, unknown>> = []
    while (!state.stop) {
      const entries = entriesOf(next, 1 + (next % 3))
      next += entries.length
      const wait = yield* log.append(entries)
      const noted = Effect.map(wait, () => {
        const now = performance.now()
        state.longestMs = Math.max(state.longestMs, now - heard)
        heard = now
        state.acknowledged += entries.length
      })
      waits.push(yield* Effect.forkChild(noted, { startImmediately: true }))
      if (waits.length >= 16) yield* Fiber.join(waits.shift() as Fiber.Fiber<unknown, unknown>)
    }
    yield* Fiber.joinAll(waits)
    return next - 1
  })

suite(
  "three servers",
  "nats",
  Effect.map(natsCluster(), (cluster) => cluster.servers),
  (clear, servers) => {
    journalContract("jetstream, three servers", {
      harms: [],
      make: Effect.map(
        Effect.suspend(() => clear(servers())),
        (): Bench => ({ layer: layerOf(servers(), 3) })
      ),
      patience: 60
    })

    const leaderOf = async (connection: NatsConnection): Promise<NatsServer> => {
      const info = (await ask(connection, "STREAM.INFO.ART_LOG_0")) as { cluster?: { leader?: string } }
      const leader = servers().find((server) => server.name.endsWith(` ${info.cluster?.leader}`))
      if (leader === undefined) throw new Error(`no server is called ${info.cluster?.leader}`)
      return leader
    }

    const leaderNow = Effect.suspend(() =>
      Effect.scoped(Effect.flatMap(linked(servers()), (connection) => Effect.promise(() => leaderOf(connection))))
    )

    /** Waits until appends are acknowledged again; an election takes up to nine seconds and its detection some more. */
    const resumed = Effect.fnUntraced(function* (state: { readonly acknowledged: number }) {
      const before = state.acknowledged
      for (let tenths = 0; tenths < 200 && state.acknowledged < before + 500; tenths++) yield* Effect.sleep(100)
      expect(state.acknowledged).toBeGreaterThan(before)
    })

    for (const [how, signal] of [
      ["kill", "SIGKILL"],
      ["stop", "SIGTERM"]
    ] as const) {
      it(
        `loses nothing and doubles nothing when the stream's leader gets ${signal}`,
        () =>
          run(
            Effect.gen(function* () {
              yield* clear(servers())
              const state = { acknowledged: 0, longestMs: 0, stop: false }
              const journal = yield* nodeOf(servers(), 3)
              const loading = yield* Effect.forkChild(load(journal, state))
              const followed: Array<number> = []
              const other = yield* nodeOf(servers(), 3)
              const following = yield* Effect.forkChild(
                Stream.runForEach(other.follow(0, 0), (page) => Effect.sync(() => followed.push(...versions(page))))
              )
              const gaps: Array<number> = []
              for (let time = 0; time < 2; time++) {
                yield* Effect.sleep(1500)
                const leader = yield* leaderNow
                state.longestMs = 0
                yield* leader[how]
                yield* resumed(state)
                gaps.push(Math.round(state.longestMs))
                yield* leader.start
              }
              state.stop = true
              const written = yield* Fiber.join(loading)
              expect(state.acknowledged).toBe(written)
              const all = entriesOf(1, written).map((entry) => entry.version)
              expect(versions(yield* readAll(yield* nodeOf(servers(), 3), 0))).toEqual(all)
              for (let tenths = 0; tenths < 150 && followed.length < written; tenths++) yield* Effect.sleep(100)
              expect(followed).toEqual(all)
              yield* Fiber.interrupt(following)
              process.stderr.write(
                `journal, ${signal} of the leader: ${written} entries, longest gaps ${gaps.join(", ")} ms\n`
              )
            })
          ),
        120_000
      )
    }
  }
)

suite(
  "three of the oldest servers",
  "nats-floor",
  Effect.map(natsCluster({ which: "nats-floor" }), (cluster) => cluster.servers),
  (clear, servers) => {
    journalContract("jetstream, three of the oldest servers", {
      harms: [],
      make: Effect.map(
        Effect.suspend(() => clear(servers())),
        (): Bench => ({ layer: layerOf(servers(), 3) })
      ),
      patience: 60
    })
  }
)
