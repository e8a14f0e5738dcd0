/** The command line as a person uses it: run to its end, or as a node that goes on until the test is over. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const root = dirname(dirname(import.meta.dirname))
const runtime = join(root, "node_modules", ".bin", "node")
const main = join(root, "runtime", "main.ts")

const children = new Set<ChildProcess>()
const directories: Array<string> = []

/** For `afterAll`: ends what is left, and removes what it wrote. */
export const cleanUp = (): void => {
  for (const child of children) child.kill("SIGKILL")
  for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 5 })
}

/** A place for a data directory, which is not there yet. */
export const freshPath = (): string => {
  const path = mkdtempSync(join(tmpdir(), "artifacts-node-"))
  directories.push(path)
  return join(path, "data")
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  readonly told: () => { readonly stdout: string; readonly stderr: string }
  readonly ended: Promise<Outcome>
}

/** Nothing of the environment of whoever runs the tests decides where a command goes. */
const environment = (more: Readonly<Record<string, string>>) => ({
  ...process.env,
  ARTIFACTS_DATA: "",
  ARTIFACTS_SERVER: "",
  ARTIFACTS_TOKEN: "",
  ...more
})

export const start = (args: ReadonlyArray<string>, input = "", env: Readonly<Record<string, string>> = {}): Started => {
  const child = spawn(runtime, [main, ...args], { env: environment(env), stdio: ["pipe", "pipe", "pipe"] })
  children.add(child)
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (part) => {
    stdout += part
  })
  child.stderr.on("data", (part) => {
    stderr += part
  })
  child.stdin.end(input)
  const ended = new Promise<Outcome>((resolve) => {
    child.once("close", (code, signal) => {
      children.delete(child)
      resolve({ code, signal, stdout, stderr })
    })
  })
  return { child, pid: child.pid ?? 0, told: () => ({ stdout, stderr }), ended }
}

export const run = (...args: ReadonlyArray<string>): Promise<Outcome> => start(args).ended

export interface Up extends Started {
  readonly data: string
  readonly http: string
  readonly nats: string
  /** A command in this node's data directory. */
  readonly run: (...args: ReadonlyArray<string>) => Promise<Outcome>
  /** The same with `--json`, and its answer. */
  readonly json: (...args: ReadonlyArray<string>) => Promise<unknown>
}

const anyPorts = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
const upMs = 30_000

/** A node that has printed its banner. */
export const up = async (data: string, ...flags: ReadonlyArray<string>): Promise<Up> => {
  const node = start(["up", "--data", data, ...(flags.length === 0 ? anyPorts : flags)])
  const until = performance.now() + upMs
  let isOver = false
  void node.ended.then(() => {
    isOver = true
  })
  while (!node.told().stdout.includes("Next, in another terminal")) {
    if (isOver || performance.now() > until) throw new Error(`the node did not come up: ${node.told().stderr}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const notice = JSON.parse(readFileSync(join(data, "node.json"), "utf8")) as { http: string; nats: string }
  const inside = (...args: ReadonlyArray<string>) => run("--data", data, ...args)
  return {
    ...node,
    data,
    http: notice.http,
    nats: notice.nats,
    run: inside,
    json: async (...args) => {
      const outcome = await inside("--json", ...args)
      return JSON.parse(outcome.code === 0 ? outcome.stdout : outcome.stderr)
    }
  }
}

/** SIGTERM, and how long the end took. */
export const stop = async (node: Started): Promise<Outcome & { readonly ms: number }> => {
  const began = performance.now()
  node.child.kill("SIGTERM")
  const outcome = await node.ended
  return { ...outcome, ms: performance.now() - began }
}

export const kill = async (node: Started): Promise<void> => {
  node.child.kill("SIGKILL")
  await node.ended
}
