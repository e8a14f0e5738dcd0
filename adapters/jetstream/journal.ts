/** The journal in a NATS cluster: for each shard one replicated stream of claims and packed frames. */
import type { NatsConnection } from "@nats-io/nats-core"
import { headers, nuid } from "@nats-io/nats-core"
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node"
import { Cause, Effect, Layer, Stream } from "effect"
import type { Position } from "../../messages/entry.ts"
import { logSubject } from "../../messages/subjects.ts"
import { claimOf, positionOf, readFrame, sequenceOf } from "../../runtime/journal/frame.ts"
import {
  type ClaimedLog,
  Corrupt,
  type Durability,
  Journal,
  type Read,
  Unavailable
} from "../../runtime/ports/journal.ts"
import { accepted, parse, patiently, steadfast, whyOf } from "./api.ts"
import { Line } from "./line.ts"
import { Replay } from "./replay.ts"
import { objectionsTo, syncPolicyOf } from "./server.ts"
import { ensure, infoOf, messageAt, purgeBefore, streamOf } from "./stream.ts"

export interface Options {
  /** Servers and credentials. The journal has a connection of its own, so that replays do not hold up requests. */
  readonly connection: NodeConnectionOptions
  readonly replicas: 1 | 3
  /**
   * Appends worth having under way at once: while one is acknowledged the next is on its way already. With more of them
   * each would carry less, and it is the messages that cost the servers their time, not the entries in them.
   */
  readonly window?: number
  /** Set when the operator says that the servers run with `sync_interval: always`, which clients mostly cannot see. */
  readonly syncAlways?: boolean
}

const windowDefault = 2

/** The frames of a large append travel together, so far as the servers can be expected to hold them. */
const framesMax = 16

/** How long one attempt at a claim waits for its acknowledgement. */
const claimMs = 2_000

type Failed = Unavailable | Corrupt

class Logs {
  readonly connection: NatsConnection
  readonly options: Options
  readonly #lines = new Map<number, Line>()
  readonly #ready = new Map<number, Promise<void>>()

  constructor(connection: NatsConnection, options: Options) {
    this.connection = connection
    this.options = options
    void this.#watch()
  }

  /** Ends with the connection. */
  async #watch(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "reconnect") for (const line of this.#lines.values()) line.reconnected()
    }
  }

  readonly nameOf = (shard: number): string => `stream ${streamOf(shard)}`

  readonly attempt = <A>(shard: number, run: () => Promise<A>): Effect.Effect<A, Failed> =>
    Effect.tryPromise({
      catch: (error) => {
        if (error instanceof Corrupt || error instanceof Unavailable) return error
        return new Unavailable({ log: this.nameOf(shard), why: whyOf(error) })
      },
      try: run
    })

  /** Once a shard: afterwards a stream that is gone is an error, and not made again. */
  ready(shard: number): Promise<void> {
    const known = this.#ready.get(shard)
    if (known !== undefined) return known
    const made = ensure(this.connection, shard, this.options.replicas)
    this.#ready.set(shard, made)
    made.catch(() => this.#ready.delete(shard))
    return made
  }

  /**
   * A claim expects no sequence, for an owner that appends without a pause would always be ahead of it: it lands where
   * it lands, and that place is its epoch. So a claim of unknown fate is simply made again; at worst the earlier one
   * fences an owner that has to claim once more.
   */
  async claim(shard: number, owner: string): Promise<ClaimedLog> {
    await this.ready(shard)
    const stream = headers()
    stream.set("Nats-Expected-Stream", streamOf(shard))
    const frame = claimOf(`${owner} ${nuid.next()}`, 0, 0)
    const epoch = await patiently(async () => {
      const reply = await this.connection.request(logSubject(shard), frame, { headers: stream, timeout: claimMs })
      return accepted<{ readonly seq: number }>(parse(reply.data)).seq
    })
    const line = new Line({
      connection: this.connection,
      epoch,
      log: this.nameOf(shard),
      shard,
      window: Math.max(framesMax, this.options.window ?? windowDefault)
    })
    this.#lines.get(shard)?.retire(epoch)
    this.#lines.set(shard, line)
    return { append: (entries) => Effect.sync(() => line.append(entries)), epoch, head: positionOf(epoch, 0) }
  }

  async truncate(shard: number, before: Position): Promise<void> {
    await this.ready(shard)
    const { state } = await patiently(() => infoOf(this.connection, shard))
    const sequence = sequenceOf(before)
    if (sequence <= state.first_seq || state.messages === 0) return
    if (sequence <= state.last_seq) {
      await patiently(() => purgeBefore(this.connection, shard, sequence))
      return
    }
    // A reader takes the first frame of a log on trust, and a claim can always be trusted: the newest one stays.
    const newest = await patiently(() => messageAt(this.connection, shard, state.last_seq))
    const frame = newest === undefined ? undefined : readFrame(newest, state.last_seq)
    if (frame === undefined || "broken" in frame) return
    await patiently(() => purgeBefore(this.connection, shard, frame.epoch))
  }

  async close(): Promise<void> {
    for (const [shard, line] of this.#lines) {
      line.fail(new Unavailable({ log: this.nameOf(shard), why: "the journal is closed" }))
    }
    await this.connection.close()
  }
}

const pages = (
  logs: Logs,
  shard: number,
  after: Position,
  isEndless: boolean
): Stream.Stream<ReadonlyArray<Read>, Failed> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const info = yield* logs.attempt(shard, async () => {
        await logs.ready(shard)
        return patiently(() => infoOf(logs.connection, shard))
      })
      const from = Math.max(1, sequenceOf(after))
      const { last_seq: last } = info.state
      const options = { connection: logs.connection, from, log: logs.nameOf(shard), shard }
      const open = Effect.sync(() => new Replay(isEndless ? options : { ...options, last }))
      const replay = yield* Effect.acquireRelease(open, (one) => Effect.sync(() => one.close()))
      const next = logs.attempt(shard, () => replay.page())
      const pull = Effect.flatMap(next, (page) => (page === undefined ? Cause.done() : Effect.succeed([page] as const)))
      return Stream.fromPull(Effect.succeed(pull)).pipe(
        Stream.map((page) => ((page[0]?.position ?? 0) > after ? page : page.filter((read) => read.position > after))),
        Stream.filter((page) => page.length > 0)
      )
    })
  )

const durabilityOf = (replicas: number, always: boolean): Durability => {
  if (replicas === 1) return always ? "sync" : "process"
  return always ? "replicated-sync" : "replicated"
}

const opened = (options: Options): Effect.Effect<Logs, Unavailable, import("effect").Scope.Scope> =>
  Effect.gen(function* () {
    const servers = String(options.connection.servers ?? "nats")
    const connecting = Effect.tryPromise({
      catch: (error) => new Unavailable({ log: servers, why: whyOf(error) }),
      try: () => connect({ ...steadfast, ...options.connection })
    })
    const logs = yield* Effect.acquireRelease(
      Effect.map(connecting, (connection) => new Logs(connection, options)),
      (one) => Effect.promise(() => one.close())
    )
    const { refused, warned } = objectionsTo(logs.connection.info ?? { version: "0" })
    if (refused !== undefined) return yield* new Unavailable({ log: servers, why: refused })
    if (warned !== undefined) yield* Effect.logWarning(warned)
    return logs
  })

const asUnavailable = (failure: Failed): Unavailable =>
  failure._tag === "Unavailable" ? failure : new Unavailable({ log: failure.log, why: failure.why })

/** Connects, and refuses servers whose fence does not hold. Streams are made when their shard is first asked for. */
export const layer = (options: Options): Layer.Layer<Journal, Unavailable> =>
  Layer.effect(
    Journal,
    Effect.gen(function* () {
      const logs = yield* opened(options)
      const policy = yield* Effect.promise(() => syncPolicyOf(logs.connection))
      const always = policy.known ? policy.always : options.syncAlways === true
      return Journal.of({
        claim: (shard, owner) => logs.attempt(shard, () => logs.claim(shard, owner)),
        durability: durabilityOf(options.replicas, always),
        follow: (shard, after) => pages(logs, shard, after, true),
        nameOf: logs.nameOf,
        read: (shard, after) => pages(logs, shard, after, false),
        sync: Effect.void,
        truncate: (shard, before) =>
          Effect.mapError(
            logs.attempt(shard, () => logs.truncate(shard, before)),
            asUnavailable
          ),
        window: options.window ?? windowDefault
      })
    })
  )
