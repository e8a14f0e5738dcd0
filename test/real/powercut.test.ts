/**
 * Power cuts under the SQLite journal: what was acknowledged is there, though only what reached the disk survives.
 *
 * The database lies on an ext4 in a file. Its blocks get into that file when the kernel writes them to its loop
 * device, as a flush makes it do, and not before. So a copy of the file, taken while the writer is stopped, is the
 * disk as a power cut leaves it (of a disk that keeps what it was sent: what a drive's own volatile cache would lose
 * is not shown).
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
import { Context, Effect, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { layer } from "../../adapters/sqlite/journal.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { placed, readAll } from "../contract/journal.ts"
import { skipped } from "./servers.ts"

const imageBytes = 128 * 1024 * 1024

const command = (name: string, ...args: ReadonlyArray<string>) => execFileSync(name, args, { stdio: "pipe" })

/** Why loop devices cannot be used here, or undefined. */
const obstacle = (): string | undefined => {
  if (process.getuid?.() !== 0) return "mounting needs root"
  if (!existsSync("/dev/loop-control")) return "there are no loop devices"
  try {
    command("mkfs.ext4", "-V")
    return undefined
  } catch {
    return "there is no mkfs.ext4"
  }
}

const why = obstacle()
if (why !== undefined) skipped("test/real/powercut.test.ts", why)

const mounted = (image: string, at: string): Effect.Effect<void, unknown, Scope.Scope> =>
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

/** Waits until the writer is well under way: how long a process takes to start says nothing about its journal. */
const begun = Effect.fnUntraced(function* (output: string) {
  for (let tenths = 0; tenths < 300 && statSync(output).size < 1000; tenths++) yield* Effect.sleep(100)
})

/** Lets the writer run for a while, then cuts: gives the last acknowledged version of each shard. */
const cut = (image: string, copy: string, file: string, durability: string, ms: number) =>
  Effect.gen(function* () {
    const output = `${copy}.acknowledged`
    const out = openSync(output, "w")
    const writer = new URL("powercut-writer.ts", import.meta.url).pathname
    const child = spawn(process.execPath, ["--no-warnings", writer, file, durability], {
      stdio: ["ignore", out, "inherit"]
    })
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
    const last = new Map<number, number>()
    for (const line of readFileSync(output, "utf8").split("\n").slice(0, -1)) {
      const [shard = 0, version = 0] = line.split(" ").map(Number)
      last.set(shard, version)
    }
    return last
  })

/** What the journal holds after the cut: the last version of each shard. Its entries have to be whole and dense. */
const survivors = (made: string, copy: string, shards: Iterable<number>) =>
  Effect.gen(function* () {
    const at = join(made, "after")
    yield* mounted(copy, at)
    const journal = Context.get(yield* Layer.build(layer({ file: join(at, "journal.db") })), Journal)
    const found = new Map<number, number>()
    for (const shard of shards) {
      yield* journal.claim(shard, "after the cut")
      const kept = placed(yield* readAll(journal, shard)).map((read) => read.entry.version)
      expect(kept).toEqual(kept.map((_, index) => (kept[0] ?? 0) + index))
      found.set(shard, kept.at(-1) ?? 0)
    }
    return found
  }).pipe(Effect.scoped)

const round = (durability: string, ms: number) =>
  Effect.gen(function* () {
    const made = yield* directory
    const image = join(made, "disk")
    const copy = join(made, "copy")
    closeSync(openSync(image, "w"))
    truncateSync(image, imageBytes)
    // All of it at once: the kernel would go on for a while otherwise, and no two copies would agree.
    command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    const at = join(made, "before")
    yield* mounted(image, at)
    const acknowledged = yield* cut(image, copy, join(at, "journal.db"), durability, ms)
    const found = yield* survivors(made, copy, acknowledged.keys())
    let total = 0
    let lost = 0
    for (const [shard, version] of acknowledged) {
      total += version
      lost += Math.max(0, version - (found.get(shard) ?? 0))
    }
    return { lost, total }
  }).pipe(Effect.scoped)

describe.skipIf(why !== undefined)("power cuts", () => {
  it("lose nothing that was acknowledged with sync, wherever they come", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        for (const ms of [300, 900, 2100]) {
          const { lost, total } = yield* round("sync", ms)
          process.stderr.write(`power cut, sync: ${total} acknowledged, ${lost} lost\n`)
          expect(total).toBeGreaterThan(100)
          expect(lost).toBe(0)
        }
      })
    ))

  it("lose some of what was acknowledged without it, or this test would show nothing", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        // The kernel writes by itself every few seconds, and a cut just after that loses nothing: so a few are tried.
        let losses = 0
        for (let attempt = 0; attempt < 8 && losses === 0; attempt++) {
          const { lost, total } = yield* round("process", 150 + 100 * attempt)
          process.stderr.write(`power cut, process: ${total} acknowledged, ${lost} lost\n`)
          losses += lost
        }
        expect(losses).toBeGreaterThan(0)
      })
    ))
})
