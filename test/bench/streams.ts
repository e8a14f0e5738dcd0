/** Streams in figures: appends, event streams and catch-up reads over HTTP, beside the reference server. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { createInterface } from "node:readline"
import { Pool } from "undici"
import { launcher } from "../real/node.ts"
import { batches } from "./parts/batches.ts"
import { catchUps } from "./parts/history.ts"
import { Lane } from "./parts/lane.ts"
import { eventStreams } from "./parts/listening.ts"
import { cpuOf, quantile, round } from "./parts/measure.ts"
import { warmCount } from "./parts/rate.ts"
import { ursula } from "./parts/ursula.ts"

export interface Target {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly stop: () => Promise<void>
  /** Several nodes of one cluster, over which the lanes are spread. */
  readonly others?: ReadonlyArray<{ readonly url: string; readonly pid: number }>
  /** Where its streams are. */
  readonly under?: string
}

const print = (line: object): void => console.log(JSON.stringify(line))
const directories: Array<string> = []

const directory = (): string => {
  const made = mkdtempSync(join(tmpdir(), "artifacts-bench-"))
  directories.push(made)
  return made
}

const stopper = (child: ChildProcess) => async (): Promise<void> => {
  child.kill("SIGTERM")
  if (child.exitCode === null) await once(child, "exit")
}

/** The first line on a process's standard output that begins so. */
const firstLine = (child: ChildProcess, start: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
    lines.on("line", (line) => {
      if (line.startsWith(start)) resolve(line)
    })
    child.once("exit", () => reject(new Error("the server ended before it was up")))
  })

const ours = async (durability: "sync" | "process"): Promise<Target> => {
  const flags = ["up", "--data", directory(), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--json"]
  const child = spawn(launcher, [...flags, "--durability", durability], { stdio: ["ignore", "pipe", "ignore"] })
  const { http } = JSON.parse(await firstLine(child, "{")) as { readonly http: string }
  return { name: `artifacts, ${durability}`, url: http, pid: child.pid ?? 0, stop: stopper(child) }
}

/** The reference server, from wherever DURABLE_STREAMS_SERVER says that its package lies. */
const reference = async (place: string, mode: "memory" | "file"): Promise<Target> => {
  const data = mode === "file" ? `, dataDir: ${JSON.stringify(directory())}` : ""
  const program = `
    const { DurableStreamTestServer } = await import(${JSON.stringify(join(place, "dist/index.js"))})
    const server = new DurableStreamTestServer({ port: 0, host: "127.0.0.1"${data} })
    console.log("at " + (await server.start()))`
  const args = ["--input-type=module", "-e", program]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] })
  const url = (await firstLine(child, "at ")).slice("at ".length)
  return { name: `reference, ${mode}`, url, pid: child.pid ?? 0, stop: stopper(child) }
}

/** Bytes that are ready, written to sockets: what is measured of it is the machine, and the client. */
const bare = async (): Promise<Target> => {
  const program = join(import.meta.dirname, "parts/bare.ts")
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "ignore"] })
  const url = (await firstLine(child, "at ")).slice("at ".length)
  return { name: "bare sockets", url, pid: child.pid ?? 0, stop: stopper(child) }
}

const body = "x".repeat(256)
let streams = 0

const newStream = async (pool: Pool, under = "/v1/stream/", type = "text/plain"): Promise<string> => {
  streams += 1
  const path = `${under}bench-${process.pid}-${streams}`
  const { statusCode, body: answer } = await pool.request({ path, method: "PUT", headers: { "content-type": type } })
  await answer.dump()
  if (statusCode !== 201) throw new Error(`a stream was not made: ${statusCode}`)
  return path
}

const warmMsMax = 15_000

/** So many lanes, each with one append under way at a time, for so long. */
export const appends = async (target: Target, lanes: number, streamCount: number, ms: number) => {
  const { name, url, under, others = [] } = target
  const nodes = [target, ...others]
  const cpuAll = (): number => nodes.reduce((sum, { pid }) => sum + cpuOf(pid), 0)
  const pool = new Pool(url, { connections: 4 })
  const paths = await Promise.all(Array.from({ length: streamCount }, () => newStream(pool, under)))
  await pool.close()
  const open = Array.from({ length: lanes }, (_, index) => new Lane(nodes[index % nodes.length]?.url ?? url))
  const times: Array<number> = []
  let wrong = 0
  let all = 0
  const run = async (lane: Lane, path: string, until: number): Promise<void> => {
    const request = lane.post(path, "text/plain", body)
    while (performance.now() < until && times.length < most) {
      const from = performance.now()
      const { status } = await lane.send(request)
      times.push(performance.now() - from)
      all += 1
      if (status !== 204 && status !== 200) wrong += 1
    }
  }
  const runAll = (until: number) =>
    Promise.all(open.map((lane, index) => run(lane, paths[index % streamCount] as string, until)))
  let most = warmCount(lanes)
  await runAll(performance.now() + warmMsMax)
  times.length = 0
  most = Number.POSITIVE_INFINITY
  const cpu = cpuAll()
  const own = process.cpuUsage()
  const from = performance.now()
  await runAll(from + ms)
  const cpuUs = round((cpuAll() - cpu) / times.length)
  const { user, system } = process.cpuUsage(own)
  const seconds = (performance.now() - from) / 1000
  for (const lane of open) lane.close()
  times.sort((a, b) => a - b)
  const figures = { perSecond: round(times.length / seconds), p50: round(quantile(times, 0.5)) }
  const row = {
    ...figures,
    p99: round(quantile(times, 0.99)),
    cpuUs,
    clientUs: round((user + system) / times.length),
    wrong
  }
  print({ bench: "append 256 B", lanes, streams: streamCount, server: name, ...row })
  return { ...row, all }
}

/** What is read of a server. */
const readings = async (target: Target, isQuick: boolean) => ({
  live: await eventStreams(target, 500, 0, 40),
  fresh: await eventStreams(target, 100, 0, 40),
  old: await eventStreams(target, 100, 20_000, 40),
  // A store that takes its time for each append would be written for minutes.
  reads: await catchUps(target, isQuick, 32, 3)
})

const measure = async (target: Target, ms: number) => {
  const one = await appends(target, 1, 1, ms)
  const many = await appends(target, 64, 1, ms)
  const wide = await appends(target, 64, 64, ms)
  const json = await batches(target, 16, ms)
  return { one, many, wide, json, ...(await readings(target, many.perSecond > 1000)) }
}

type Measured = Awaited<ReturnType<typeof measure>>
type Readings = Awaited<ReturnType<typeof readings>>

type RatiosOf<A> = (mine: A, theirs: A) => object

const liveRatios: RatiosOf<Readings["live"]> = (mine, theirs) => ({
  "p99 of 500 subscribers": round(mine.p99 / theirs.p99),
  "server's processor time for 500 subscribers": round(mine.serverMs / theirs.serverMs)
})

/** Histories that were read by each, in how many times as many bytes a second as by another. */
const catchUpRatios = (mine: Readings["reads"], theirs: Readings["reads"]) =>
  Object.fromEntries(
    theirs.map(({ of, perSecond }) => {
      const own = mine.find((row) => row.of === of)
      return [`catch-up, ${of}`, round((own?.perSecond ?? 0) / perSecond)]
    })
  )

const readingRatios = (mine: Readings, theirs: Readings) => ({
  ...liveRatios(mine.live, theirs.live),
  ...catchUpRatios(mine.reads, theirs.reads)
})

const ratios = (mine: Measured, name: string, theirs: Measured): void =>
  print({
    ratios: `artifacts, sync / ${name}`,
    "appends, 64 in flight": round(mine.many.perSecond / theirs.many.perSecond),
    "appends, 64 streams": round(mine.wide.perSecond / theirs.wide.perSecond),
    "p50 of one lane": round(mine.one.p50 / theirs.one.p50),
    "messages in batches": round(mine.json.perSecond / theirs.json.perSecond),
    ...readingRatios(mine, theirs)
  })

const each = async <A>(makers: ReadonlyArray<() => Promise<Target>>, use: (target: Target) => Promise<A>) => {
  const results: Array<readonly [string, A]> = []
  for (const make of makers) {
    const target = await make()
    try {
      results.push([target.name, await use(target)])
    } finally {
      await target.stop()
    }
  }
  return results
}

const historyRatio = ({ old, fresh }: Readings): void =>
  print({ ratio: "100 subscribers, p50 with 20,000 records / without", value: round(old.p50 / fresh.p50) })

/** What one measures of us, beside what sockets and the client make possible here, and beside the reference. */
const beside = async <A>(place: string | undefined, use: (target: Target) => Promise<A>, ratiosOf: RatiosOf<A>) => {
  const peers = place === undefined ? [] : [() => reference(place, "memory")]
  const all = await each([() => ours("sync"), bare, ...peers], use)
  const [[, mine], [, floor], [, theirs] = []] = all as [[string, A], [string, A], [string, A]?]
  print({ ratios: "artifacts, sync / bare sockets", ...ratiosOf(mine, floor) })
  if (theirs !== undefined) {
    print({ ratios: "artifacts, sync / reference, memory", ...ratiosOf(mine, theirs) })
    print({ ratios: "bare sockets / reference, memory", ...ratiosOf(floor, theirs) })
  }
  return mine
}

/** Only what is read. */
const readingOnly = async (place: string | undefined): Promise<void> =>
  historyRatio(await beside(place, (target) => readings(target, true), readingRatios))

/** Only histories of records of 64 KiB, and of JSON, which take no time to make. */
const catchUpOnly = (place: string | undefined) =>
  beside(place, (target) => catchUps(target, false, 32, 6), catchUpRatios)

/** Only event streams. */
const liveOnly = (place: string | undefined) => beside(place, (target) => eventStreams(target, 500, 0, 100), liveRatios)

const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const ms = args.includes("--short") ? 1000 : 3000
  const place = process.env["DURABLE_STREAMS_SERVER"]
  if (args.includes("--reading")) return readingOnly(place)
  if (args.includes("--catch-up")) return void (await catchUpOnly(place))
  if (args.includes("--live")) return void (await liveOnly(place))
  const makers: Array<() => Promise<Target>> = [() => ours("sync"), () => ours("process")]
  if (place !== undefined)
    makers.push(
      () => reference(place, "memory"),
      () => reference(place, "file")
    )
  else print({ skipped: "the reference server: DURABLE_STREAMS_SERVER names no directory of its package" })
  const given = args.indexOf("--ursula")
  const binary = given < 0 ? undefined : args[given + 1]
  if (binary !== undefined)
    makers.push(
      () => ursula(binary, directory(), "disk"),
      () => ursula(binary, directory(), "memory")
    )
  const measured = await each(makers, (target) => measure(target, ms))
  const mine = measured[0]?.[1] as Measured
  historyRatio(mine)
  for (const [name, theirs] of measured.slice(1)) ratios(mine, name, theirs)
}

/** `npm run bench -- streams [--short] [--reading | --catch-up | --live] [--ursula BINARY]` */
export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  try {
    await run(args)
  } finally {
    for (const made of directories) rmSync(made, { recursive: true, force: true })
  }
}
