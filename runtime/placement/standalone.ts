/** A node on its own serves every shard, and needs no lease: its data directory is locked. */
import { Effect } from "effect"
import type { Ports } from "../actor/owner.ts"
import { type Hosting, type Placement, Served } from "./hosting.ts"

export const standalone = Effect.fnUntraced(function* (ports: Ports, hosting: Hosting) {
  const served = new Served()
  const all = Array.from({ length: hosting.settings.shards }, (_, shard) => shard)
  for (const shard of all) yield* served.keep(ports, hosting, shard, () => true)
  const isReady = () => all.every((shard) => served.has(shard))
  const ready = Effect.gen(function* () {
    while (!isReady()) yield* Effect.sleep(5)
  })
  return { held: () => served.held(), isReady, serving: served.of, ready } satisfies Placement
})
