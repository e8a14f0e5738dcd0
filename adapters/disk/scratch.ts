/** Scratch space in a directory of the local disk: cached blocks as files, and a stage of files that grow. */
import { closeSync, fstatSync, openSync, unlink, writevSync } from "node:fs"
import {
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  stat,
  statfs,
  unlink as unlinkLater,
  writeFile
} from "node:fs/promises"
import { dirname, join } from "node:path"
import { Effect, Stream } from "effect"
import { ScratchFailed, type Segment, type Shelf, type Shelved, type Tape } from "../../runtime/ports/scratch.ts"
import { codeOf } from "./fault.ts"

const failed = (operation: string, name: string, cause: unknown): ScratchFailed =>
  new ScratchFailed({ operation, name, why: cause instanceof Error ? cause.message : String(cause) })

/** What was begun is let finish: no file is left open. */
const attempt = <A>(operation: string, name: string, run: () => Promise<A>): Effect.Effect<A, ScratchFailed> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: (cause) => failed(operation, name, cause) }))

const isAbsent = (cause: unknown): boolean => codeOf(cause) === "ENOENT" || codeOf(cause) === "ENOTDIR"

/** Half-written files end so; no key does, for no part of one begins with a dot. */
const unfinished = ".new"
const pageMax = 512

async function* walk(root: string, folder: string): AsyncGenerator<Shelved> {
  const entries = await opendir(join(root, folder)).catch((cause: unknown) => {
    if (isAbsent(cause)) return undefined
    throw cause
  })
  for await (const entry of entries ?? []) {
    const name = folder === "" ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) yield* walk(root, name)
    else if (entry.name.endsWith(unfinished)) await unlinkLater(join(root, name)).catch(() => undefined)
    else {
      const found = await stat(join(root, name)).catch(() => undefined)
      if (found !== undefined) yield { name, size: found.size }
    }
  }
}

async function* pages(root: string): AsyncGenerator<ReadonlyArray<Shelved>> {
  let page: Array<Shelved> = []
  for await (const one of walk(root, "")) {
    page.push(one)
    if (page.length < pageMax) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

/** Blocks below a directory that nobody else writes to, by their names as paths. It is made when it is needed. */
export const shelf = (root: string): Shelf => {
  let written = 0
  const write = async (name: string, bytes: Uint8Array): Promise<void> => {
    const path = join(root, name)
    const fresh = join(dirname(path), `.${process.pid}-${++written}${unfinished}`)
    // Whole or not there: a reader after a crash meets no half of a block. Power loss is found by the digest.
    const put = () => writeFile(fresh, bytes, { mode: 0o600 })
    await put().catch(async (cause: unknown) => {
      if (!isAbsent(cause)) throw cause
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await put()
    })
    try {
      await rename(fresh, path)
    } catch (cause) {
      await unlinkLater(fresh).catch(() => undefined)
      throw cause
    }
  }
  const share = async (): Promise<number> => {
    await mkdir(root, { recursive: true, mode: 0o700 })
    const { bavail, blocks, ffree, files } = await statfs(root)
    return Math.min(bavail / Math.max(1, blocks), files === 0 ? 1 : ffree / files)
  }
  const orAbsent = <A>(asked: Promise<A>): Promise<A | undefined> =>
    asked.catch((cause: unknown) => {
      if (isAbsent(cause)) return undefined
      throw cause
    })
  return {
    read: (name) => attempt("read", name, () => orAbsent(readFile(join(root, name)))),
    write: (name, bytes) => attempt("write", name, () => write(name, bytes)),
    remove: (name) => attempt("remove", name, () => orAbsent(unlinkLater(join(root, name))).then(() => undefined)),
    list: Stream.fromAsyncIterable({ [Symbol.asyncIterator]: () => pages(root) }, (cause) =>
      failed("list", root, cause)
    ),
    free: attempt("look at", root, share)
  }
}

const segmentName = /^(\d{1,15})\.stage$/

interface OpenSegment {
  readonly number: number
  readonly fd: number
  size: number
}

/** Writes all of the pieces, or throws: what a full disk leaves of them is at the end and is not counted. */
const writeAll = (segment: OpenSegment, pieces: ReadonlyArray<Uint8Array>): number => {
  const at = segment.size
  let left = [...pieces]
  let position = at
  while (left.length > 0) {
    let done = writevSync(segment.fd, left, position)
    position += done
    const rest: Array<Uint8Array> = []
    for (const piece of left) {
      if (done >= piece.length) done -= piece.length
      else {
        rest.push(done === 0 ? piece : piece.subarray(done))
        done = 0
      }
    }
    left = rest
  }
  segment.size = position
  return at
}

/**
 * Removes one file after another, beside the thread that asks for it: to take its pages from memory is most of it. In
 * their order, for a later segment says of what is in an earlier one that it is over.
 */
class Drops {
  /** With the one that is being removed, which is the first. */
  private readonly paths = new Set<string>()

  has(path: string): boolean {
    return this.paths.has(path)
  }

  add(path: string): void {
    this.paths.add(path)
    if (this.paths.size === 1) this.remove(path)
  }

  /** One that cannot be removed stays: the next process finds in it what is over already, and drops it. */
  private remove(path: string): void {
    unlink(path, () => {
      this.paths.delete(path)
      const [next] = this.paths
      if (next !== undefined) this.remove(next)
    })
  }
}

/** Segments in a directory of their own, which is made here; the scope closes what is open. */
export const tape = (root: string) =>
  Effect.gen(function* () {
    yield* attempt("open", root, () => mkdir(root, { recursive: true, mode: 0o700 }))
    // Only the newest one is written to, so only that one is kept open.
    let current: OpenSegment | undefined
    const pathOf = (segment: number) => join(root, `${segment}.stage`)
    const close = () => {
      if (current !== undefined) closeSync(current.fd)
      current = undefined
    }
    yield* Effect.addFinalizer(() => Effect.sync(close))
    const openAt = (number: number): OpenSegment => {
      if (current?.number === number) return current
      close()
      const fd = openSync(pathOf(number), "a", 0o600)
      current = { number, fd, size: fstatSync(fd).size }
      return current
    }
    const append = (segment: number, pieces: ReadonlyArray<Uint8Array>): number | ScratchFailed => {
      try {
        return writeAll(openAt(segment), pieces)
      } catch (cause) {
        return failed("append", pathOf(segment), cause)
      }
    }
    const drops = new Drops()
    const segments = async (): Promise<ReadonlyArray<Segment>> => {
      const found: Array<Segment> = []
      for (const name of await readdir(root)) {
        const number = segmentName.exec(name)?.[1]
        if (number !== undefined && !drops.has(join(root, name)))
          found.push({ number: Number(number), size: (await stat(join(root, name))).size })
      }
      return found.sort((a, b) => a.number - b.number)
    }
    const read = async (segment: number, at: number, length: number): Promise<Uint8Array> => {
      const handle = await open(pathOf(segment), "r")
      try {
        const bytes = new Uint8Array(length)
        for (let done = 0; done < length; ) {
          const { bytesRead } = await handle.read(bytes, done, length - done, at + done)
          if (bytesRead === 0) throw new Error(`the segment ends ${length - done} bytes early`)
          done += bytesRead
        }
        return bytes
      } finally {
        await handle.close()
      }
    }
    const drop = (segment: number): void => {
      if (current?.number === segment) close()
      drops.add(pathOf(segment))
    }
    const made: Tape = {
      segments: attempt("list", root, segments),
      append,
      read: (segment, at, length) => attempt("read", pathOf(segment), () => read(segment, at, length)),
      drop
    }
    return made
  })
