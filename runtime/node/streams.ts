/** The streams of a node: what its HTTP surface needs, put together from the ports and the shards that it serves. */
import { randomBytes } from "node:crypto"
import { Effect, FiberMap } from "effect"
import type { Client } from "../client.ts"
import { listeners } from "../http/streams/listeners.ts"
import { Quotas } from "../http/streams/quota.ts"
import { streamRoutes } from "../http/streams/routes.ts"
import { type StreamOptions, type Surface, streamOptions } from "../http/streams/surface.ts"
import { deliverer, signingKeyOf } from "../http/streams/webhook.ts"
import type { KeyCheck } from "../keys.ts"
import type { Placement } from "../placement/hosting.ts"
import type { Live } from "../streams/live.ts"
import { Partitions } from "../streams/partitions.ts"
import { Replicas } from "../streams/replicas.ts"
import { Sealer, sealingDefaults } from "../streams/sealer.ts"
import { Store } from "../streams/store.ts"
import { Subscriptions, type Workings } from "../streams/subscriptions.ts"
import { tails } from "../streams/tails.ts"
import type { DataDir } from "./datadir.ts"
import type { Ground } from "./ground.ts"
import { listenerSigner } from "./listening.ts"
import type { UpOptions } from "./options.ts"

export interface Parts {
  readonly options: UpOptions
  readonly ground: Ground
  readonly placement: Placement
  readonly asking: Client
  readonly keys: KeyCheck
  readonly data: DataDir
  readonly live: Live
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.")

const optionsOf = ({ http, longPollMs, streamsOpen, streamLimits }: UpOptions): StreamOptions => ({
  ...streamOptions,
  isOpen: streamsOpen ?? isLoopback(http.host),
  ...(longPollMs !== undefined && { longPollMs }),
  ...(streamLimits !== undefined && { limits: streamLimits })
})

const secret = (): string => randomBytes(18).toString("base64url")

const subscribing = (partitions: Partitions, live: Live, deliver: Workings["deliver"]) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const timers = new Set<NodeJS.Timeout>()
      const after = (ms: number, call: () => void): void => {
        const timer = setTimeout(() => {
          timers.delete(timer)
          call()
        }, ms)
        timers.add(timer)
      }
      return { timers, made: new Subscriptions(partitions, live, { deliver, secret, after, random: Math.random }) }
    }),
    ({ timers, made }) =>
      Effect.sync(() => {
        made.stop()
        for (const timer of timers) clearTimeout(timer)
      })
  ).pipe(Effect.map(({ made }) => made))

/** In a cluster, what other nodes serve is folded here. */
const following = Effect.fnUntraced(function* ({ ground, asking, data, live, placement }: Parts) {
  const fibers = yield* FiberMap.make<number, unknown, unknown>()
  const runOne = yield* FiberMap.runtime(fibers)()
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const replicas = new Replicas({
    ...{ bus: ground.bus, client: asking, live, shards: data.shards, now: Date.now },
    isServedHere: (partition) => placement.serving(partition)?.mayAnswer() === true,
    ask: (work) => void run(work),
    run: (partition, work) => runOne(partition, Effect.scoped(work))
  })
  yield* Effect.forkScoped(replicas.look)
  return replicas
})

export const streams = Effect.fnUntraced(function* (parts: Parts) {
  const { options, ground, placement, asking, keys, data, live } = parts
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const replicas = ground.registry === undefined ? undefined : yield* following(parts)
  const partitions = new Partitions({
    ...(replicas !== undefined && { replicas, bus: ground.bus }),
    shards: data.shards,
    serving: placement.serving,
    client: asking,
    now: Date.now,
    run: (work) => void run(work),
    idPrefix: `${options.node}-${randomBytes(6).toString("hex")}`
  })
  const signing = signingKeyOf(data.secrets.account.seed)
  const subscriptions = yield* subscribing(partitions, live, deliverer(signing, partitions))
  const sealing = { ...sealingDefaults, hotBytes: options.streamHotBytes ?? sealingDefaults.hotBytes }
  yield* Effect.forkScoped(new Sealer(partitions, ground.objects, sealing).run)
  const shown = optionsOf(options)
  if (options.streamSubjects === true)
    live.also = tails(ground.bus, (shard, key) => partitions.peek(shard)?.state.streams.look(key)?.contentType)
  const surface: Surface = {
    partitions,
    live,
    subscriptions,
    signing,
    secret,
    store: new Store(ground.objects),
    durability: ground.journal.durability,
    log: (partition) => ground.journal.read(partition, 0),
    quotas: shown.limits === undefined ? undefined : new Quotas(shown.limits, partitions),
    options: shown
  }
  const sign = listenerSigner(data.secrets.account)
  return [listeners({ keys, nats: ground.busUrl, sign }), ...(yield* streamRoutes(surface, keys))]
})
