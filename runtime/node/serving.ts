/**
 * The process that serves a mount which another one holds: `node serving.ts FILE`; the file says what the mount is, and
 * its name comes later where the mount is not known yet.
 */
import "effect/schema/SchemaJITCompiler/enable"
import { constants, openSync, readFileSync, write } from "node:fs"
import { setFlagsFromString } from "node:v8"
import { Cause, Effect, Exit, Logger, References } from "effect"
import { inherited } from "../../adapters/fuse/child.ts"
import { begun } from "../../adapters/fuse/early.ts"
import { prepare } from "../../adapters/fuse/serving.ts"
import { Problem } from "../cli/problem.ts"
import { readText, writeWhole } from "./files.ts"
import { logger } from "./logs.ts"
import { goAhead } from "./priority.ts"
import { type Renew, type SidecarStart, serve, sessionOver } from "./sidecar.ts"

// Blocks that were read are most of what a mount leaves behind. Each sixty-four mebibytes of them would else be reason
// enough to look through all that it holds; so they are reason in proportion to that.
setFlagsFromString("--external-memory-accounted-in-global-limit")

goAhead(process.ppid)

// While this thread connects, the other one loads what it needs.
if (process.argv[2] === undefined || inherited() !== undefined)
  prepare(new URL("../mount/replica.ts", import.meta.url).href)
const file = process.argv[2] ?? (await begun())[0]
if (file === undefined) throw new Error("usage: node serving.ts FILE")
const start = JSON.parse(readFileSync(file, "utf8")) as SidecarStart

/** A terminal's interrupt is for the process that holds the mount: it unmounts, and this one ends with the mount. */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined)

/** Left behind by who served this mount before. */
const served = `${file}.served`
const resumed = readText(served) === start.instance

/** A holder that cannot begin another session says so by itself; this process is of no more use. */
const renewMs = 60_000

/** What is under way stays unanswered: the kernel asks the successor. */
const renew: Renew = Effect.callback<never>(() => {
  // A thread that waits for the kernel would hold up an exit until somebody asks for something.
  const end = () => process.kill(process.pid, "SIGKILL")
  process.on("message", (message) => {
    if ((message as { readonly renewed?: true }).renewed === true) end()
  })
  setTimeout(end, renewMs)
  process.send?.({ renew: true })
})

const ready = Effect.sync(() => writeWhole(served, start.instance))

const notes = openSync(`${file}.told`, constants.O_RDWR | constants.O_CREAT, 0o600)
/** As many digits as a version can have: a shorter one does not leave anything of a longer one behind it. */
const digitsMost = 16

/**
 * It is of use as long as the kernel runs that was told, so nothing waits for the disk: other hosts wait for what this
 * thread says, and a disk that is busy would stop it.
 */
const told = {
  upTo: Number(readText(`${file}.told`) ?? 0) || 0,
  note: (version: number) =>
    write(notes, String(version).padEnd(digitsMost), 0, (error) => {
      if (error !== null) process.emitWarning(error)
    })
}

const program = serve({ ...start, resumed, told }, () => ready, renew).pipe(
  // A successor that comes too late for the session of its predecessor begins another one too.
  Effect.catchIf(
    ({ code }) => resumed && code === sessionOver,
    () => renew
  ),
  Effect.provide(Logger.layer([logger(process.stderr.isTTY === true)])),
  Effect.provideService(References.MinimumLogLevel, "Info")
)

const problemOf = (cause: Cause.Cause<unknown>): { readonly code: string; readonly message: string } => {
  const error = Cause.squash(cause)
  if (!(error instanceof Problem)) return { code: "defect", message: Cause.pretty(cause) }
  const { code, message, next } = error
  return { code, message, ...(next === undefined ? {} : { next }) }
}

Effect.runCallback(program, {
  onExit: (exit) => {
    if (Exit.isSuccess(exit)) process.exit(0)
    const problem = problemOf(exit.cause)
    process.stderr.write(`artifacts: ${problem.message}\n`)
    // Who served before was well: another try may be too. One that never was ends with its reason.
    if (resumed || process.send === undefined) process.exit(1)
    process.send({ problem }, () => process.exit(1))
  }
})
