/** Streams whose owner is killed again and again under idempotent producers, on a node alone and in a cluster. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { directory, type ServerFailed } from "./child.ts"
import { complaints, type NodeProcess, nodeProcess } from "./node.ts"
import { type StreamVerdict, streamLoad } from "./streams-load.ts"
import { streamNodes } from "./streams-nodes.ts"

export interface Killing {
  readonly kills: number
  readonly everyMs: number
  /** Small enough that segments are written meanwhile. */
  readonly hotBytes?: number
}

export interface Killed extends StreamVerdict {
  readonly kills: number
  /** Objects with segments that there were in the end. */
  readonly segments: number
  readonly complaints: ReadonlyArray<string>
}

const healMs = 30_000
const load = { streams: 6, producers: 3, readers: 1 }

const hot = ({ hotBytes }: Killing) => (hotBytes === undefined ? [] : ["--stream-hot-bytes", String(hotBytes)])

interface Victims {
  readonly objects: string
  readonly urls: ReadonlyArray<string>
  readonly nodes: ReadonlyArray<NodeProcess>
  /** Who is to be killed next. */
  readonly next: Effect.Effect<NodeProcess>
}

const killing = Effect.fnUntraced(function* ({ objects, urls, nodes, next }: Victims, { kills, everyMs }: Killing) {
  const running = yield* streamLoad({ ...load, urls })
  const harms: Array<number> = []
  for (let kill = 0; kill < kills; kill++) {
    yield* Effect.sleep(everyMs * (0.75 + Math.random() / 2))
    const node = yield* next
    const at = performance.now()
    harms.push(at)
    yield* node.kill
    yield* node.start
    while (!running.allSince(at)) {
      if (performance.now() > at + healMs) throw new Error(`no append since ${healMs} ms:\n${node.log().slice(-2000)}`)
      yield* Effect.sleep(20)
    }
  }
  yield* Effect.sleep(everyMs / 2)
  const verdict = yield* running.finish(harms)
  const segments = readdirSync(objects, { recursive: true }).filter((name) => String(name).includes("segments/")).length
  return { kills, ...verdict, segments, complaints: nodes.flatMap(complained) } satisfies Killed
})

/** A node that comes back before its shards do says so. */
const complained = (node: NodeProcess): ReadonlyArray<string> =>
  complaints(node.log()).filter((line) => !line.includes("not every shard is served yet"))

export const killedAlone = (options: Killing): Effect.Effect<Killed, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const data = join(yield* directory("streams-kills"), "data")
    const flags = ["--nats", "127.0.0.1:0", "--shards", "4", ...hot(options)]
    const node = yield* nodeProcess({ name: "streams", data, flags })
    yield* node.ready
    return yield* killing(
      { objects: join(data, "objects"), urls: [node.url], nodes: [node], next: Effect.succeed(node) },
      options
    )
  })

/** It is an owner that is killed, whose shards another node takes; all nodes are asked in turns. */
export const killedInCluster = (options: Killing): Effect.Effect<Killed, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { nodes, objects } = yield* streamNodes(hot(options), 4)
    const next = Effect.gen(function* () {
      for (;;) {
        const held = yield* Effect.forEach(nodes, (node) => node.held)
        const owners = nodes.filter((_, each) => (held[each]?.length ?? 0) > 0)
        const owner = owners[Math.floor(Math.random() * owners.length)]
        if (owner !== undefined) return owner
        yield* Effect.sleep(50)
      }
    })
    return yield* killing({ objects, urls: nodes.map(({ url }) => url), nodes, next }, options)
  })
