/** A directory as an object store: each object is a file that appears whole, stays as it is and survives power loss. */
import { closeSync, fstatSync, linkSync, open, read as readFile, unlinkSync } from "node:fs"
import { mkdir, rename, stat, unlink } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { promisify } from "node:util"
import { Effect, Layer, Semaphore, Stream } from "effect"
import { keyFault } from "../../messages/keys.ts"
import {
  type Condition,
  ObjectConflict,
  ObjectMissing,
  Objects,
  type Range,
  type StoreFailed,
  StoreRefused
} from "../../runtime/ports/objects.ts"
import { type Durable, durable } from "./durable.ts"
import { codeOf, faultOf } from "./fault.ts"
import { Flusher } from "./flush.ts"
import { type Lock, open as openLock } from "./lock.ts"
import { etagOf, type Temporaries, type Temporary, temporaries } from "./temporary.ts"
import { walk } from "./walk.ts"

/** Names that no key can have. */
const newFolder = ".new"
const lockFile = ".lock"

/** Each operation holds one file open, and a process commonly may have a thousand, sockets among them. */
const openFilesMax = 256

/** Deletions hold the lock that conditional puts wait for, so they let others in between. */
const removedAtOnce = 64

/** A folder can only vanish by somebody else's hand between its making and its use. */
const placingsMax = 3

const openLater = promisify(open)
const readLater = promisify(readFile)

interface Directory {
  readonly root: string
  readonly lock: Lock
  readonly durable: Durable
  readonly temporaries: Temporaries
  readonly flusher: Flusher
}

type Outcome = { readonly etag: string } | "conflict"

const orUndefined = async <A>(asked: Promise<A>, ...codes: ReadonlyArray<string>): Promise<A | undefined> => {
  try {
    return await asked
  } catch (cause) {
    if (codes.includes(codeOf(cause))) return undefined
    throw cause
  }
}

const fileAt = async (path: string) => {
  const found = await orUndefined(stat(path, { bigint: true }), "ENOENT", "ENOTDIR")
  return found?.isFile() ? found : undefined
}

/** Links the file into place if nothing is there. A link never replaces, in no process, so it needs no lock. */
const linkNew = async (at: Directory, temporary: Temporary, target: string): Promise<boolean> => {
  for (let attempt = 1; ; attempt++) {
    try {
      linkSync(temporary.path, target)
      return true
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") return false
      if (codeOf(cause) !== "ENOENT" || attempt === placingsMax) throw cause
      // What is missing can be the store itself: its disk is not mounted, say. Nothing is made in its place.
      await stat(temporary.path)
      await at.durable.make(dirname(target))
    }
  }
}

/**
 * Renames over what is there, under the lock that every replacement and deletion takes: between the look at the etag
 * and the rename nobody else changes the key. The new file is made younger than the old one, so etags never return.
 */
const replace = (at: Directory, temporary: Temporary, target: string, etag: string | undefined): Promise<Outcome> =>
  at.lock.hold(async () => {
    const found = await fileAt(target)
    if (etag !== undefined && (found === undefined || etagOf(found) !== etag)) return "conflict"
    const next = found === undefined ? temporary.etag : await at.temporaries.younger(temporary, found)
    await rename(temporary.path, target)
    return { etag: next }
  })

const place = async (
  at: Directory,
  temporary: Temporary,
  target: string,
  condition: Condition | undefined
): Promise<Outcome> => {
  if (condition !== undefined && "etag" in condition) return replace(at, temporary, target, condition.etag)
  if (await linkNew(at, temporary, target)) return { etag: temporary.etag }
  if (condition === undefined) return replace(at, temporary, target, undefined)
  if ((await fileAt(target)) !== undefined) return "conflict"
  // What is in the way is a folder of other keys; or it was an object, deleted this moment.
  if ((await orUndefined(stat(target), "ENOENT"))?.isDirectory())
    throw Object.assign(new Error(target), { code: "EISDIR" })
  return "conflict"
}

/** A rename has taken it away already. */
const discard = (path: string): void => {
  try {
    unlinkSync(path)
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause
  }
}

const store = async (at: Directory, key: string, bytes: Uint8Array, condition?: Condition): Promise<Outcome> => {
  at.flusher.working += 1
  try {
    return await storeOne(at, key, bytes, condition)
  } finally {
    at.flusher.working -= 1
  }
}

const storeOne = async (at: Directory, key: string, bytes: Uint8Array, condition?: Condition): Promise<Outcome> => {
  const target = join(at.root, key)
  const temporary = await at.temporaries.write(bytes)
  let outcome: Outcome
  try {
    outcome = await place(at, temporary, target, condition)
  } finally {
    discard(temporary.path)
  }
  if (outcome !== "conflict") await at.durable.sync(dirname(target))
  return outcome
}

const readPart = async (fd: number, range: Range | undefined): Promise<Uint8Array | undefined> => {
  const found = fstatSync(fd)
  if (!found.isFile()) return undefined
  const from = Math.min(range?.offset ?? 0, found.size)
  // Every byte of it is read, or it is not given to anybody.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(Math.min(range?.length ?? found.size, found.size - from)).buffer)
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await readLater(fd, bytes, at, bytes.length - at, from + at)
    if (bytesRead === 0) throw new Error(`the file ends ${bytes.length - at} bytes early: somebody has changed it`)
    at += bytesRead
  }
  return bytes
}

/** Nothing is missing from a store that is away: its disk is not mounted, say. */
const isThere = async (root: string): Promise<undefined> => {
  const found = await orUndefined(stat(root), "ENOENT")
  if (found?.isDirectory() !== true) throw Object.assign(new Error(`${root} is no directory`), { code: "EIO" })
  return undefined
}

const read = async (at: Directory, key: string, range: Range | undefined): Promise<Uint8Array | undefined> => {
  const fd = await orUndefined(openLater(join(at.root, key), "r"), "ENOENT", "ENOTDIR")
  if (fd === undefined) return isThere(at.root)
  try {
    return await readPart(fd, range)
  } finally {
    closeSync(fd)
  }
}

const remove = async (at: Directory, keys: ReadonlyArray<string>): Promise<void> => {
  const folders = new Set<string>()
  await at.lock.hold(async () => {
    for (const key of keys) {
      const target = join(at.root, key)
      if ((await fileAt(target)) === undefined) continue
      await orUndefined(unlink(target), "ENOENT")
      folders.add(dirname(target))
    }
  })
  await Promise.all(Array.from(folders, at.durable.sync))
}

const lawful = (operation: string, key: string): Effect.Effect<void, StoreRefused> => {
  const why = keyFault(key)
  return why === undefined ? Effect.void : Effect.fail(new StoreRefused({ operation, key, why }))
}

/** An operation that has begun is let finish: what it opened is closed by itself, before the scope is. */
const attempt = <A>(operation: string, key: string, run: () => Promise<A>): Effect.Effect<A, StoreFailed> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: (cause) => faultOf(operation, key, cause) }))

const service = (at: Directory, open: Semaphore.Semaphore): typeof Objects.Service => {
  const one = open.withPermits(1)
  return Objects.of({
    place: at.root,
    put: Effect.fnUntraced(function* (key: string, bytes: Uint8Array) {
      yield* lawful("put", key)
      const outcome = yield* one(attempt("put", key, () => store(at, key, bytes)))
      if (outcome === "conflict") throw new Error(`a put without a condition met a conflict: ${key}`)
      return outcome.etag
    }),
    putIf: Effect.fnUntraced(function* (key: string, bytes: Uint8Array, condition: Condition) {
      yield* lawful("put", key)
      const outcome = yield* one(attempt("put", key, () => store(at, key, bytes, condition)))
      return outcome === "conflict" ? yield* new ObjectConflict({ key }) : outcome.etag
    }),
    get: Effect.fnUntraced(function* (key: string, range?: Range) {
      yield* lawful("get", key)
      const bytes = yield* one(attempt("get", key, () => read(at, key, range)))
      return bytes ?? (yield* new ObjectMissing({ key }))
    }),
    head: Effect.fnUntraced(function* (key: string) {
      yield* lawful("head", key)
      const found = yield* one(attempt("head", key, () => fileAt(join(at.root, key))))
      return found === undefined ? yield* new ObjectMissing({ key }) : { size: Number(found.size), etag: etagOf(found) }
    }),
    remove: Effect.fnUntraced(function* (keys: ReadonlyArray<string>) {
      for (const key of keys) yield* lawful("remove", key)
      for (let from = 0; from < keys.length; from += removedAtOnce) {
        const some = keys.slice(from, from + removedAtOnce)
        yield* one(attempt("remove", some[0] ?? "", () => remove(at, some)))
      }
    }),
    list: (prefix, after) =>
      Stream.fromAsyncIterable({ [Symbol.asyncIterator]: () => walk(at.root, prefix, after) }, (cause) =>
        faultOf("list", prefix, cause)
      )
  })
}

/** What was made for the store is durable before the first object is; what was there before is not ours to sync. */
const makeRoot = async (root: string, names: Durable): Promise<void> => {
  const first = await mkdir(root, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = dirname(root); at.length >= dirname(first).length; at = dirname(at)) {
    await names.sync(at)
    if (at === dirname(at)) return
  }
}

/**
 * Opens the directory, made if it is not there, and sweeps what dead processes have left half-written. Without `synced`
 * an object that was stored can be lost with the power.
 */
export const layer = (path: string, { synced = true } = {}): Layer.Layer<Objects, StoreFailed> =>
  Layer.effect(
    Objects,
    Effect.gen(function* () {
      const root = resolve(path)
      const flusher = new Flusher(synced)
      const names = durable(root, flusher)
      const files = temporaries(join(root, newFolder), flusher)
      yield* attempt("open", root, () => makeRoot(root, names))
      const swept = yield* attempt("open", root, () => files.sweep())
      yield* Effect.addFinalizer(() => Effect.promise(files.end))
      if (swept > 0) yield* Effect.logInfo("unfinished objects were swept away", { place: root, count: swept })
      const lock = yield* openLock(join(root, lockFile))
      return service({ root, lock, durable: names, temporaries: files, flusher }, yield* Semaphore.make(openFilesMax))
    })
  )
