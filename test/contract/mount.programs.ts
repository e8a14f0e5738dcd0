/** What the tests of a mount have in common: which of them an adapter can pass, and programs that call the kernel. */
import { execFileSync } from "node:child_process"
import { it } from "vitest"
import type { Invalidation } from "../../runtime/ports/mount.ts"

/** A mount that a test uses; the process that serves it is never the test's own, which blocks in system calls. */
export interface Mounted {
  readonly place: string
  /** The file system changes a file of the root, and the kernel is told what it should forget. */
  readonly behind: (change: Changed, invalidate: ReadonlyArray<Invalidation>) => Promise<void>
  readonly end: () => Promise<void>
}

export interface Changed {
  readonly write?: { readonly name: string; readonly bytes: string }
  readonly remove?: string
}

/** What an adapter cannot do by its nature, and why. */
export type Without = Partial<
  Record<"renameFlags" | "invalidation" | "rawNames" | "nameless" | "nanoseconds" | "holes" | "allocation", string>
>

/** A test that an adapter may be unable to pass: then it is left out by its name, with the reason. */
export type Able = (capability: keyof Without, name: string, body: () => void | Promise<void>) => void

export const ableOf =
  (without: Without): Able =>
  (capability, name, body) => {
    const why = without[capability]
    if (why === undefined) it(name, body)
    else it.skip(`${name} (${why})`, body)
  }

/** Python speaks the system calls that Node has no function for; what a script prints is what it found. */
export const python = (script: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("python3", ["-c", script, ...args], { encoding: "utf8", timeout: 30_000 }).trim()

export const pattern = (bytes: number, seed: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at++) buffer[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff
  return buffer
}

export const errnoOf = (once: () => unknown): string => {
  try {
    once()
    return "none"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown"
  }
}

export type At = (...names: ReadonlyArray<string>) => string
