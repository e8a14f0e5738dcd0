/** One flat directory of the local disk as a file system: what is on disk outlives whoever serves it. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  truncateSync,
  unlinkSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import type { AsyncFiles, Entry, Errno, Listed, Stat, SyncFiles } from "../../runtime/ports/mount.ts"

/** How long the main thread takes for each request, so that some are under way whenever it dies. */
const thinkMs = 1
const forMs = 60_000

class Flat {
  private readonly dir: string
  private readonly names = new Map<number, string>()

  constructor(dir: string) {
    this.dir = dir
  }

  path(name: string): string {
    return join(this.dir, name)
  }

  stat(path: string): Stat {
    const { atimeMs, blocks, ctimeMs, gid, ino, mode, mtimeMs, nlink, size, uid } = lstatSync(path)
    const time = (ms: number) => [Math.floor(ms / 1000), Math.floor((ms % 1000) * 1e6)] as const
    const [atimeS, atimeNs] = time(atimeMs)
    const [mtimeS, mtimeNs] = time(mtimeMs)
    const [ctimeS, ctimeNs] = time(ctimeMs)
    const times = { atimeS, atimeNs, mtimeS, mtimeNs, ctimeS, ctimeNs }
    return { ino: path === this.dir ? 1 : ino, mode, nlink, uid, gid, rdev: 0, size, used: blocks * 512, ...times }
  }

  entry(name: string): Entry {
    const stat = this.stat(this.path(name))
    this.names.set(stat.ino, name)
    return { stat, entryMs: forMs, attrMs: forMs }
  }

  /** Whoever took over knows no names yet, and the disk gives numbers out again: then they are looked for. */
  at(node: number): string {
    if (node === 1) return this.dir
    const known = this.names.get(node)
    if (known !== undefined && caught(() => lstatSync(this.path(known)).ino) === node) return this.path(known)
    const name = readdirSync(this.dir).find((other) => caught(() => lstatSync(this.path(other)).ino) === node)
    if (name === undefined) throw Object.assign(new Error(`inode ${node} is gone`), { code: "ESTALE" })
    return this.path(name)
  }

  open<A>(node: number, use: (fd: number) => A): A {
    const fd = openSync(this.at(node), constants.O_RDWR)
    try {
      return use(fd)
    } finally {
      closeSync(fd)
    }
  }
}

const caught = <A>(once: () => A): A | Errno => {
  try {
    return once()
  } catch (error) {
    return ((error as NodeJS.ErrnoException).code ?? "EIO") as Errno
  }
}

export const open = (data: unknown): SyncFiles => {
  const flat = new Flat(data as string)
  function* listed(offset: number): Generator<Listed> {
    const all = [".", "..", ...readdirSync(data as string).sort()]
    for (let at = offset; at < all.length; at++) {
      const name = all[at] ?? ""
      const stat = name.startsWith(".") ? flat.stat(flat.at(1)) : flat.entry(name).stat
      if (stat !== undefined) yield { name, next: at + 1, stat, entryMs: forMs, attrMs: forMs }
    }
  }
  return {
    lookup: ({ name }) => caught(() => flat.entry(name)),
    getattr: ({ node }) => caught(() => ({ stat: flat.stat(flat.at(node)), attrMs: forMs })),
    opendir: () => ({}),
    readdir: ({ offset }) => listed(offset),
    releasedir: () => undefined,
    open: ({ flags, node }) =>
      caught(() => {
        if ((flags & constants.O_TRUNC) !== 0) truncateSync(flat.at(node))
        return {}
      }),
    read: ({ node, offset, size }, out) => caught(() => flat.open(node, (fd) => readSync(fd, out, 0, size, offset))),
    flush: () => undefined,
    release: () => undefined
  }
}

const thinking = <A>(once: () => A): Effect.Effect<A, Errno> =>
  Effect.sleep(thinkMs).pipe(
    Effect.andThen(
      Effect.try({ try: once, catch: (error) => ((error as NodeJS.ErrnoException).code ?? "EIO") as Errno })
    )
  )

export const slowly = (dir: string): AsyncFiles => {
  const flat = new Flat(dir)
  return {
    write: ({ data, node, offset }) =>
      thinking(() => flat.open(node, (fd) => writeSync(fd, data, 0, data.length, offset))),
    fsync: ({ node }) => thinking((): undefined => flat.open(node, (fd) => void fdatasyncSync(fd)) as undefined),
    create: ({ mode, name, resent }) =>
      thinking(() => {
        // Sent again, it may have been made by the one before.
        const fd = openSync(flat.path(name), resent ? "a" : "wx", mode & 0o7777)
        fstatSync(fd)
        closeSync(fd)
        return { entry: flat.entry(name), opened: {} }
      }),
    unlink: ({ name, resent }) =>
      thinking((): undefined => {
        const gone = caught(() => unlinkSync(flat.path(name)))
        if (typeof gone === "string" && !(gone === "ENOENT" && resent))
          throw Object.assign(new Error(gone), { code: gone })
        return undefined
      })
  }
}
