/** Mounts of this host: begun in this process or in one of their own, listed, and ended. */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, mkdirSync, openSync, readSync, statSync } from "node:fs"
import { Context, Effect, Layer, Logger, References } from "effect"
import { layer as fuse } from "../../adapters/fuse/mount.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { Mount } from "../ports/mount.ts"
import { keepCompiled } from "./compiled.ts"
import { makeDirectory } from "./files.ts"
import { issue, type Ticket } from "./issue.ts"
import { logger } from "./logs.ts"
import { cacheOf, logOf, pathOf } from "./paths.ts"
import { forgetRecord, isAlive, keepRecord, type MountRecord, readRecord } from "./place.ts"
import type { SidecarStart, Way } from "./sidecar.ts"
import { supervise } from "./supervise.ts"

/** As it is without any flag. */
export const usual = {
  readOnly: false,
  cache: undefined,
  cacheBytes: undefined,
  bufferBytes: undefined,
  memoryBytes: undefined,
  cacheMs: undefined,
  replicaEntries: undefined,
  seenWithinMs: undefined,
  allowOther: true,
  fuse: "kernel",
  storesLate: false,
  makesAhead: true,
  uploadsMax: undefined,
  lifeMs: undefined
} as const

export interface Wanted {
  readonly globals: Globals
  readonly workspace: string
  readonly directory: string
  readonly readOnly: boolean
  readonly cache: string | undefined
  readonly cacheBytes: number | undefined
  readonly bufferBytes: number | undefined
  readonly memoryBytes: number | undefined
  readonly cacheMs: number | undefined
  readonly replicaEntries: number | undefined
  readonly seenWithinMs: number | undefined
  readonly allowOther: boolean
  readonly fuse: Way
  readonly storesLate: boolean
  readonly makesAhead: boolean
  readonly uploadsMax: number | undefined
  readonly lifeMs: number | undefined
}

/** A mount of a hundred thousand files answers within a second; one of millions takes longer. */
const readyMs = 120_000
const pollMs = 20
/** How long an `unmount` waits for what was written to be stored. */
const drainMs = 600_000

/** Before anything else: whoever typed a wrong directory hears of it at once, and no session is begun for it. */
const free = Effect.fnUntraced(function* (directory: string) {
  const place = pathOf(directory)
  const kernel = Context.get(yield* Effect.scoped(Layer.build(fuse)), Mount)
  const refused = (why: string) => new Problem({ code: "MountRefused", message: why })
  const state = yield* kernel.look(place).pipe(Effect.mapError(({ why }) => refused(why)))
  if (state === "mounted")
    return yield* new Problem({
      code: "already-mounted",
      message: `${place} is a mount already`,
      next: `end it with: artifacts unmount ${place}`
    })
  if (state === "free") {
    const isDirectory = statSync(place, { throwIfNoEntry: false })?.isDirectory()
    if (isDirectory === undefined) mkdirSync(place, { recursive: true })
    else if (!isDirectory) return yield* refused(`${place} is not a directory`)
  }
  return place
})

/** What a mount is and where, for whoever looks for it later. */
const recordOf = ({ issued }: Ticket, directory: string, cache: string): MountRecord => ({
  workspace: issued.workspace.id,
  name: issued.workspace.name,
  org: issued.session.org,
  directory,
  session: issued.session.session,
  mode: issued.session.mode,
  pid: process.pid,
  startedAt: Date.now(),
  cache
})

const begun = () => ({
  instance: randomBytes(8).toString("hex"),
  writeback: false,
  resumed: false
})

/** Loaded where it is asked for. */
const libfuse = Effect.promise(() => import("./native.ts"))

/** Mounts, for as long as the scope lasts. What serves it is a process of its own. */
export const holdMount = Effect.fnUntraced(function* (wanted: Wanted) {
  const { globals, workspace, readOnly, lifeMs } = wanted
  const directory = yield* free(wanted.directory)
  const ticketed = issue(globals, { workspace, mode: readOnly ? "ro" : "rw", lifeMs })
  const ticket = yield* ticketed
  const found = ticket.issued.workspace
  const cache = wanted.cache === undefined ? cacheOf(process.env, found.id, directory) : pathOf(wanted.cache)
  makeDirectory(cache)
  const { cacheBytes, bufferBytes, memoryBytes, uploadsMax, cacheMs, replicaEntries, seenWithinMs } = wanted
  const { allowOther, fuse, storesLate, makesAhead } = wanted
  const sizes = { cacheBytes, bufferBytes, memoryBytes, uploadsMax, cacheMs, replicaEntries, seenWithinMs }
  const how = { allowOther, fuse, storesLate, makesAhead }
  const start: SidecarStart = { ...sizes, ...how, ticket, directory, cache, ...begun() }
  const keep = fuse === "native" ? (yield* libfuse).superviseNative : supervise
  const held = yield* keep(start, ticketed)
  const record = recordOf(ticket, directory, cache)
  yield* keepRecord(process.env, record)
  yield* Effect.logInfo("mounted", { workspace: found.name, directory, session: record.session })
  return { record, ended: held.ended }
})

/** Whoever started this process may have gone on long ago. */
const tell = (what: Said): void => {
  if (process.connected) process.send?.(what)
}

/** What crosses to another process: an error's message is not among what is copied. */
const plain = ({ code, message, next }: Problem) => ({ code, message, ...(next === undefined ? {} : { next }) })

/** Holds a mount until it ends or this process is told to stop. */
export const inForeground = (wanted: Wanted) =>
  Effect.gen(function* () {
    const { record, ended } = yield* holdMount(wanted)
    tell({ ready: true })
    yield* keepCompiled()
    yield* ended
    yield* Effect.logInfo("unmounted", { directory: record.directory })
  }).pipe(
    Effect.scoped,
    Effect.tapError((problem) => Effect.sync(() => tell({ problem: plain(problem) }))),
    Effect.provide(Logger.layer([logger(process.stderr.isTTY === true)])),
    Effect.provideService(References.MinimumLogLevel, "Info")
  )

/** The arguments with which this command was called, once more, for a process that stays. */
const again = (): ReadonlyArray<string> => [...process.argv.slice(1), "--foreground"]

interface Said {
  readonly ready?: true
  readonly problem?: { readonly code: string; readonly message: string; readonly next?: string }
}

/** Starts a process that serves, and returns when the file system answers. */
export const inBackground = Effect.fnUntraced(function* (wanted: Wanted) {
  const directory = yield* free(wanted.directory)
  const log = logOf(process.env, directory)
  const began = statSync(log, { throwIfNoEntry: false })?.size ?? 0
  const out = openSync(log, "a", 0o600)
  const child = spawn(process.execPath, again(), { detached: true, stdio: ["ignore", out, out, "ipc"] })
  closeSync(out)
  const said = yield* Effect.callback<Said>((resume) => {
    child.once("message", (message) => resume(Effect.succeed(message as Said)))
    child.once("exit", (code) =>
      resume(Effect.succeed({ problem: { code: "ended", message: tail(log, began, code) } }))
    )
  }).pipe(Effect.timeoutOption(readyMs))
  child.disconnect()
  child.unref()
  if (said._tag === "None") {
    child.kill("SIGTERM")
    return yield* new Problem({ code: "slow", message: `${directory} does not answer; see ${log}` })
  }
  const { problem } = said.value
  if (problem !== undefined) return yield* new Problem(problem)
  const record = readRecord(process.env, directory)
  if (record === undefined) return yield* new Problem({ code: "ended", message: tail(log, began, null) })
  return { ...record, log }
})

const tail = (log: string, from: number, code: number | null): string => {
  const size = Math.min(4096, Math.max(0, statSync(log).size - from))
  const bytes = Buffer.alloc(size)
  const opened = openSync(log, "r")
  readSync(opened, bytes, 0, size, from)
  closeSync(opened)
  return `the mount's process ended (${code ?? "killed"}): ${bytes.toString().trim() || `see ${log}`}`
}

/** Tells its process to stop, and waits until it has: it flushes first. */
export const endMount = Effect.fnUntraced(function* (given: string, force: boolean) {
  const directory = pathOf(given)
  const record = readRecord(process.env, directory)
  if (record === undefined)
    return yield* new Problem({
      code: "not-mounted",
      message: `${directory} is no mount of artifacts`,
      next: "see which there are with: artifacts status"
    })
  const kernel = Context.get(yield* Effect.scoped(Layer.build(fuse)), Mount)
  const refused = ({ why }: { readonly why: string }) =>
    new Problem({ code: "busy", message: why, next: `artifacts unmount --force ${directory}` })
  // The kernel says whether it is in use, and the process sees the end of the mount and flushes.
  yield* kernel.unmount(directory, force).pipe(Effect.mapError(refused))
  for (let waited = 0; isAlive(record.pid); waited += pollMs) {
    if (waited > drainMs)
      return yield* new Problem({
        code: "slow",
        message: `process ${record.pid} still stores what was written; it goes on`
      })
    yield* Effect.sleep(pollMs)
  }
  forgetRecord(process.env, directory)
  return record
})
