/** The streams of a node: what its HTTP surface needs, put together from the ports and the shards that it serves. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import type { Client } from "../client.ts"
import { streamRoutes } from "../http/streams/routes.ts"
import { type StreamOptions, type Surface, streamOptions } from "../http/streams/surface.ts"
import type { KeyCheck } from "../keys.ts"
import type { Placement } from "../placement/hosting.ts"
import type { Live } from "../streams/live.ts"
import { Partitions } from "../streams/partitions.ts"
import { Store } from "../streams/store.ts"
import type { Ground } from "./ground.ts"
import type { UpOptions } from "./options.ts"

export interface Parts {
  readonly options: UpOptions
  readonly ground: Ground
  readonly placement: Placement
  readonly asking: Client
  readonly keys: KeyCheck
  readonly shards: number
  readonly live: Live
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.")

const optionsOf = ({ http, longPollMs, streamsOpen }: UpOptions): StreamOptions => ({
  ...streamOptions,
  isOpen: streamsOpen ?? isLoopback(http.host),
  ...(longPollMs !== undefined && { longPollMs })
})

export const streams = Effect.fnUntraced(function* (parts: Parts) {
  const { options, ground, placement, asking, keys, shards, live } = parts
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const partitions = new Partitions({
    shards,
    serving: placement.serving,
    client: asking,
    now: Date.now,
    run: (work) => void run(work),
    idPrefix: `${options.node}-${randomBytes(6).toString("hex")}`
  })
  const surface: Surface = {
    partitions,
    live,
    store: new Store(ground.objects),
    durability: ground.journal.durability,
    options: optionsOf(options)
  }
  return yield* streamRoutes(surface, keys)
})
