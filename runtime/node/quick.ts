/**
 * A mount begins before the command line is loaded, which takes longer than most of what is to be done: this process
 * only starts the one that holds the mount, and that one starts the one that serves it before it looks at anything.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { startEarly } from "../../adapters/fuse/early.ts"
import { readText } from "./files.ts"
import { logOf, pathOf, recordFile } from "./paths.ts"
import { goAhead } from "./priority.ts"

/** A line that mounts, as far as it is understood here. */
export interface Line {
  readonly directory: string
  readonly foreground: boolean
  readonly json: boolean
}

const valued = new Set(["data", "server", "token", "creds", "org", "cache", "cache-size", "buffer-size"])
for (const name of ["memory-size", "max-uploads", "attr-cache", "replica-entries", "seen-within", "expires"])
  valued.add(name)
const bare = new Set(["read-only", "writeback", "in-step", "only-me", "json", "foreground"])

/** Anything that is not plain is left to the command line itself, which says what is wrong with it. */
export const readLine = (args: ReadonlyArray<string>): Line | undefined => {
  const words: Array<string> = []
  const set = new Set<string>()
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string
    if (arg === "-f") set.add("foreground")
    else if (!arg.startsWith("-")) words.push(arg)
    else if (bare.has(arg.slice(2))) set.add(arg.slice(2))
    else if (!valued.has(arg.slice(2)) || ++at >= args.length || args[at]?.startsWith("-")) return undefined
  }
  const [command, workspace, directory, more] = words
  if (command !== "mount" || workspace === undefined || directory === undefined || more !== undefined) return undefined
  return { directory: pathOf(directory), foreground: set.has("foreground"), json: set.has("json") }
}

/**
 * As the launcher has it for this process. Compiled code is kept, for the processes of a mount load the same again and
 * again; and what waits for the disk needs threads to wait in.
 */
const prepareChildren = (): void => {
  const { env } = process
  env["UV_THREADPOOL_SIZE"] ??= "16"
  env["NODE_COMPILE_CACHE"] ??= join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "artifacts", "compiled")
}

interface Said {
  readonly ready?: true
  readonly problem?: { readonly code: string; readonly message: string; readonly next?: string }
}

/** A mount of a hundred thousand files answers within a second; one of millions takes longer. */
const readyMs = 120_000

/** What the process that holds the mount says first; nothing when it ends before. */
const said = (child: ChildProcess, log: string): Promise<Said | undefined> =>
  new Promise((resolve) => {
    const late = setTimeout(() => {
      child.kill("SIGTERM")
      resolve({ problem: { code: "slow", message: `the mount does not answer; see ${log}` } })
    }, readyMs)
    const end = (what: Said | undefined) => {
      clearTimeout(late)
      resolve(what)
    }
    child.once("message", (message) => end(message as Said))
    child.once("exit", () => end(undefined))
    child.once("error", () => end(undefined))
  })

const begin = (log: string): ChildProcess => {
  const out = openSync(log, "a", 0o600)
  const again = [...process.argv.slice(1), "--foreground"]
  const child = spawn(process.execPath, again, { detached: true, stdio: ["ignore", out, out, "ipc"] })
  closeSync(out)
  return child
}

/** Says what went wrong in the words of every other command. */
const refuse = async (problem: NonNullable<Said["problem"]>, json: boolean): Promise<number> => {
  const [{ Exit }, { conclude }, { Problem }] = await Promise.all([
    import("effect"),
    import("../cli/artifacts.ts"),
    import("../cli/problem.ts")
  ])
  return conclude(Exit.fail(new Problem(problem)), json)
}

const told = (text: string, log: string, json: boolean): string => {
  const record = JSON.parse(text) as { readonly name: string; readonly directory: string; readonly pid: number }
  if (json) return JSON.stringify({ ...record, log }, null, 2)
  return `${record.name} is mounted on ${record.directory} (process ${record.pid})`
}

/** The exit code of a mount that was made, or could not be; undefined when the command line has to see to it. */
export const mountQuickly = async (args: ReadonlyArray<string>): Promise<number | undefined> => {
  const line = readLine(args)
  if (line === undefined) return undefined
  const { directory, foreground, json } = line
  prepareChildren()
  if (foreground) {
    goAhead(process.pid)
    startEarly(fileURLToPath(new URL("./serving.ts", import.meta.url)))
    return undefined
  }
  const log = logOf(process.env, directory)
  const child = begin(log)
  const what = await said(child, log)
  if (child.connected) child.disconnect()
  child.unref()
  if (what?.problem !== undefined) return await refuse(what.problem, json)
  const record = what === undefined ? undefined : readText(recordFile(process.env, directory))
  if (record === undefined) return undefined
  process.stdout.write(`${told(record, log, json)}\n`)
  return 0
}
