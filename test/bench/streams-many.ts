/**
 * Very many streams, of which some are written: `npm run bench -- streams-many [--streams N] [--active N] [--seconds N]
 * [--rounds N]`.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { Pool } from "undici"
import { partitionOf } from "../../messages/stream.ts"
import { directory } from "../real/child.ts"
import { nodeProcess } from "../real/node.ts"

const inFlight = 64
const shards = 16

/** What of a process is in memory, in bytes. */
const rssOf = (pid: number | undefined): number => {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Number(kilobytes) * 1024
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const spread = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2))
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

class Client {
  readonly wrong = new Map<string, number>()
  private readonly pool: Pool

  constructor(url: string) {
    this.pool = new Pool(url, { connections: inFlight })
  }

  async ask(
    method: "PUT" | "POST" | "HEAD" | "GET" | "DELETE",
    path: string,
    expected: number,
    body?: string
  ): Promise<number> {
    const began = performance.now()
    const headers = { "content-type": "text/plain" }
    const { statusCode, body: answer } = await this.pool.request({ method, path, headers, ...(body && { body }) })
    await answer.dump()
    if (statusCode !== expected) {
      const name = `${method} ${statusCode}`
      this.wrong.set(name, (this.wrong.get(name) ?? 0) + 1)
    }
    return performance.now() - began
  }

  /** So many in flight, until there is nothing more to be done. */
  async all(next: () => (() => Promise<unknown>) | undefined): Promise<void> {
    const lane = async (): Promise<void> => {
      for (let work = next(); work !== undefined; work = next()) await work()
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
  }

  close(): Promise<void> {
    return this.pool.close()
  }
}

const pathOf = (stream: number): string => `/ds/many/stream-${stream}`

interface Plan {
  readonly streams: number
  readonly active: number
  readonly seconds: number
  /** How often each partition is woken. */
  readonly rounds: number
}

/** As much as a bench of some seconds: the heap and the caches of a node have their usual size then. */
const warm = async (client: Client): Promise<void> => {
  const paths = Array.from({ length: 2000 }, (_, stream) => `/ds/warm/stream-${stream}`)
  for (const method of ["PUT", "POST", "GET", "DELETE"] as const) {
    let done = 0
    const expected = { PUT: 201, POST: 204, GET: 200, DELETE: 204 }[method]
    await client.all(() => {
      const path = paths[done++]
      const body = method === "PUT" || method === "POST" ? "w".repeat(64) : undefined
      return path === undefined ? undefined : () => client.ask(method, path, expected, body)
    })
  }
}

const create = async (client: Client, { streams }: Plan): Promise<number> => {
  let made = 0
  const began = performance.now()
  await client.all(() => {
    if (made === streams) return undefined
    const path = pathOf(made++)
    return () => client.ask("PUT", path, 201, "x".repeat(64))
  })
  return streams / ((performance.now() - began) / 1000)
}

/** Appends to the active ones; each hundredth request looks at an idle one. */
const write = async (client: Client, { streams, active, seconds }: Plan) => {
  const end = performance.now() + seconds * 1000
  const times: Array<number> = []
  let count = 0
  await client.all(() => {
    if (performance.now() > end) return undefined
    const turn = count++
    if (turn % 100 === 0) return () => client.ask("HEAD", pathOf(active + (turn % (streams - active))), 200)
    return async () => times.push(await client.ask("POST", pathOf(turn % active), 204, "y".repeat(256)))
  })
  return { appendsPerSecond: Math.round(times.length / seconds), ms: spread(times) }
}

/** What a node tells of itself. */
const gauges = async (url: string) => {
  const text = await (await fetch(`${url}/metrics`)).text()
  const of = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1] ?? Number.NaN)
  return { actors: of("artifacts_actors"), heap: of("nodejs_heap_used_bytes"), cpu: of("process_cpu_seconds_total") }
}

/** Until no actor is in memory any more. */
const rested = async (url: string): Promise<void> => {
  for (const end = performance.now() + 60_000; (await gauges(url)).actors > 0; await sleep(200))
    if (performance.now() > end) throw new Error("the node does not come to rest")
}

/** The first request to each partition while it rests, in turns a read and an append. */
const wake = async (client: Client, url: string, { streams, rounds }: Plan) => {
  let cpuMs = 0
  const times: { readonly read: Array<number>; readonly append: Array<number> } = { read: [], append: [] }
  for (let round = 0; round < rounds; round++) {
    await rested(url)
    await sleep(500)
    const { cpu } = await gauges(url)
    const waiting = new Set(Array.from({ length: shards }, (_, partition) => partition))
    for (let stream = round * 1009; waiting.size > 0; stream += 13) {
      const path = pathOf(stream % streams)
      if (!waiting.delete(partitionOf(path.slice("/ds/".length), shards))) continue
      if (round % 2 === 0) times.read.push(await client.ask("GET", path, 200))
      else times.append.push(await client.ask("POST", path, 204, "z".repeat(64)))
    }
    cpuMs += ((await gauges(url)).cpu - cpu) * 1000
  }
  const all = [...times.read, ...times.append]
  const cpuMsEach = Number((cpuMs / all.length).toFixed(2))
  return { read: spread(times.read), append: spread(times.append), all: spread(all), cpuMsEach }
}

const measured = Effect.fnUntraced(function* (plan: Plan) {
  const data = join(yield* directory("streams-many"), "data")
  const flags = ["--nats", "127.0.0.1:0", "--durability", "process", "--idle-ms", "3000", "--shards", String(shards)]
  const node = yield* nodeProcess({ name: "many", data, flags })
  yield* node.ready
  const wrong: Record<string, number> = {}
  const use = <A>(work: (client: Client) => Promise<A>) =>
    Effect.promise(async () => {
      const client = new Client(node.url)
      const result = await work(client)
      await client.close()
      for (const [name, times] of client.wrong) wrong[name] = (wrong[name] ?? 0) + times
      return result
    })
  const memory = () => Effect.promise(async () => ({ rss: rssOf(node.pid()), heap: (await gauges(node.url)).heap }))
  // What a node has in memory anyway, once it has worked for a while: these streams are gone again.
  yield* use((client) => warm(client))
  yield* Effect.sleep(10_000)
  const empty = yield* memory()
  const per = ({ rss, heap }: { readonly rss: number; readonly heap: number }) => ({
    rss: Math.round((rss - empty.rss) / plan.streams),
    heap: Math.round((heap - empty.heap) / plan.streams)
  })
  const createdPerSecond = yield* use((client) => create(client, plan))
  const written = yield* use((client) => write(client, plan))
  // The active ones go on a little, so that their partitions stay in memory while the collector does its work.
  const busy = yield* use(async (client) => {
    const end = performance.now() + 15_000
    for (let turn = 0; performance.now() < end; turn++) {
      await client.ask("POST", pathOf(turn % plan.active), 204, "y".repeat(16))
      await sleep(10)
    }
    return { rss: rssOf(node.pid()), heap: (await gauges(node.url)).heap }
  })
  const wakeMs = yield* use((client) => wake(client, node.url, plan))
  yield* Effect.promise(() => rested(node.url))
  yield* Effect.sleep(25_000)
  const resting = yield* memory()
  yield* node.kill
  yield* node.start
  // It has read each partition once, for their subscriptions, and has come to rest.
  yield* Effect.sleep(12_000)
  const fresh = yield* memory()
  return {
    ...{ ...plan, createdPerSecond: Math.round(createdPerSecond), ...written },
    emptyMb: { rss: Math.round(empty.rss / 1e6), heap: Math.round(empty.heap / 1e6) },
    bytesPerStream: { active: per(busy), resting: per(resting), restarted: per(fresh) },
    ...{ wakeMs, wrong }
  }
})

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      streams: { type: "string", default: "100000" },
      active: { type: "string", default: "1000" },
      seconds: { type: "string", default: "10" },
      rounds: { type: "string", default: "8" },
      json: { type: "boolean", default: false }
    }
  })
  const of = (name: "streams" | "active" | "seconds" | "rounds") => Number(values[name])
  const plan = { streams: of("streams"), active: of("active"), seconds: of("seconds"), rounds: of("rounds") }
  if (!(plan.streams > plan.active && plan.active >= 1 && plan.seconds >= 1))
    throw new Error("--streams has to be more than --active, and all are numbers from 1 on")
  const told = await Effect.runPromise(Effect.scoped(measured(plan)))
  console.log(JSON.stringify({ bench: "streams, very many", ...told }))
  if (Object.keys(told.wrong).length > 0) process.exitCode = 1
}
