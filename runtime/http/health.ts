/** What a node tells of itself at /healthz: who it is, what it stands on, and whether it serves all that it should. */
import { Effect } from "effect"
import type { Placement } from "../placement/hosting.ts"
import type { Durability } from "../ports/journal.ts"
import { sendJson } from "./exchange.ts"
import type { Route } from "./router.ts"

export interface About {
  readonly version: string
  readonly node: string
  readonly pid: number
  readonly startedAt: number
  readonly mode: "standalone" | "cluster"
  readonly durability: Durability
  readonly bus: string
  readonly journal: string
  readonly objects: string
  readonly shards: number
}

export const healthOf = (about: About, placement: Placement) => {
  const ready = placement.isReady()
  const held = placement
    .held()
    .map(({ shard, epoch }) => ({ shard, epoch }))
    .sort((a, b) => a.shard - b.shard)
  const { shards, ...rest } = about
  return { status: ready ? "ok" : "starting", ready, ...rest, shards: { total: shards, held } }
}

export type Health = ReturnType<typeof healthOf>

export const health = (about: About, placement: Placement): Route => ({
  path: "/healthz",
  methods: {
    GET: (exchange) =>
      Effect.sync(() => {
        const told = healthOf(about, placement)
        sendJson(exchange, told.ready ? 200 : 503, told)
      })
  }
})
