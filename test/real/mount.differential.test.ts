/** Random operations on two mounts of one workspace and on a local directory: answers, errors and bytes agree. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { binding } from "../../adapters/fuse-native/binding.ts"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`mounts are not compared with a local directory: ${why}`)

const runs = Number(process.env["MOUNT_RUNS"] ?? 15)
const seed = Number(process.env["MOUNT_SEED"] ?? Date.now() % 1_000_000)
const patientMs = 240_000

type Host = 0 | 1
type Operation = { readonly host: Host } & (
  | { readonly op: "mkdir" | "rmdir" | "unlink" | "list" | "read" | "stat" | "readlink"; readonly path: string }
  | { readonly op: "write" | "append"; readonly path: string; readonly size: number; readonly fill: number }
  | { readonly op: "truncate"; readonly path: string; readonly size: number }
  | { readonly op: "chmod"; readonly path: string; readonly mode: number }
  | { readonly op: "utimes"; readonly path: string; readonly at: number }
  | { readonly op: "rename" | "link" | "symlink"; readonly path: string; readonly to: string }
  | { readonly op: "open"; readonly path: string; readonly slot: number; readonly flags: string }
  | { readonly op: "close" | "fstat" | "readAt"; readonly slot: number; readonly offset: number }
  | {
      readonly op: "writeAt"
      readonly slot: number
      readonly offset: number
      readonly size: number
      readonly fill: number
    }
  | { readonly op: "ftruncate"; readonly slot: number; readonly size: number }
)

const host = fc.constantFrom<Host>(0, 1)
const name = fc.constantFrom("a", "b", "c", "d")
const path = fc.oneof(
  { weight: 3, arbitrary: name },
  { weight: 2, arbitrary: fc.tuple(name, name).map((parts) => parts.join("/")) },
  { weight: 1, arbitrary: fc.tuple(name, name, name).map((parts) => parts.join("/")) }
)
// Around the edges that matter: a page, a request, and more than one of them.
const size = fc.oneof(fc.nat(100), fc.constantFrom(0, 4095, 4096, 4097, 131_072, 200_000), fc.nat(70_000))
const fill = fc.integer({ min: 1, max: 255 })
const slot = fc.nat(2)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ host, op: fc.constant("mkdir" as const), path }) },
  fc.record({ host, op: fc.constantFrom("rmdir" as const, "unlink" as const, "list" as const), path }),
  fc.record({ host, op: fc.constantFrom("read" as const, "stat" as const, "readlink" as const), path }),
  {
    weight: 4,
    arbitrary: fc.record({ host, op: fc.constantFrom("write" as const, "append" as const), path, size, fill })
  },
  fc.record({ host, op: fc.constant("truncate" as const), path, size }),
  fc.record({ host, op: fc.constant("chmod" as const), path, mode: fc.constantFrom(0o600, 0o644, 0o755, 0o4755) }),
  fc.record({ host, op: fc.constant("utimes" as const), path, at: fc.nat(2_000_000_000) }),
  {
    weight: 3,
    arbitrary: fc.record({
      host,
      op: fc.constantFrom("rename" as const, "link" as const, "symlink" as const),
      path,
      to: path
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      host,
      op: fc.constant("open" as const),
      path,
      slot,
      flags: fc.constantFrom("r", "r+", "w+", "a+", "wx")
    })
  },
  fc.record({ host, op: fc.constantFrom("close" as const, "fstat" as const, "readAt" as const), slot, offset: size }),
  { weight: 3, arbitrary: fc.record({ host, op: fc.constant("writeAt" as const), slot, offset: size, size, fill }) },
  fc.record({ host, op: fc.constant("ftruncate" as const), slot, size })
)

const bytes = (length: number, byte: number) => Buffer.alloc(length, byte)
const digest = (data: Buffer) => `${data.length}:${Buffer.from(data).toString("base64").slice(0, 40)}:${checksum(data)}`
const checksum = (data: Buffer) => {
  let sum = 0
  for (const [at, byte] of data.entries()) if (byte !== 0) sum = (Math.imul(sum, 31) + byte * (at + 1)) | 0
  return sum
}

const shown = (stat: { mode: number; nlink: number; size: number; isDirectory: () => boolean }) => ({
  mode: stat.mode,
  nlink: stat.nlink,
  ...(stat.isDirectory() ? {} : { size: stat.size })
})

/** A place with its open files; each of its hosts has its own root. */
class Place {
  readonly roots: readonly [string, string]
  readonly open = new Map<number, number>()

  constructor(roots: readonly [string, string]) {
    this.roots = roots
  }

  do(operation: Operation): unknown {
    try {
      return this.try(operation) ?? "done"
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error)
    }
  }

  private try(operation: Operation): unknown {
    const at = (path: string) => join(this.roots[operation.host], path)
    switch (operation.op) {
      case "mkdir":
        return mkdirSync(at(operation.path))
      case "rmdir":
        return rmdirSync(at(operation.path))
      case "unlink":
        return unlinkSync(at(operation.path))
      case "list":
        return readdirSync(at(operation.path)).sort()
      case "read":
        return digest(readFileSync(at(operation.path)))
      case "stat":
        return shown(lstatSync(at(operation.path)))
      case "readlink":
        return readlinkSync(at(operation.path))
      case "write":
        return writeFileSync(at(operation.path), bytes(operation.size, operation.fill))
      case "append":
        return appendFileSync(at(operation.path), bytes(operation.size, operation.fill))
      case "truncate":
        return truncateSync(at(operation.path), operation.size)
      case "chmod":
        return chmodSync(at(operation.path), operation.mode)
      case "utimes":
        utimesSync(at(operation.path), operation.at, operation.at)
        return lstatSync(at(operation.path)).isSymbolicLink() ? "link" : lstatSync(at(operation.path)).mtimeMs
      case "rename":
        return renameSync(at(operation.path), at(operation.to))
      case "link":
        return linkSync(at(operation.path), at(operation.to))
      case "symlink":
        return symlinkSync(operation.path, at(operation.to))
      default:
        return this.tryOpen(operation, at)
    }
  }

  private tryOpen(operation: Operation & { readonly slot: number }, at: (path: string) => string): unknown {
    const fd = this.open.get(operation.slot)
    if (operation.op === "open") {
      if (fd !== undefined) return "taken"
      this.open.set(operation.slot, openSync(at(operation.path), operation.flags))
      return "open"
    }
    if (fd === undefined) return "closed"
    switch (operation.op) {
      case "close":
        this.open.delete(operation.slot)
        return closeSync(fd)
      case "fstat":
        return shown(fstatSync(fd))
      case "readAt": {
        const into = Buffer.alloc(5000)
        return digest(into.subarray(0, readSync(fd, into, 0, into.length, operation.offset)))
      }
      case "writeAt":
        return writeSync(fd, bytes(operation.size, operation.fill), 0, operation.size, operation.offset)
      case "ftruncate":
        return ftruncateSync(fd, operation.size)
      default:
        throw new Error(`${operation.op} is no operation of an open file`)
    }
  }

  /** All that is there, as one of the hosts sees it. */
  tree(from: Host, below = ""): ReadonlyArray<unknown> {
    const root = this.roots[from]
    return readdirSync(join(root, below), { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const path = join(below, entry.name)
        const stat = shown(lstatSync(join(root, path)))
        if (entry.isDirectory()) return [[path, stat], ...this.tree(from, path)]
        return [[path, stat, entry.isFile() ? digest(readFileSync(join(root, path))) : readlinkSync(join(root, path))]]
      })
  }

  end(): void {
    for (const fd of this.open.values()) closeSync(fd)
    this.open.clear()
  }
}

/** With the tree in memory, or without. */
const bounded = ["--replica-entries", "0"]
const throughLibfuse = ["--fuse", "native"]
const kinds: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
  ["two mounts", [], []],
  ["a mount, another one without a replica", [], bounded],
  ["two mounts without a replica", bounded, bounded],
  ...(typeof binding() === "string" ? [] : [["a mount through libfuse, another one", throughLibfuse, []] as const])
]

describe.skipIf(why !== undefined).each(kinds)("%s and a local directory", (_, first, second) => {
  let hosts: Hosts
  let mounts: readonly [string, string]
  let local: string

  beforeAll(async () => {
    hosts = new Hosts()
    await hosts.begin()
    mounts = [await hosts.mount("demo", "a", ...first), await hosts.mount("demo", "b", ...second)]
    local = mkdtempSync(join(tmpdir(), "artifacts-local-"))
  }, patientMs)

  afterAll(async () => {
    await hosts.end()
    rmSync(local, { recursive: true, force: true })
  }, patientMs)

  const told = (mount: string) => {
    const stats = readFileSync(join(mount, ".stats"), "utf8")
    const number = (name: string): number => Number(new RegExp(`_${name} (\\d+)`).exec(stats)?.[1] ?? 0)
    return { version: number("replica_version"), ahead: number("ahead_depth") }
  }

  /**
   * What one host has done is known to the other: the promise is a few milliseconds, and the comparison wants none.
   * What was made ahead of the workspace is in no version yet.
   */
  const settled = () => {
    for (let tries = 0; ; tries++) {
      const [one, other] = [told(mounts[0]), told(mounts[1])]
      if (one.ahead + other.ahead === 0 && one.version === other.version) return
      if (tries > 10_000) throw new Error("the hosts do not come to the same version")
    }
  }

  it(
    "agree",
    () => {
      let round = 0
      let done = 0
      fc.assert(
        fc.property(
          fc.array(operation, { minLength: 10, maxLength: 60, size: "max" }),
          fc.boolean(),
          (operations, isOne) => {
            round += 1
            const under = `round-${round}`
            mkdirSync(join(mounts[0], under))
            mkdirSync(join(local, under))
            settled()
            const roots = [join(mounts[0], under), join(mounts[1], under)] as const
            const mounted = new Place(isOne ? [roots[0], roots[0]] : roots)
            const plain = new Place([join(local, under), join(local, under)])
            let last: Host = 0
            try {
              for (const operation of operations) {
                // Open files of one host are not another's: what they have written is there when they are flushed.
                const isOpen = mounted.open.size > 0
                const one: Operation = isOpen ? { ...operation, host: last } : operation
                if (!isOne && one.host !== last) settled()
                last = one.host
                done += 1
                expect([one, mounted.do(one)]).toEqual([one, plain.do(one)])
              }
            } finally {
              mounted.end()
              plain.end()
            }
            settled()
            expect(mounted.tree(0)).toEqual(plain.tree(0))
            expect(mounted.tree(1)).toEqual(plain.tree(0))
            rmSync(roots[0], { recursive: true, force: true })
            rmSync(join(local, under), { recursive: true, force: true })
          }
        ),
        { numRuns: runs, seed, endOnFailure: false }
      )
      console.log(`${done} operations in ${round} rounds, seed ${seed}`)
    },
    patientMs
  )
})
