/** The command line as a whole: its commands, how it is run, and how it says what went wrong. */
import { Cause, Effect, Exit, Layer, References } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import { askIt, doIt, subject } from "./actor.ts"
import { fileCommands } from "./file.ts"
import { globals } from "./globals.ts"
import { key } from "./key.ts"
import { mount, unmount } from "./mount.ts"
import { org } from "./org.ts"
import { exitCodeOf, Problem, problemText, usage } from "./problem.ts"
import { status } from "./status.ts"
import { stream } from "./stream.ts"
import { natsConfig, up } from "./up.ts"
import { version } from "./version.ts"
import { workspace } from "./workspace.ts"

const root = Command.make("artifacts").pipe(
  Command.withDescription("Files, streams and tables that agents produce, durable in your bucket"),
  Command.withSubcommands([
    up,
    status,
    stream,
    workspace,
    mount,
    unmount,
    ...fileCommands,
    key,
    org,
    doIt,
    askIt,
    subject,
    natsConfig
  ]),
  Command.withGlobalFlags(globals)
)

/** Help is printed when it was asked for; a line that was not understood gets one line back, and not a page. */
const presenter: CliOutput.Presenter = {
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
}

const settings = Layer.mergeAll(
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] }),
  CliOutput.layerPresenter(presenter),
  // What libraries have to tell meanwhile is of no use to whoever typed a command; `up` sets its own level.
  Layer.succeed(References.MinimumLogLevel, "None")
)

export const program = (args: ReadonlyArray<string>) =>
  Command.runWith(root, { version })(args).pipe(Effect.provide(settings))

const problemOf = (error: unknown): Problem | undefined => {
  if (error instanceof Problem) return error
  if (!CliError.isCliError(error)) return undefined
  if (error._tag !== "ShowHelp") return usage(error.message)
  if (error.errors.length === 0) return undefined
  return usage(error.errors.map((each) => each.message).join("; "), `see ${error.commandPath.join(" ")} --help`)
}

/** The exit code, after everything that went wrong was said. */
export const conclude = (exit: Exit.Exit<void, unknown>, asJson: boolean): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return 130
  const error = Cause.squash(exit.cause)
  const isHelp = CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length === 0
  if (isHelp) return 0
  const problem =
    problemOf(error) ??
    new Problem({ code: "defect", message: `this is a defect of artifacts: ${Cause.pretty(exit.cause)}` })
  process.stderr.write(`${problemText(problem, asJson)}\n`)
  return exitCodeOf(problem)
}
