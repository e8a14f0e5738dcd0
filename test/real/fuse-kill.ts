/**
 * Kills whoever serves a mount, again and again, while applications use it; prints what they noticed: `[PLAN]`, in
 * JSON.
 */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { hold } from "../../adapters/fuse/holder.ts"
import { mountDefaults } from "../../runtime/ports/mount.ts"
import type { Loaded } from "./fuse-load.ts"

export interface Killed {
  readonly kills: number
  readonly children: number
  readonly spare: boolean
  readonly operations: number
  readonly errors: ReadonlyArray<string>
  /** The longest call of an application, and the longest time from a death to the next one's answer. */
  readonly longestMs: number
  readonly restartMs: number
  readonly restartP50Ms: number
}

export interface Plan {
  readonly kills: number
  /** Between a new child's first answer and its death. */
  readonly pauseMs: number
  readonly spare: boolean
  readonly applications: number
  /** SIGTERM asks a child to leave the mount to the next one. */
  readonly signal: "SIGKILL" | "SIGTERM"
}

const file = (name: string) => new URL(name, import.meta.url).pathname

/** An application process; `stop` ends it and gives what it saw. */
const application = (place: string, name: string) => {
  const child = spawn(process.execPath, [file("./fuse-load.ts"), place, name], { stdio: ["ignore", "pipe", "inherit"] })
  let said = ""
  child.stdout.on("data", (bytes: Buffer) => {
    said += bytes.toString()
  })
  const ended = new Promise<Loaded>((resolve, reject) => {
    child.once("close", (code, signal) =>
      said === "" ? reject(new Error(`the application ended with ${signal ?? code}`)) : resolve(JSON.parse(said))
    )
  })
  const stop = () => {
    child.kill("SIGTERM")
    return ended
  }
  return { stop, kill: () => child.kill("SIGKILL") }
}

export const killing = ({ applications, kills, pauseMs, signal, spare }: Plan) =>
  Effect.gen(function* () {
    const base = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "artifacts-fuse-"))),
      (dir) => Effect.sync(() => rmSync(dir, { recursive: true, force: true }))
    )
    const [place, dir] = [join(base, "mount"), join(base, "disk")]
    mkdirSync(place)
    mkdirSync(dir)
    const command = [file("./fuse-child.ts"), place, dir]
    const held = yield* hold({ place, options: mountDefaults, command, spare, wellMs: 0 })
    const running = yield* Effect.acquireRelease(
      Effect.sync(() => Array.from({ length: applications }, (_, index) => application(place, String(index)))),
      (all) =>
        Effect.sync(() => {
          for (const one of all) one.kill()
        })
    )
    const restarts: Array<number> = []
    for (let count = 0; count < kills; count++) {
      yield* Effect.sleep(pauseMs)
      const pid = held.pid()
      if (pid !== undefined) process.kill(pid, signal)
      const since = performance.now()
      while (held.answered() <= count + 1) yield* Effect.sleep(2)
      restarts.push(Math.round(performance.now() - since))
    }
    yield* Effect.sleep(pauseMs)
    const seen = yield* Effect.promise(() => Promise.all(running.map((one) => one.stop())))
    const result: Killed = {
      kills,
      children: held.children(),
      spare,
      operations: seen.reduce((sum, { operations }) => sum + operations, 0),
      errors: seen.flatMap(({ errors }) => errors),
      longestMs: Math.round(Math.max(...seen.map(({ longestMs }) => longestMs))),
      restartMs: Math.max(...restarts),
      restartP50Ms: restarts.toSorted((one, other) => one - other)[restarts.length >> 1] ?? 0
    }
    return result
  }).pipe(Effect.scoped)

if (import.meta.main) {
  const plan: Plan = { kills: 50, pauseMs: 1500, spare: true, applications: 2, signal: "SIGKILL" }
  const asked: Partial<Plan> = JSON.parse(process.argv[2] ?? "{}")
  const result = await Effect.runPromise(killing({ ...plan, ...asked }))
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
