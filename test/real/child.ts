/** A server process of a test: started, waited for, stopped or killed by its own pid, gone when the scope closes. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schema, type Scope } from "effect"

/** A start takes up to a second; a cluster that elects its leaders on a busy machine takes ten times that. */
const readyMs = 40_000
const askEveryMs = 50
/** What a polite stop may take before the scope's end turns to SIGKILL. */
const politeMs = 8_000

export class ServerFailed extends Schema.TaggedError<ServerFailed>()("ServerFailed", {
  server: Schema.String,
  why: Schema.String
}) {}

export interface Program {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Where its output goes; a restart appends. */
  readonly log: string
  /** Answers once the server does its work. */
  readonly ready: () => Promise<boolean>
}

export interface Child {
  readonly name: string
  /** The process's id, or nothing while it is down. */
  readonly pid: () => number | undefined
  readonly log: () => string
  /** Starts it again after it was stopped or killed, and waits until it is ready. */
  readonly start: Effect.Effect<void, ServerFailed>
  /** Starts it again without the wait: for a cluster's members, which become ready together. */
  readonly launch: Effect.Effect<void>
  readonly ready: Effect.Effect<void, ServerFailed>
  /** SIGTERM, and waits for the end. */
  readonly stop: Effect.Effect<void>
  /** SIGKILL, and waits for the end. */
  readonly kill: Effect.Effect<void>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

const alive = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => void child.once("exit", () => resolve()))

/** A directory of its own, removed when the scope closes. */
export const directory = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `artifacts-${name}-`))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )

const listen = (): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => resolve(server))
  })

/** Ports of the loopback that nobody listens on, all different because they are held together and then let go. */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const servers = await Promise.all(Array.from({ length: count }, listen))
    const ports = servers.map((server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    })
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return ports
  })

/** Asks until the address answers with success. */
export const answers = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

const awaitReady = async (program: Program, running: () => ChildProcess | undefined): Promise<void> => {
  const until = performance.now() + readyMs
  for (;;) {
    const child = running()
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`it ended by itself: ${readFileSync(program.log, "utf8").slice(-600)}`)
    }
    if (await program.ready()) return
    if (performance.now() > until) {
      throw new Error(`it is not ready after ${readyMs} ms: ${readFileSync(program.log, "utf8").slice(-600)}`)
    }
    await pause(askEveryMs)
  }
}

/** The process, launched but not waited for. When the scope closes it is stopped, politely at first. */
export const launched = (program: Program): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.gen(function* () {
    let running: ChildProcess | undefined
    const launch = Effect.sync(() => {
      if (running !== undefined) throw new Error(`${program.name} runs already`)
      const log = openSync(program.log, "a")
      const child = spawn(program.command, program.args, {
        stdio: ["ignore", log, log],
        env: { ...process.env, ...program.env }
      })
      closeSync(log)
      alive.add(child)
      running = child
      child.once("error", () => void alive.delete(child))
      child.once("exit", () => {
        alive.delete(child)
        if (running === child) running = undefined
      })
    })
    const ready = Effect.tryPromise({
      try: () => awaitReady(program, () => running),
      catch: (cause) =>
        new ServerFailed({ server: program.name, why: cause instanceof Error ? cause.message : String(cause) })
    })
    const end = (signal: NodeJS.Signals) =>
      Effect.promise(async () => {
        const child = running
        if (child === undefined) return
        child.kill(signal)
        const timer = setTimeout(() => child.kill("SIGKILL"), politeMs)
        await ended(child)
        clearTimeout(timer)
      })
    yield* Effect.acquireRelease(launch, () => end("SIGTERM"))
    return {
      name: program.name,
      pid: () => running?.pid,
      log: () => readFileSync(program.log, "utf8"),
      launch,
      ready,
      start: Effect.andThen(launch, ready),
      stop: end("SIGTERM"),
      kill: end("SIGKILL"),
      signal: (signal) => Effect.sync(() => void running?.kill(signal))
    }
  })
