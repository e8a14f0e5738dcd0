/** What is done to each directory of the files bench, a row at a time, so that all of them meet the same machine. */
import { execFileSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Sizes: `--files N` for the small ones, `--small N` for those of 128 KiB, `--mib N` for the large one. */
export interface Sizes {
  readonly files: number
  readonly small: number
  readonly mib: number
}

export interface Row {
  readonly name: string
  readonly unit: string
  readonly count: (sizes: Sizes) => number
  /** What must have happened before, and is not measured. */
  readonly before?: (under: string, sizes: Sizes) => void
  readonly work: (under: string, sizes: Sizes) => void
  /** How many requests came to the process that serves the mount is told too, where it can be known. */
  readonly counted?: boolean
  /** A mount is ended and made again before. */
  readonly remounted?: boolean
}

const block = Buffer.alloc(1024 * 1024, "artifacts ")
const smallBytes = Buffer.alloc(128 * 1024, "x")

export const put = (path: string, bytes: Buffer): void => {
  const fd = openSync(path, "w")
  if (bytes.length > 0) writeSync(fd, bytes)
  closeSync(fd)
}

const walk = (directory: string): number => {
  let found = 0
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    found += 1
    if (lstatSync(path).isDirectory()) found += walk(path)
  }
  return found
}

const readAll = (path: string): void => {
  const fd = openSync(path, "r")
  const into = Buffer.alloc(1024 * 1024)
  while (readSync(fd, into) > 0);
  closeSync(fd)
}

/** The kernel forgets all pages and names, of every directory and of what lies under it. */
const forget = (): void => {
  execFileSync("sync")
  writeFileSync("/proc/sys/vm/drop_caches", "3")
}

/** Each directory of a hundred files, as trees have them. */
const spread = (root: string, at: number): string => join(root, "tree", `d${Math.floor(at / 100)}`, `f${at % 100}`)
const large = (under: string): string => join(under, "large")
const small = (under: string, at: number): string => join(under, "small", `f${at}`)

/** Its own files lie on the local disk: what is measured is how it looks at the tree. */
const gitOf = (under: string): string => `${under.replaceAll("/", "-").slice(-100)}.git`
const git = (under: string, ...args: ReadonlyArray<string>) =>
  execFileSync("git", ["--git-dir", join(gitPlace(), gitOf(under)), "--work-tree", join(under, "tree"), ...args], {
    stdio: "pipe"
  })
let place: string | undefined
const gitPlace = (): string => {
  place ??= mkdtempSync(join(tmpdir(), "artifacts-bench-git-"))
  return place
}
export const cleanGits = (): void => {
  if (place !== undefined) rmSync(place, { recursive: true, force: true })
}

/** Requests that the process behind a mount has had; of other mounts it is not known. */
export const requestsOf = (root: string): number | undefined => {
  const stats = join(root, ".stats")
  if (!existsSync(stats)) return undefined
  const [, ops] = /^artifacts_ops (\d+)$/m.exec(readFileSync(stats, "utf8")) ?? []
  return ops === undefined ? undefined : Number(ops)
}

const filesOf = ({ files }: Sizes): number => files
const mibOf = ({ mib }: Sizes): number => mib

const writeLarge = (under: string, { mib }: Sizes): void => {
  const fd = openSync(large(under), "w")
  for (let at = 0; at < mib; at++) writeSync(fd, block)
  fsyncSync(fd)
  closeSync(fd)
}

export const rows: ReadonlyArray<Row> = [
  {
    name: "create and close, empty",
    unit: "files/s",
    count: filesOf,
    before: (under, { files }) => {
      for (let at = 0; at < files; at += 100) mkdirSync(join(spread(under, at), ".."), { recursive: true })
    },
    work: (under, { files }) => {
      for (let at = 0; at < files; at++) put(spread(under, at), Buffer.alloc(0))
    }
  },
  { name: "walk, first", unit: "files/s", count: filesOf, work: (under) => void walk(join(under, "tree")) },
  {
    name: "walk, again",
    unit: "files/s",
    count: filesOf,
    work: (under) => void walk(join(under, "tree")),
    counted: true
  },
  {
    // Whoever is asked for a listing is asked for the directory's times once more.
    name: "walk, a third time",
    unit: "files/s",
    count: filesOf,
    work: (under) => void walk(join(under, "tree")),
    counted: true
  },
  {
    name: "walk, first after a mount",
    unit: "files/s",
    count: filesOf,
    remounted: true,
    before: forget,
    work: (under) => void walk(join(under, "tree")),
    counted: true
  },
  {
    name: "git status, again",
    unit: "files/s",
    count: filesOf,
    before: (under) => {
      git(under, "init", "-q")
      git(under, "add", "-A")
      git(under, "status", "--short")
    },
    work: (under) => void git(under, "status", "--short"),
    counted: true
  },
  {
    name: "write 128 KiB and close",
    unit: "files/s",
    count: (sizes) => sizes.small,
    before: (under) => mkdirSync(join(under, "small")),
    work: (under, sizes) => {
      for (let at = 0; at < sizes.small; at++) put(small(under, at), smallBytes)
    }
  },
  { name: "write, 1 MiB at a time, and fsync", unit: "MiB/s", count: mibOf, work: writeLarge },
  { name: "read again", unit: "MiB/s", count: mibOf, work: (under) => readAll(large(under)) },
  {
    name: "read, nothing in the kernel",
    unit: "MiB/s",
    count: mibOf,
    before: forget,
    work: (under) => readAll(large(under))
  },
  {
    name: "read 128 KiB, nothing in the kernel",
    unit: "files/s",
    count: (sizes) => sizes.small,
    before: forget,
    work: (under, sizes) => {
      for (let at = 0; at < sizes.small; at++) readAll(small(under, at))
    }
  },
  {
    name: "remove",
    unit: "files/s",
    count: (sizes) => sizes.files + sizes.small,
    work: (under) => rmSync(under, { recursive: true })
  }
]
