/** Files on their way into the store: written and synced under a name of their own, invisible until they are whole. */
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  fstatSync,
  futimesSync,
  open as openFile,
  openSync,
  readlinkSync,
  unlinkSync,
  write,
  writeSync
} from "node:fs"
import { mkdir, open, readdir, stat, unlink, utimes } from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { mayGoDirect, openDirect } from "./direct.ts"
import { codeOf } from "./fault.ts"
import type { Flusher } from "./flush.ts"

/**
 * What only touches the page cache is called at once: a way through the thread pool and back costs more than the call
 * itself. More bytes than this are copied by the pool, and what waits for the disk always is.
 */
const atOnceBytesMax = 256 * 1024

const openLater = promisify(openFile)
const writeLater = promisify(write)

/** What a process elsewhere left behind is given this long: nobody writes one object for a day. */
const strangerMsMax = 24 * 60 * 60 * 1000

/** Where process numbers mean the same as here: a host, or one container of it. */
const spaceOf = (): string => {
  let space = ""
  try {
    space = readlinkSync("/proc/self/ns/pid")
  } catch {
    // There are no process namespaces here, so the host's name is all there is to tell.
  }
  return createHash("sha256").update(`${hostname()} ${space}`).digest("hex").slice(0, 12)
}

export interface Temporary {
  readonly path: string
  readonly etag: string
}

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return codeOf(cause) !== "ESRCH"
  }
}

let lastMicros = 0

/** Wall time in microseconds that never repeats in this process: two objects under one key never share their etag. */
const stampMicros = (): number => {
  lastMicros = Math.max(lastMicros + 1, Math.floor((performance.timeOrigin + performance.now()) * 1000))
  return lastMicros
}

interface Stat {
  readonly ino: bigint
  readonly mtimeNs: bigint
  readonly size: bigint
}

/** An object is never changed in place, so its file, the moment it was written and its size tell it from all others. */
export const etagOf = (at: Stat): string =>
  `"${at.ino.toString(36)}-${at.mtimeNs.toString(36)}-${at.size.toString(36)}"`

const writeAll = async (fd: number, bytes: Uint8Array): Promise<void> => {
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at
    if (left <= atOnceBytesMax) at += writeSync(fd, bytes, at, left, at)
    else at += (await writeLater(fd, bytes, at, left, at)).bytesWritten
  }
}

/** What becomes of it does not hide why it is not wanted: a store that is away keeps it until it is swept. */
const discard = (path: string): void => {
  try {
    unlinkSync(path)
  } catch {}
}

/** Past the page cache where the disk takes it so; a refusal comes before the first byte. */
const writeDirect = async (path: string, bytes: Uint8Array): Promise<number | undefined> => {
  const fd = await openDirect(path)
  if (fd === undefined) return undefined
  try {
    for (let at = 0; at < bytes.length; ) at += (await writeLater(fd, bytes, at, bytes.length - at, at)).bytesWritten
    return fd
  } catch (cause) {
    closeSync(fd)
    discard(path)
    if (codeOf(cause) === "EINVAL") return undefined
    throw cause
  }
}

interface Open {
  readonly path: string
  readonly fd: number
}

/**
 * A file that is made and opened while the one before it is being synced: to make a file is the larger part of storing
 * little, where files were removed shortly before most of all.
 */
class Spare {
  private next: Promise<Open | undefined> | undefined
  private isOver = false
  private readonly fresh: () => string

  constructor(fresh: () => string) {
    this.fresh = fresh
  }

  prepare(): void {
    if (this.isOver || this.next !== undefined) return
    const path = this.fresh()
    this.next = openLater(path, "wx", 0o600).then(
      (fd) => ({ path, fd }),
      // Whoever needs one says what is wrong.
      () => undefined
    )
  }

  async take(): Promise<Open> {
    const { next } = this
    this.next = undefined
    const prepared = await next
    if (prepared !== undefined) return prepared
    const path = this.fresh()
    return { path, fd: openSync(path, "wx", 0o600) }
  }

  async end(): Promise<void> {
    this.isOver = true
    const left = await this.next
    if (left === undefined) return
    closeSync(left.fd)
    discard(left.path)
  }
}

const written = async (spare: Spare, fresh: () => string, bytes: Uint8Array): Promise<Open> => {
  if (mayGoDirect(bytes)) {
    const path = fresh()
    const fd = await writeDirect(path, bytes)
    if (fd !== undefined) return { path, fd }
  }
  const open = await spare.take()
  try {
    await writeAll(open.fd, bytes)
    return open
  } catch (cause) {
    closeSync(open.fd)
    discard(open.path)
    throw cause
  }
}

export interface Temporaries {
  /** Writes and syncs. It is the caller's to link or rename into place, and to remove. */
  readonly write: (bytes: Uint8Array) => Promise<Temporary>
  /** Gives the file a moment after this one, when the clock has not moved since, and its new etag. */
  readonly younger: (temporary: Temporary, than: Stat) => Promise<string>
  /** Removes what dead processes have left. */
  readonly sweep: () => Promise<number>
  /** Nothing is written any more. */
  readonly end: () => Promise<void>
}

export const temporaries = (directory: string, { flush, synced }: Flusher): Temporaries => {
  const own = `${spaceOf()}-${process.pid}-${randomUUID().slice(0, 8)}`
  let count = 0
  const fresh = () => join(directory, `${own}-${++count}`)
  const spare = new Spare(fresh)
  const prepare = () => spare.prepare()

  const abandoned = async (name: string): Promise<boolean> => {
    const [space, pid] = name.split("-")
    if (space === spaceOf()) return !lives(Number(pid))
    const { mtimeMs } = await stat(join(directory, name))
    return performance.timeOrigin + performance.now() - mtimeMs > strangerMsMax
  }
  return {
    write: async (bytes) => {
      const { fd, path } = await written(spare, fresh, bytes)
      try {
        const seconds = stampMicros() / 1e6
        futimesSync(fd, seconds, seconds)
        // Beside the sync; where there is none, when the caller has nothing else to do.
        if (synced) spare.prepare()
        else setImmediate(prepare)
        await flush(fd, bytes.length <= atOnceBytesMax)
        return { path, etag: etagOf(fstatSync(fd, { bigint: true })) }
      } catch (cause) {
        discard(path)
        throw cause
      } finally {
        closeSync(fd)
      }
    },
    younger: async (temporary, than) => {
      const now = await stat(temporary.path, { bigint: true })
      if (now.mtimeNs > than.mtimeNs) return temporary.etag
      // Seconds are a double here, exact to a quarter of a microsecond: two of them are surely later.
      const seconds = Number(than.mtimeNs / 1000n + 2n) / 1e6
      await utimes(temporary.path, seconds, seconds)
      const handle = await open(temporary.path, "r")
      try {
        await handle.sync()
        return etagOf(await handle.stat({ bigint: true }))
      } finally {
        await handle.close()
      }
    },
    sweep: async () => {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      let swept = 0
      for (const name of await readdir(directory)) {
        try {
          if (!(await abandoned(name))) continue
          await unlink(join(directory, name))
          swept++
        } catch (cause) {
          // Another process sweeps, or finishes its own, at the same time.
          if (codeOf(cause) !== "ENOENT") throw cause
        }
      }
      return swept
    },
    end: () => spare.end()
  }
}
