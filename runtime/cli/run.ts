/** Runs the command line, turns signals into a clean end, and the outcome into an exit code. */
import "effect/schema/SchemaJITCompiler/enable"
import { layer as nodeServices } from "@effect/platform-node/NodeServices"
import { Effect, Exit, Fiber } from "effect"
import { conclude, program } from "./artifacts.ts"

/** Whatever holds up a stop for longer than this will not end by itself. */
const stopMs = 4_800

export const run = (args: ReadonlyArray<string>): void => {
  const running = Effect.runFork(program(args).pipe(Effect.provide(nodeServices)))
  let signals = 0
  const stop = (code: number) => (): void => {
    signals += 1
    if (signals > 1) process.exit(code)
    setTimeout(() => {
      process.stderr.write("artifacts: the stop took too long and was cut short; nothing acknowledged is lost\n")
      process.exit(1)
    }, stopMs).unref()
    Effect.runFork(Fiber.interrupt(running))
  }
  process.on("SIGINT", stop(130))
  process.on("SIGTERM", stop(143))
  process.on("SIGHUP", stop(129))

  running.addObserver((exit) => {
    const isUp = args.includes("up")
    // A node that was told to stop, and did, has done what it was asked.
    const code = isUp && signals > 0 && !Exit.isSuccess(exit) ? 0 : conclude(exit, args.includes("--json"))
    process.exitCode = code
    // What was written to a pipe has to arrive; all else that keeps the process is of no use any more.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
  })
}
