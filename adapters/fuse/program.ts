/** Runs a system program and tells how it ended, in the C locale so that its words can be recognised. */
import { type StdioOptions, spawn } from "node:child_process"
import { Effect } from "effect"

export interface Ended {
  /** Undefined when there is no such program. */
  readonly code: number | undefined
  readonly said: string
}

export const run = (command: string, args: ReadonlyArray<string>, fds: ReadonlyArray<number> = []) =>
  Effect.callback<Ended>((resume, signal) => {
    const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...fds]
    const child = spawn(command, args, { stdio, env: { ...process.env, LC_ALL: "C" } })
    let said = ""
    const hear = (bytes: Buffer) => {
      said += bytes.toString()
    }
    child.stdout?.on("data", hear)
    child.stderr?.on("data", hear)
    child.once("error", (error) => resume(Effect.succeed({ code: undefined, said: error.message })))
    child.once("close", (code) => resume(Effect.succeed({ code: code ?? 128, said: said.trim() })))
    signal.addEventListener("abort", () => child.kill("SIGKILL"), { once: true })
  })
