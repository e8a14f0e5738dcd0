/** Request and reply through the embedded broker and through a real nats-server, by the same clients, in turns. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Effect, Exit, Scope } from "effect"
import { broker } from "../../adapters/nats/broker/broker.ts"
import { find, nats } from "../real/servers.ts"

const subject = "art.v1.ask.bench.0.one.caller.Echo"
const rounds = 3
const bodyBytes = 200

interface Measured {
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly cpuUs: number
}

// What the child processes do: each prints one line when it is ready, or when it has measured.

const serve = async (): Promise<void> => {
  const scope = Scope.makeUnsafe()
  const { url } = await Effect.runPromise(Scope.provide(broker({ port: 0 }), scope))
  console.log(url)
  process.once("SIGTERM", () => {
    const { user, system } = process.cpuUsage()
    console.log(user + system)
    void Effect.runPromise(Scope.close(scope, Exit.void)).then(() => process.exit(0))
  })
}

const respond = async (url: string): Promise<void> => {
  const connection = await connect({ servers: url })
  connection.subscribe(subject, { callback: (_, message) => void message.respond(message.data) })
  await connection.flush()
  console.log("ready")
}

const request = async (url: string, inFlight: number, count: number): Promise<void> => {
  const connection = await connect({ servers: url })
  await requests(connection, inFlight, Math.ceil(count / 10))
  const before = process.cpuUsage()
  const started = performance.now()
  const times = await requests(connection, inFlight, count)
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(before)
  times.sort()
  const at = (part: number) => Math.round((times[Math.floor(times.length * part)] ?? 0) * 1000)
  const measured: Measured = {
    perSecond: Math.round(count / seconds),
    p50Us: at(0.5),
    p99Us: at(0.99),
    cpuUs: Math.round((user + system) / count)
  }
  console.log(JSON.stringify(measured))
  await connection.close()
}

const requests = async (connection: NatsConnection, inFlight: number, count: number): Promise<Float64Array> => {
  const body = Buffer.alloc(bodyBytes, "x")
  const times = new Float64Array(count)
  let next = 0
  const line = async () => {
    while (next < count) {
      const own = next++
      const from = performance.now()
      await connection.request(subject, body, { timeout: 10_000 })
      times[own] = performance.now() - from
    }
  }
  await Promise.all(Array.from({ length: inFlight }, line))
  return times
}

// What the parent does.

const child = (...args: ReadonlyArray<string>): { readonly process: ChildProcess; readonly line: Promise<string> } => {
  const started = spawn(process.execPath, [import.meta.filename, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  const lines = createInterface({ input: started.stdout })
  const line = once(lines, "line").then(([first]) => String(first))
  const lost = once(started, "exit").then(([code]) => {
    throw new Error(`${args.join(" ")} ended with ${code} before it had said anything`)
  })
  // It may well end later, when it has said its line.
  lost.catch(() => {})
  return { process: started, line: Promise.race([line, lost]) }
}

const ended = async (started: ChildProcess): Promise<void> => {
  started.kill("SIGTERM")
  if (started.exitCode === null && started.signalCode === null) await once(started, "exit")
}

const measure = async (url: string, inFlight: number, count: number): Promise<Measured> => {
  const responder = child("respond", url)
  try {
    await responder.line
    return JSON.parse(await child("request", url, String(inFlight), String(count)).line)
  } finally {
    await ended(responder.process)
  }
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** One line of JSON a measurement: ours, theirs, and the ratio of the medians over rounds taken in turns. */
const compare = async (ours: string, theirs: string): Promise<void> => {
  for (const [inFlight, count] of [
    [1, 8_000],
    [64, 60_000]
  ] as const) {
    const own: Array<Measured> = []
    const other: Array<Measured> = []
    for (let round = 0; round < rounds; round++) {
      own.push(await measure(ours, inFlight, count))
      other.push(await measure(theirs, inFlight, count))
    }
    const of = (all: ReadonlyArray<Measured>, field: keyof Measured) => median(all.map((one) => one[field]))
    const line = {
      bench: `broker request/reply ${bodyBytes} B, ${inFlight} in flight`,
      unit: "requests/s",
      ours: of(own, "perSecond"),
      baseline: "nats-server",
      theirs: of(other, "perSecond"),
      ratio: Math.round((of(own, "perSecond") / of(other, "perSecond")) * 100) / 100,
      ourP50Us: of(own, "p50Us"),
      theirP50Us: of(other, "p50Us")
    }
    console.log(JSON.stringify(line))
  }
}

export const main = async (): Promise<void> => {
  if (find("nats") === undefined) {
    console.log(JSON.stringify({ bench: "broker", skipped: "there is no nats-server; test/real/servers brings it" }))
    return
  }
  const scope = Scope.makeUnsafe()
  const own = child("serve")
  try {
    const { url } = await Effect.runPromise(Scope.provide(nats({ jetstream: false }), scope))
    await compare(await own.line, url)
  } finally {
    await ended(own.process)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

if (import.meta.main) {
  const [mode, url = "", inFlight, count] = process.argv.slice(2)
  if (mode === "serve") await serve()
  else if (mode === "respond") await respond(url)
  else if (mode === "request") await request(url, Number(inFlight), Number(count))
  else await main()
}
