/**
 * Cuts the power of a disk while a program writes to it.
 *
 * The disk is an ext4 in a file. Its blocks get into that file when the kernel writes them to its loop device, as a
 * flush makes it do, and not before. So a copy of the file, taken while the writer is stopped, is the disk as a power
 * cut leaves it (of a disk that keeps what it was sent: what a drive's own volatile cache would lose is not shown).
 */
import { execFileSync, spawn } from "node:child_process"
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { Effect, type Scope } from "effect"
import { expect } from "vitest"

const imageBytes = 128 * 1024 * 1024

const command = (name: string, ...args: ReadonlyArray<string>) => execFileSync(name, args, { stdio: "pipe" })

/** Why loop devices cannot be used here, or undefined. */
export const obstacle = (): string | undefined => {
  if (process.getuid?.() !== 0) return "mounting needs root"
  if (!existsSync("/dev/loop-control")) return "there are no loop devices"
  try {
    command("mkfs.ext4", "-V")
    return undefined
  } catch {
    return "there is no mkfs.ext4"
  }
}

export const mounted = (image: string, at: string): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(at, { recursive: true })
      command("mount", "-o", "loop", image, at)
    }),
    () => Effect.sync(() => command("umount", at))
  )

/** In memory where there is room: the image's own disk has no part in the test, and copies of it are quick there. */
const place = (): string => {
  const memory = "/dev/shm"
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > 4 * imageBytes ? memory : tmpdir()
}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(place(), "artifacts-powercut-"))),
  (made) => Effect.sync(() => rmSync(made, { force: true, recursive: true }))
)

const checksumOf = (file: string): number => crc32(readFileSync(file))

/** Copies until two copies agree, so that the kernel wrote nothing meanwhile: a power cut takes no time. */
const frozenCopy = (image: string, copy: string): void => {
  let before = -1
  for (;;) {
    copyFileSync(image, copy)
    const now = checksumOf(copy)
    if (now === before) return
    before = now
  }
}

/** Waits until the writer is well under way: how long a process takes to start says nothing about what it writes. */
const begun = Effect.fnUntraced(function* (output: string) {
  for (let tenths = 0; tenths < 300 && statSync(output).size < 1000; tenths++) yield* Effect.sleep(100)
})

/** Lets the writer run for a while, then cuts: gives the lines that it had said by then. */
const cut = (image: string, copy: string, writer: string, args: ReadonlyArray<string>, ms: number) =>
  Effect.gen(function* () {
    const output = `${copy}.acknowledged`
    const out = openSync(output, "w")
    const program = new URL(writer, import.meta.url).pathname
    const child = spawn(process.execPath, ["--no-warnings", program, ...args], { stdio: ["ignore", out, "inherit"] })
    closeSync(out)
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    yield* begun(output)
    yield* Effect.sleep(ms)
    child.kill("SIGSTOP")
    yield* Effect.sleep(20)
    frozenCopy(image, copy)
    // A writer that ended by itself would not have been cut.
    expect(child.exitCode).toBe(null)
    child.kill("SIGKILL")
    yield* Effect.promise(() => gone)
    return readFileSync(output, "utf8").split("\n").slice(0, -1)
  })

export interface Cut {
  /** A program beside this file: its first argument is a directory on the disk whose power is cut. */
  readonly writer: string
  readonly args: ReadonlyArray<string>
  readonly ms: number
}

/** A writer on a disk of its own, and what it had said when the power went; and where the disk is to be seen then. */
export const powerCut = Effect.fnUntraced(function* ({ writer, args, ms }: Cut) {
  const made = yield* directory
  const image = join(made, "disk")
  const copy = join(made, "copy")
  closeSync(openSync(image, "w"))
  truncateSync(image, imageBytes)
  // All of it at once: the kernel would go on for a while otherwise, and no two copies would agree.
  command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
  const before = join(made, "before")
  yield* mounted(image, before)
  const said = yield* cut(image, copy, writer, [before, ...args], ms)
  const after = join(made, "after")
  yield* mounted(copy, after)
  return { said, after }
})
