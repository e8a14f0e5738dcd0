/** Runs a node in the foreground: logs, banner, and an end when it is interrupted. */
import { Effect, Logger, type LogLevel, References } from "effect"
import { banner } from "./banner.ts"
import type { CannotStart } from "./fault.ts"
import { logger } from "./logs.ts"
import { node } from "./node.ts"
import type { UpOptions } from "./options.ts"

export interface Manner {
  readonly logLevel: LogLevel.LogLevel
  readonly isPretty: boolean
  readonly dataFlag: string
  readonly command: string
  readonly asJson: boolean
}

export const run = (
  options: UpOptions,
  { logLevel, isPretty, dataFlag, command, asJson }: Manner
): Effect.Effect<never, CannotStart> =>
  Effect.gen(function* () {
    // Logs, snapshots and secrets are nobody else's on this host, whatever the shell's own mask says.
    process.umask(0o077)
    // How memory is handed out is said for a node alone, and a mount that is started from here is none.
    for (const name of ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]) delete process.env[name]
    const { http, health, isReady } = yield* node(options)
    const told = health()
    const text = asJson
      ? `${JSON.stringify({ ...told, http: http.url, data: options.data })}\n`
      : banner({ health: told, http: http.url, data: options.data, dataFlag, isReady, command })
    process.stdout.write(text)
    if (options.home !== undefined) {
      const { home } = yield* Effect.promise(() => import("./home.ts"))
      const lines = yield* home({ http: http.url, data: options.data, directory: options.home })
      if (!asJson) process.stdout.write(`\n${lines.join("\n")}\n`)
    }
    yield* Effect.logInfo("up", { node: told.node, nats: told.bus, http: http.url, durability: told.durability })
    yield* Effect.addFinalizer(() => Effect.logInfo("stopping"))
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.onInterrupt(() => Effect.logInfo("stopped")),
    Effect.provide(Logger.layer([logger(isPretty)])),
    Effect.provideService(References.MinimumLogLevel, logLevel)
  )
