/**
 * Three nodes on three nats-servers with fewer shards than nodes: one of them owns nothing, and answers all the same.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { directory } from "./child.ts"
import { launcher, type NodeProcess, nodeProcess } from "./node.ts"
import { type NatsCluster, natsCluster } from "./servers.ts"

export interface StreamNodes {
  readonly nats: NatsCluster
  /** The first owns nothing. */
  readonly nodes: ReadonlyArray<NodeProcess>
  /** The directory that their object store is. */
  readonly objects: string
  /** The data directory of one of them. */
  readonly data: string
}

/** What a NATS server has to know to trust an installation, taken from the configuration that the product prints. */
const trustOf = (installation: string): string => {
  const printed = execFileSync(launcher, ["nats-config", "--data", installation], { encoding: "utf8" })
  return printed.slice(printed.indexOf("\noperator:"))
}

/** The nodes of an installation have its secrets: they sign webhooks with one key. */
const copySecrets = (installation: string, data: string): void => {
  mkdirSync(data)
  for (const name of readdirSync(installation))
    if (/\.(seed|creds)$/.test(name)) cpSync(join(installation, name), join(data, name))
}

const settleMs = 30_000

const shared = (nodes: ReadonlyArray<NodeProcess>, shards: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function* () {
    const end = performance.now() + settleMs
    for (;;) {
      const held = yield* Effect.forEach(nodes, (node) => node.held, { concurrency: "unbounded" })
      const most = Math.ceil(shards / nodes.length)
      const counts = held.map(({ length }) => length)
      if (new Set(held.flat()).size === shards && counts.every((count) => count <= most)) return counts
      if (performance.now() > end) throw new Error(`shards are not shared out: ${JSON.stringify(held)}`)
      yield* Effect.sleep(100)
    }
  })

export const streamNodes = (more: ReadonlyArray<string> = [], shards = 2) =>
  Effect.gen(function* () {
    const base = yield* directory("stream-nodes")
    const installation = join(base, "installation")
    const nats = yield* natsCluster({ config: trustOf(installation) })
    const flags = [
      "--nats-url",
      nats.urls.join(","),
      "--objects",
      `file://${base}/objects`,
      "--shards",
      String(shards),
      ...more
    ]
    const running: Array<NodeProcess> = []
    for (const n of [1, 2, 3]) {
      const data = join(base, `node-${n}`)
      copySecrets(installation, data)
      running.push(yield* nodeProcess({ name: `node-${n}`, data, flags }))
    }
    yield* Effect.forEach(running, (node) => node.ready, { concurrency: "unbounded" })
    const counts = yield* shared(running, shards)
    const ranked = running.map((node, each) => ({ node, count: counts[each] ?? 0 }))
    const nodes = ranked.sort((a, b) => a.count - b.count).map(({ node }) => node)
    return { nats, nodes, objects: join(base, "objects"), data: join(base, "node-1") } satisfies StreamNodes
  })
