/** Kills the process that serves a real mount while applications use it, and looks for all that they were promised. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { lineOf, pageBytes, pageOf, type Written } from "./files-writer.ts"
import { Hosts } from "./mounts.ts"

export interface Killed {
  readonly kills: number
  readonly operations: number
  /** What applications noticed: failed calls, and bytes that were not as they had written them. */
  readonly errors: ReadonlyArray<string>
  /** The longest call of an application, and from a death to the next process. */
  readonly longestPauseMs: number
  readonly restartMsP50: number
  readonly restartMsMax: number
  /** What another host read with an empty cache, and how much of it was missing, doubled or wrong. */
  readonly fsynced: { readonly bytes: number; readonly lines: number; readonly files: number }
  readonly wrong: ReadonlyArray<string>
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const application = (directory: string, name: string) => {
  const path = new URL("./files-writer.ts", import.meta.url).pathname
  const child = spawn(process.execPath, [path, directory, name], { stdio: ["ignore", "pipe", "inherit"] })
  let said = ""
  child.stdout.on("data", (part) => {
    said += part
  })
  const ended = new Promise<Written>((resolve, reject) => {
    child.once("close", (code, signal) =>
      said === "" ? reject(new Error(`the application ended with ${signal ?? code}`)) : resolve(JSON.parse(said))
    )
  })
  // Whoever stops it hears of it; nobody does when something else has failed before.
  ended.catch(() => undefined)
  return {
    name,
    stop: () => {
      child.kill("SIGTERM")
      return ended
    },
    kill: () => child.kill("SIGKILL")
  }
}

/** Waits for another process than this one to answer, and gives how long it took. */
const restarted = async (hosts: Hosts, directory: string, before: number): Promise<number> => {
  const began = performance.now()
  for (;;) {
    try {
      if (hosts.sidecar(directory) !== before) {
        await readFile(join(directory, ".stats"))
        return performance.now() - began
      }
    } catch {
      // Nobody serves it at the moment.
    }
    if (performance.now() - began > 60_000) throw new Error(`nobody took over within a minute: ${hosts.log()}`)
    await pause(5)
  }
}

/** What is wrong with what an application left, as another host reads it. */
const faultsOf = (directory: string, name: string, { pages, lines, files }: Written): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  const found = readFileSync(join(directory, `pages-${name}`))
  for (const [page, stamp] of pages.entries()) {
    const bytes = found.subarray(page * pageBytes, (page + 1) * pageBytes)
    if (stamp !== 0 && !bytes.equals(pageOf(stamp))) wrong.push(`pages-${name}: page ${page} is not ${stamp}`)
  }
  const log = readFileSync(join(directory, `log-${name}`), "utf8")
  const whole = Array.from({ length: lines }, (_, count) => lineOf(name, count)).join("")
  if (log !== whole) wrong.push(`log-${name} has ${log.split("\n").length - 1} lines, and ${lines} were written`)
  for (let count = 0; count < files; count++) {
    const text = readFileSync(join(directory, `file-${name}-${count}`), "utf8")
    if (!text.endsWith(`file-${name}-${count}\n`) || text.split("\n").length !== 21) wrong.push(`file-${name}-${count}`)
  }
  return wrong.slice(0, 20)
}

export const killed = async (plan: {
  readonly kills: number
  readonly pauseMs: number
  readonly applications: number
}): Promise<Killed> => {
  const hosts = new Hosts()
  const running: Array<ReturnType<typeof application>> = []
  try {
    await hosts.begin()
    const a = await hosts.mount("demo", "a")
    for (let count = 0; count < plan.applications; count++) running.push(application(a, String(count)))
    const restarts: Array<number> = []
    for (let count = 0; count < plan.kills; count++) {
      await pause(plan.pauseMs * (0.7 + 0.6 * Math.random()))
      const pid = hosts.sidecar(a)
      process.kill(pid, "SIGKILL")
      restarts.push(await restarted(hosts, a, pid))
    }
    await pause(plan.pauseMs)
    const written = await Promise.all(running.map((one) => one.stop()))
    // Another host, with nothing in its cache.
    const b = await hosts.mount("demo", "b")
    const wrong = written.flatMap((one, count) => faultsOf(b, String(count), one))
    const sorted = restarts.toSorted((one, other) => one - other)
    const sum = (of: (one: Written) => number) => written.reduce((total, one) => total + of(one), 0)
    return {
      kills: plan.kills,
      operations: sum(({ operations }) => operations),
      errors: written.flatMap(({ errors }) => errors),
      longestPauseMs: Math.round(Math.max(...written.map(({ longestMs }) => longestMs))),
      restartMsP50: Math.round(sorted[sorted.length >> 1] ?? 0),
      restartMsMax: Math.round(sorted.at(-1) ?? 0),
      fsynced: {
        bytes: sum(({ pages }) => pages.filter((stamp) => stamp > 0).length * pageBytes),
        lines: sum(({ lines }) => lines),
        files: sum(({ files }) => files)
      },
      wrong
    }
  } finally {
    for (const one of running) one.kill()
    await hosts.end()
  }
}
