/** Appends to streams over a NATS cluster, R3 and synced, beside one message for each append to raw JetStream. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { connection } from "../../adapters/nats/connection.ts"
import { parseCreds } from "../../adapters/nats/credentials.ts"
import { directory } from "../real/child.ts"
import { launcher, type NodeProcess, nodeProcess } from "../real/node.ts"
import { find, natsCluster } from "../real/servers.ts"
import { cpuOf } from "./parts/measure.ts"
import { rate } from "./parts/rate.ts"
import { inBatches, overNats, toNothing } from "./parts/roads.ts"
import { appends, type Target } from "./streams.ts"

/** Of a new installation. */
const shards = 16
/** A node gives shards away to a new one within some heartbeats. */
const sharedSeconds = 60

const print = (line: object): void => console.log(JSON.stringify(line))
const round = (value: number): number => Number(value.toPrecision(4))

type Connection = Effect.Success<ReturnType<typeof connection>>

/** So many lanes, each with one message of 256 bytes on its way into a stream of three copies. */
const raw = async (nats: Connection, lanes: number, ms: number) => {
  const ask = (subject: string, body: object) =>
    nats.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 10_000 })
  await ask("STREAM.CREATE.RAW", { name: "RAW", subjects: ["raw.>"], num_replicas: 3, storage: "file" })
  const payload = Buffer.alloc(256, "x")
  const row = await rate({ lanes, ms }, async () => {
    const reply = await nats.request("raw.one", payload, { timeout: 10_000 })
    if (reply.string().includes('"error"')) throw new Error(reply.string())
  })
  await ask("STREAM.DELETE.RAW", {})
  const { all, ...figures } = row
  print({ bench: "publish 256 B", lanes, server: "raw JetStream R3, sync_interval always", ...figures })
  return row
}

const measured = (ms: number) =>
  Effect.gen(function* () {
    const base = yield* directory("bench-streams")
    const installation = join(base, "installation")
    const printed = execFileSync(launcher, ["nats-config", "--data", installation], { encoding: "utf8" })
    const config = printed.slice(printed.indexOf("\noperator:"))
    const { urls, servers } = yield* natsCluster({ config, sync: "always" })
    const file = join(installation, "node.creds")
    const where = ["--nats-url", urls.join(","), "--nats-creds", file, "--objects", `file://${base}/objects`]
    const flags = [...where, "--durability", "sync"]
    const started = Effect.fnUntraced(function* (name: string) {
      const node = yield* nodeProcess({ name, data: join(base, name), flags })
      yield* node.ready
      return node
    })
    const node = yield* started("one")
    const credentials = parseCreds(readFileSync(file, "utf8"))
    if (credentials === undefined) throw new Error("the installation's credentials cannot be read")
    const nats = yield* connection({ servers: [...urls], name: "bench", credentials })
    const one: Target = { name: "artifacts, R3", url: node.url, pid: node.pid() ?? 0, stop: async () => {} }
    const serversCpu = (): number => servers.reduce((sum, { pid }) => sum + cpuOf(pid() ?? 0), 0)
    const compare = (target: Target, lanes: number) =>
      Effect.promise(async () => {
        const before = serversCpu()
        const theirs = await raw(nats, lanes, ms)
        const between = serversCpu()
        const ours = await appends(target, lanes, 1, ms)
        const serversUs = round((serversCpu() - between) / ours.all)
        const theirServersUs = round((between - before) / theirs.all)
        print({
          ratios: `${target.name} / raw JetStream R3, ${lanes} in flight`,
          "appends per second": round(ours.perSecond / theirs.perSecond),
          p50: round(ours.p50 / theirs.p50),
          p99: round(ours.p99 / theirs.p99),
          "p50, ms more": round(ours.p50 - theirs.p50),
          // On processors that all share, this decides: of the client, the node and the servers together.
          "processor time": round((ours.clientUs + ours.cpuUs + serversUs) / (theirs.clientUs + theirServersUs)),
          "servers, us": [serversUs, theirServersUs]
        })
      })
    yield* compare(one, 64)
    yield* compare(one, 1)
    yield* Effect.promise(async () => {
      await toNothing(64, ms)
      const theirs = await raw(nats, 64, ms)
      const requests = await overNats(nats, one, shards, 64, ms)
      const frames = await inBatches(one, 16, ms)
      print({
        ratios: `${one.name} / raw JetStream R3, appends per second`,
        "over NATS": round(requests.perSecond / theirs.perSecond),
        "by append-batch": round(frames.perSecond / theirs.perSecond)
      })
    })
    const more = [yield* started("two"), yield* started("three")]
    yield* shared([node, ...more])
    const others = more.map(({ url, pid }) => ({ url, pid: pid() ?? 0 }))
    yield* compare({ ...one, name: "artifacts, R3, through three nodes", others }, 64)
  })

/** Each of the nodes serves some of the shards. */
const shared = (nodes: ReadonlyArray<NodeProcess>) =>
  Effect.gen(function* () {
    for (let waited = 0; waited < sharedSeconds; waited++) {
      const held = yield* Effect.forEach(nodes, (node) => node.held)
      if (held.every((shards) => shards.length > 0)) return
      yield* Effect.sleep(1_000)
    }
    throw new Error(`the shards were not shared in ${sharedSeconds} s`)
  })

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  if (find("nats") === undefined)
    return print({ bench: "streams over R3", skipped: "there is no nats-server; test/real/servers brings it" })
  await Effect.runPromise(Effect.scoped(measured(args.includes("--short") ? 1500 : 4000)))
}
