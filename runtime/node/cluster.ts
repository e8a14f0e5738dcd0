/** What a node stands on in a cluster: NATS servers hold the bus, the logs and the leases. */
import { join } from "node:path"
import { jwtAuthenticator, type NodeConnectionOptions } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { layer as jetstreamJournal } from "../../adapters/jetstream/journal.ts"
import { layer as jetstreamRegistry } from "../../adapters/jetstream/registry.ts"
import { layer as natsBus } from "../../adapters/nats/bus.ts"
import { type Creds, parseCreds, readUserJwt } from "../../adapters/nats/credentials.ts"
import { Bus } from "../ports/bus.ts"
import { Journal } from "../ports/journal.ts"
import { Registry } from "../ports/registry.ts"
import { belongs, type Memory } from "./belonging.ts"
import { type DataDir, writeShards } from "./datadir.ts"
import { CannotStart } from "./fault.ts"
import { readText } from "./files.ts"
import { type Ground, inWords, stores } from "./ground.ts"
import type { UpOptions } from "./options.ts"
import { nodeCreds } from "./secrets.ts"

const credentials = (options: UpOptions): Effect.Effect<Creds, CannotStart> =>
  Effect.suspend(() => {
    const file = options.natsCreds ?? join(options.data, nodeCreds)
    const text = readText(file)
    if (text === undefined) return Effect.fail(new CannotStart({ why: `there is no credentials file ${file}` }))
    const creds = parseCreds(text)
    if (creds !== undefined) return Effect.succeed(creds)
    return Effect.fail(new CannotStart({ why: `${file} is no credentials file: it needs a user JWT and a seed` }))
  })

const installation = "installation"
const storeRecord = "store"

/**
 * The number of shards is the installation's: the first node writes it down, and every other one takes it from there.
 */
const agreeOnShards = Effect.fnUntraced(function* (registry: Registry["Service"], options: UpOptions, data: DataDir) {
  const found = yield* registry.write(installation, JSON.stringify({ shards: data.shards }), 0).pipe(
    Effect.as(undefined),
    Effect.catchTag("RegistryConflict", () =>
      Effect.map(registry.all, (records) => records.find((record) => record.key === installation)?.value)
    ),
    Effect.mapError(inWords("the registry of the cluster cannot be used"))
  )
  if (found === undefined) return data.shards
  const { shards } = JSON.parse(found) as { readonly shards: number }
  if (shards === data.shards) return shards
  if (data.isNew && options.shards === undefined) {
    writeShards(data.path, shards)
    return shards
  }
  return yield* new CannotStart({
    why: `the cluster has ${shards} shards, and ${data.path} was made with ${data.shards}`,
    next: "choose a new directory with --data, without --shards: a node takes the number from its cluster"
  })
})

/** The account that signed a node's credentials is the same for all nodes of an installation. */
const installationOf = (creds: Creds): Effect.Effect<string, CannotStart> => {
  const claims = readUserJwt(creds.jwt)
  if (claims !== undefined) return Effect.succeed(claims.nats.issuer_account ?? claims.iss)
  return Effect.fail(new CannotStart({ why: "the credentials of the node hold a JWT that is damaged" }))
}

/** Remembers for all nodes together. */
const storeMemory = (registry: Registry["Service"], place: string): Memory => {
  const unusable = Effect.mapError(inWords("the registry of the cluster cannot be used"))
  return {
    hasStore: registry.all.pipe(
      Effect.map((records) => records.some(({ key }) => key === storeRecord)),
      unusable
    ),
    keep: registry.write(storeRecord, JSON.stringify({ place }), 0).pipe(
      Effect.asVoid,
      Effect.catchTag("RegistryConflict", () => Effect.void),
      unusable
    )
  }
}

/** Addresses may hold a name and a password; they are not for logs. */
const shownUrl = (url: string): string => url.replaceAll(/\/\/[^/@,]*@/g, "//")

const connectionTo = (servers: ReadonlyArray<string>, creds: Creds, name: string): NodeConnectionOptions => ({
  servers: [...servers],
  name,
  authenticator: jwtAuthenticator(creds.jwt, new TextEncoder().encode(creds.seed))
})

export const clusterGround = Effect.fnUntraced(function* (options: UpOptions, data: DataDir, url: string) {
  if (options.objects === undefined)
    return yield* new CannotStart({
      why: "the nodes of a cluster share one object store, and none was named",
      next: "say --objects s3://BUCKET/PREFIX, or file:///DIRECTORY on a file system that all of them see"
    })
  const creds = yield* credentials(options)
  const servers = url.split(",")
  const unreachable = inWords(
    `the NATS servers ${shownUrl(url)} cannot be used`,
    "look at the address, and at whether the servers trust this installation: artifacts nats-config"
  )
  const replicas = options.replicas === 1 ? 1 : 3
  const connection = connectionTo(servers, creds, `artifacts ${options.node}`)
  const kept = yield* stores(options.objects)
  const logs = yield* Layer.build(
    Layer.merge(
      jetstreamJournal({ connection, replicas, syncAlways: options.durability === "sync" }),
      jetstreamRegistry({ connection, replicas })
    )
  ).pipe(Effect.mapError(unreachable))
  const journal = Context.get(logs, Journal)
  const registry = Context.get(logs, Registry)
  // Last: it comes back by itself whatever a server says, and would wait for ever for one that does not know it.
  const bus = yield* Layer.build(natsBus({ servers, name: `artifacts ${options.node}`, credentials: creds })).pipe(
    Effect.mapError(unreachable)
  )
  const shards = yield* agreeOnShards(registry, options, data)
  yield* belongs(kept.objects, yield* installationOf(creds), storeMemory(registry, kept.objects.place))
  if (journal.durability === "replicated" || journal.durability === "process")
    yield* Effect.logWarning(
      "it is not known that the NATS servers flush before they acknowledge (sync_interval: always): a power cut may cost" +
        " what was acknowledged in the last minute; when they do, say so with --durability sync"
    )
  const ground: Ground = {
    mode: "cluster",
    shards,
    bus: Context.get(bus, Bus),
    busUrl: shownUrl(url),
    journal,
    journalPlace: `JetStream, ${replicas === 1 ? "one copy" : `${replicas} copies`} of ${shards} streams ART_LOG_*`,
    registry,
    ...kept,
    gauges: () => []
  }
  return ground
})
