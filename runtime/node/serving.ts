/** The process that serves a mount which another one holds: `node serving.ts FILE`, with what the mount is in the file. */
import "effect/schema/SchemaJITCompiler/enable"
import { readFileSync } from "node:fs"
import { Cause, Effect, Exit, Logger, References } from "effect"
import { Problem } from "../cli/problem.ts"
import { readText, writeWhole } from "./files.ts"
import { logger } from "./logs.ts"
import { type SidecarStart, serve, sessionOver } from "./sidecar.ts"

const [, , file] = process.argv
if (file === undefined) throw new Error("usage: node serving.ts FILE")
const start = JSON.parse(readFileSync(file, "utf8")) as SidecarStart

/** A terminal's interrupt is for the process that holds the mount: it unmounts, and this one ends with the mount. */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined)

/** Left behind by who served before: it names the session. */
const served = `${file}.served`
const { session } = start.ticket.issued.session
const resumed = readText(served) === session

const program = serve({ ...start, resumed }, () => Effect.sync(() => writeWhole(served, session))).pipe(
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
    const isOver = problem.code === sessionOver
    if ((resumed && !isOver) || process.send === undefined) process.exit(1)
    process.send({ problem }, () => process.exit(1))
  }
})
