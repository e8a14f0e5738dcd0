/** A program that runs beside the test, for what waits must not hold the test; and all that it said, in one. */
import { spawn } from "node:child_process"

export interface Said {
  readonly code: number | null
  readonly said: string
}

export const saying = (program: string, args: ReadonlyArray<string>, cwd?: string): Promise<Said> => {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  const hear = (part: Buffer): void => {
    said += part
  }
  child.stdout.on("data", hear)
  child.stderr.on("data", hear)
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, said })))
}
