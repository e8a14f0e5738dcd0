/** Nodes of the product on three nats-servers, under load, and what can happen to each of them. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { connect, jwtAuthenticator, type NodeConnectionOptions } from "@nats-io/transport-node"
import { Context, Effect, Layer, References, type Scope } from "effect"
import { layer as jetstreamJournal } from "../../adapters/jetstream/journal.ts"
import { parseCreds } from "../../adapters/nats/credentials.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { directory, type ServerFailed } from "./child.ts"
import { type Load, load } from "./load.ts"
import { complaints, launcher, type NodeProcess, nodeProcess } from "./node.ts"
import { askedFor, readFor, type Verdict, verdictOf } from "./promises.ts"
import { type NatsCluster, type NatsServer, natsCluster } from "./servers.ts"

const shards = 8

/** How long after a harm everybody has to be answered again, and how long is looked on after that. */
const healMs = 30_000
const lookMs = 3_000
/** Two leases: whoever sleeps so long is surely declared dead. */
const frozenMs = 8_000
const outageMs = 1_000

export const harms = ["node kill", "node stop", "node freeze", "nats kill", "nats stop", "nats outage"] as const
export type Harm = (typeof harms)[number]

export interface Harmed {
  readonly harm: Harm
  /** The longest time without an acknowledged write that any organisation saw after it, until all was well. */
  readonly gapMs: number
  /** The same for when the harmed process came back. */
  readonly returnGapMs: number
  /** How long the process took to end, where it was asked to. */
  readonly endMs: number
}

export interface ClusterVerdict extends Verdict {
  readonly harmed: ReadonlyArray<Harmed>
  readonly complaints: ReadonlyArray<string>
}

interface Cluster {
  readonly nats: NatsCluster
  readonly nodes: ReadonlyArray<NodeProcess>
  readonly load: Load
  readonly connection: NodeConnectionOptions
}

/** What a NATS server has to know to trust an installation, taken from the configuration that the product prints. */
const trustOf = (installation: string): string => {
  const args = ["nats-config", "--data", installation]
  const printed = execFileSync(launcher, args, { encoding: "utf8" })
  return printed.slice(printed.indexOf("\noperator:"))
}

const started = (nodes: number) =>
  Effect.gen(function* () {
    const base = yield* directory("cluster")
    const installation = join(base, "installation")
    const nats = yield* natsCluster({ config: trustOf(installation) })
    const creds = join(installation, "node.creds")
    const where = ["--nats-url", nats.urls.join(","), "--nats-creds", creds, "--objects", `file://${base}/objects`]
    const flags = [...where, "--durability", "sync", "--shards", String(shards)]
    const running: Array<NodeProcess> = []
    for (let n = 1; n <= nodes; n++) {
      running.push(yield* nodeProcess({ name: `node-${n}`, data: join(base, `node-${n}`), flags }))
    }
    yield* Effect.forEach(running, (node) => node.ready, { concurrency: "unbounded" })
    yield* settled(running)
    const made = yield* Effect.orDie(
      load({
        servers: nats.urls,
        creds: join(installation, "admin.creds"),
        shards,
        clients: 2,
        organisations: shards,
        paceMs: 20
      })
    )
    const parsed = parseCreds(readFileSync(creds, "utf8")) ?? { jwt: "", seed: "" }
    const authenticator = jwtAuthenticator(parsed.jwt, new TextEncoder().encode(parsed.seed))
    return { nats, nodes: running, load: made, connection: { servers: [...nats.urls], authenticator } } as Cluster
  })

/** Every shard is served, and every running node has its share. */
const settled = (nodes: ReadonlyArray<NodeProcess>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const end = performance.now() + healMs
    for (;;) {
      const held = yield* Effect.forEach(nodes, (node) => node.held, { concurrency: "unbounded" })
      const most = Math.ceil(shards / nodes.length)
      if (new Set(held.flat()).size === shards && held.every(({ length }) => length > 0 && length <= most)) return
      if (performance.now() > end) throw new Error(`shards are not shared out: ${JSON.stringify(held)}`)
      yield* Effect.sleep(100)
    }
  })

/** Waits until every organisation is answered again, looks on for a while, and gives the longest gap since. */
const gapSince = Effect.fnUntraced(function* ({ load: { promises }, nodes }: Cluster, from: number) {
  const now = performance.now()
  while (!promises.allSince(now)) {
    if (performance.now() > now + healMs) {
      const logs = nodes.map((node) => `${node.name}:\n${node.log().slice(-1500)}`).join("\n")
      throw new Error(`somebody has had no answer for ${healMs} ms\n${logs}`)
    }
    yield* Effect.sleep(20)
  }
  yield* Effect.sleep(lookMs)
  return promises.gapMs(from, performance.now())
})

/** The server that leads the stream of a shard. */
const leaderOf = ({ nats, connection }: Cluster, shard: number): Effect.Effect<NatsServer> =>
  Effect.promise(async () => {
    const asking = await connect(connection)
    try {
      const answer = await asking.request(`$JS.API.STREAM.INFO.ART_LOG_${shard}`, "", { timeout: 5_000 })
      const { cluster } = answer.json<{ readonly cluster?: { readonly leader?: string } }>()
      const leader = nats.servers.find((server) => server.name.endsWith(` ${cluster?.leader}`))
      if (leader === undefined) throw new Error(`no server is called ${cluster?.leader}`)
      return leader
    } finally {
      await asking.close()
    }
  })

const ownerOf = Effect.fnUntraced(function* ({ nodes }: Cluster, shard: number) {
  for (const node of nodes) if ((yield* node.held).includes(shard)) return node
  throw new Error(`nobody serves shard ${shard}`)
})

const frozen = (node: NodeProcess) =>
  node.signal("SIGSTOP").pipe(Effect.andThen(Effect.sleep(frozenMs)), Effect.ensuring(node.signal("SIGCONT")))

/** All servers at once, and all of them back: nobody is left who remembers, but for the disks. */
const outage = ({ nats: { servers } }: Cluster) =>
  Effect.gen(function* () {
    yield* Effect.forEach(servers, (server) => server.kill, { concurrency: "unbounded" })
    yield* Effect.sleep(outageMs)
    yield* Effect.forEach(servers, (server) => server.start, { concurrency: "unbounded" })
  })

const harmedBy = (cluster: Cluster, harm: Harm) =>
  Effect.gen(function* () {
    const [shard = 0] = cluster.load.orgs.values()
    const [who, how] = harm.split(" ")
    const victim = who === "node" ? yield* ownerOf(cluster, shard) : yield* leaderOf(cluster, shard)
    const from = performance.now()
    if (how === "freeze") yield* frozen(victim as NodeProcess)
    else if (how === "outage") yield* outage(cluster)
    else yield* how === "kill" ? victim.kill : victim.stop
    const endMs = Math.round(performance.now() - from)
    const gapMs = yield* gapSince(cluster, from)
    const back = performance.now()
    if (victim.pid() === undefined) yield* victim.start
    const returnGapMs = yield* gapSince(cluster, back)
    yield* settled(cluster.nodes)
    return { harm, gapMs, returnGapMs, endMs } satisfies Harmed
  })

const readBack = ({ connection, load: { orgs, promises } }: Cluster) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(jetstreamJournal({ connection, replicas: 3 }))
    return yield* readFor(Context.get(context, Journal), orgs, promises)
  }).pipe(Effect.scoped, Effect.orDie)

/** Does each of these harms once, in order, and looks for everything that was acknowledged. */
export const harmed = (
  list: ReadonlyArray<Harm>,
  nodes: number,
  told: (harmed: Harmed) => void
): Effect.Effect<ClusterVerdict, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const cluster: Cluster = yield* started(nodes)
    const { promises, orgs, client, stop } = cluster.load
    const all: Array<Harmed> = []
    for (const harm of list) {
      yield* Effect.sleep(1_000)
      const one = yield* harmedBy(cluster, harm)
      told(one)
      all.push(one)
    }
    yield* stop
    const asked = yield* Effect.orDie(askedFor(client, promises, [...orgs.keys()]))
    yield* Effect.forEach(cluster.nodes, (node) => node.stop, { concurrency: "unbounded" })
    const verdict = verdictOf(promises, asked, yield* readBack(cluster))
    return { ...verdict, harmed: all, complaints: cluster.nodes.flatMap((node) => complaints(node.log())) }
    // That connections come and go is what is asked for here, and nothing to tell.
  }).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))
