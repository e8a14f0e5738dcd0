/**
 * Very many streams, of which some are written: `npm run bench -- streams-many [--streams N] [--active N] [--seconds
 * N]`.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { Pool } from "undici"
import { directory } from "../real/child.ts"
import { nodeProcess } from "../real/node.ts"

const inFlight = 64

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

  async ask(method: "PUT" | "POST" | "HEAD" | "GET", path: string, expected: number, body?: string): Promise<number> {
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

const measured = Effect.fnUntraced(function* (plan: Plan) {
  const data = join(yield* directory("streams-many"), "data")
  const flags = ["--nats", "127.0.0.1:0", "--durability", "process"]
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
  // What a node has in memory anyway, once it has begun to work.
  yield* use((client) => create(client, { ...plan, streams: 0 }))
  yield* use((client) => client.ask("PUT", "/ds/many/first", 201))
  yield* Effect.sleep(1_000)
  const empty = rssOf(node.pid())
  const createdPerSecond = yield* use((client) => create(client, plan))
  const written = yield* use((client) => write(client, plan))
  yield* Effect.promise(() => sleep(15_000))
  const grown = rssOf(node.pid()) - empty
  yield* node.kill
  yield* node.start
  yield* Effect.sleep(2_000)
  const fresh = rssOf(node.pid())
  // After the start, every partition is read by the first request that needs it.
  const cold = yield* use(async (client) => {
    const times: Array<number> = []
    for (let each = 0; each < 400; each++)
      times.push(await client.ask("GET", pathOf(plan.active + ((each * 7919) % (plan.streams - plan.active))), 200))
    return times
  })
  return {
    ...{ ...plan, createdPerSecond: Math.round(createdPerSecond), ...written },
    bytesPerStreamGrown: Math.round(grown / plan.streams),
    bytesPerStreamAfterRestart: Math.round((fresh - empty) / plan.streams),
    firstReadsMs: spread(cold.slice(0, 40)),
    laterReadsMs: spread(cold.slice(200)),
    wrong
  }
})

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      streams: { type: "string", default: "100000" },
      active: { type: "string", default: "1000" },
      seconds: { type: "string", default: "10" },
      json: { type: "boolean", default: false }
    }
  })
  const plan = { streams: Number(values.streams), active: Number(values.active), seconds: Number(values.seconds) }
  if (!(plan.streams > plan.active && plan.active >= 1 && plan.seconds >= 1))
    throw new Error("--streams has to be more than --active, and all are numbers from 1 on")
  const told = await Effect.runPromise(Effect.scoped(measured(plan)))
  console.log(JSON.stringify({ bench: "streams, very many", ...told }))
  if (Object.keys(told.wrong).length > 0) process.exitCode = 1
}
