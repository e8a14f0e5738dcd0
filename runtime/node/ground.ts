/** What a node stands on: bus, journal and stores, from its own directory or from a NATS cluster. */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import type { Authority } from "../../adapters/nats/broker/admission.ts"
import { type Broker, broker, type CannotListen } from "../../adapters/nats/broker/broker.ts"
import { layer as sqliteJournal } from "../../adapters/sqlite/journal.ts"
import type { Gauge } from "../http/metrics.ts"
import { reachedAt } from "../http/server.ts"
import type { Bus } from "../ports/bus.ts"
import { Journal } from "../ports/journal.ts"
import { Objects, StoreDown } from "../ports/objects.ts"
import type { Registry } from "../ports/registry.ts"
import { Snapshots } from "../ports/snapshots.ts"
import { probe } from "../probe.ts"
import { layer as snapshotsOver } from "../snapshots.ts"
import { belongs } from "./belonging.ts"
import { type DataDir, hasStore, keepStore } from "./datadir.ts"
import { CannotStart } from "./fault.ts"
import { listenAt } from "./listen.ts"
import { addressText, type UpOptions } from "./options.ts"
import { objectsAt } from "./store.ts"

export interface Ground {
  readonly mode: "standalone" | "cluster"
  /** The installation's number of shards. */
  readonly shards: number
  readonly bus: Bus["Service"]
  readonly busUrl: string
  readonly journal: Journal["Service"]
  /** Where the journal is, for a person. */
  readonly journalPlace: string
  readonly objects: Objects["Service"]
  readonly snapshots: Snapshots["Service"]
  /** Where nodes of a cluster find their leases. */
  readonly registry?: Registry["Service"]
  readonly gauges: () => ReadonlyArray<Gauge>
  /** Closes the connections of this caller, where the broker is the node's own. */
  readonly drop?: (caller: string) => void
}

/** What of a layer's failure is of use to whoever starts a node. */
export const inWords = (what: string, next?: string) => (error: { readonly _tag: string; readonly why: string }) =>
  new CannotStart({ why: `${what}: ${error.why}`, ...(next === undefined ? {} : { next }) })

/** A store that is away is tried for longer than a start should take. */
const probeMs = 8_000

const slow = (key: string) => new StoreDown({ operation: "probe", key, why: `no answer in ${probeMs} ms` })

/** A store that refuses us now will do so later, which ends the start. One that is away may come back. */
const probed = (objects: Objects["Service"]): Effect.Effect<void, CannotStart> =>
  probe(objects).pipe(
    Effect.timeoutOrElse({ duration: probeMs, orElse: () => Effect.fail(slow(objects.place)) }),
    Effect.catchTags({
      StoreRefused: ({ why }) =>
        Effect.fail(new CannotStart({ why: `the object store ${objects.place} refuses: ${why}`, next: storeHint })),
      StoreDown: (error) =>
        Effect.logWarning(`the object store ${objects.place} is away; what needs a snapshot waits for it`, error)
    })
  )

const storeHint = "look at --objects, and at the credentials in the environment or the profile of this process"

export const stores = Effect.fnUntraced(function* (place: string) {
  const layer = yield* objectsAt(place)
  const context = yield* Layer.build(snapshotsOver({ prefix: "system/" }).pipe(Layer.provideMerge(layer))).pipe(
    Effect.mapError(inWords(`the object store ${place.replace(/\?.*/, "")} cannot be used`, storeHint))
  )
  const objects = Context.get(context, Objects)
  yield* probed(objects)
  return { objects, snapshots: Context.get(context, Snapshots) }
})

const brokerGauges = (made: Broker) => (): ReadonlyArray<Gauge> => {
  const told = made.counters()
  const counter = (name: string, help: string, value: number): Gauge => ({ name, help, type: "counter", value })
  return [
    { name: "artifacts_broker_connections", help: "Connections to the broker", type: "gauge", value: told.connections },
    {
      name: "artifacts_broker_subscriptions",
      help: "Subscriptions at the broker",
      type: "gauge",
      value: told.subscriptions
    },
    counter("artifacts_broker_connections_total", "Connections that the broker took", told.connectionsTotal),
    counter("artifacts_broker_messages_in_total", "Messages that came to the broker", told.messagesIn),
    counter("artifacts_broker_messages_out_total", "Messages that the broker delivered", told.messagesOut),
    counter("artifacts_broker_bytes_in_total", "Bytes that came to the broker", told.bytesIn),
    counter("artifacts_broker_bytes_out_total", "Bytes that the broker delivered", told.bytesOut),
    counter("artifacts_broker_slow_consumers_total", "Connections cut off for not reading", told.slowConsumers),
    counter("artifacts_broker_stale_connections_total", "Connections cut off for not answering", told.staleConnections)
  ]
}

/** A broker, a journal and a store of this node's own. */
export const ownGround = Effect.fnUntraced(function* (options: UpOptions, data: DataDir, authority: Authority) {
  const kept = yield* stores(options.objects ?? join(options.data, "objects"))
  yield* belongs(kept.objects, data.secrets.account.publicKey, {
    hasStore: Effect.sync(() => hasStore(data.path)),
    keep: Effect.sync(() => keepStore(data.path, kept.objects.place))
  })
  const file = join(options.data, "journal.sqlite")
  const context = yield* Layer.build(sqliteJournal({ file, durability: options.durability ?? "sync" })).pipe(
    Effect.mapError(inWords(`the journal ${file} cannot be opened`))
  )
  const { host } = options.nats
  const made = yield* listenAt<Broker, CannotListen>("the broker", "--nats", options.nats, (port) =>
    broker({ host, port, authority })
  )
  const ground: Ground = {
    mode: "standalone",
    shards: data.shards,
    bus: made.bus,
    busUrl: `nats://${addressText({ host: reachedAt(made.host), port: made.port })}`,
    journal: Context.get(context, Journal),
    journalPlace: file,
    ...kept,
    gauges: brokerGauges(made),
    drop: made.drop
  }
  return ground
})
