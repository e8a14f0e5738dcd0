/** Reads, writes and what goes with them, through the data plane. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { DataFailed } from "../files/data.ts"
import type { AsyncFiles, Errno, Request } from "../ports/mount.ts"
import { by, change, whoOf } from "./asking.ts"
import type { Files } from "./files.ts"
import { ordered } from "./names.ts"
import { seek } from "./replica.ts"
import { rewritten } from "./stat.ts"
import type { Known } from "./telling.ts"

const appends = 0o2000

const failed = ({ errno }: DataFailed): Errno => errno as Errno

/** What is written shows at once, before the process that wrote goes on. */
const show = ({ view, data, now }: Files, ino: number, clearSetId: boolean): void => {
  const committed = view.committedSize(ino) ?? 0
  const [s, ns] = now()
  const before = view.pending.get(ino)
  const plain = clearSetId || before?.plain === true
  const set = before?.set && rewritten(before.set, [s, ns], clearSetId)
  view.pend({ ino, size: data.sizeOf(ino, committed), s, ns, plain, set })
}

/** What a process before this one has taken of an append that is sent again is not appended twice. */
const rest = ({ data: { appended } }: Files, request: Request<"write">): Uint8Array =>
  request.resent && (request.flags & appends) !== 0 ? request.data.subarray(appended(request.id)) : request.data

const write = (files: Files, request: Request<"write">): Effect.Effect<number, Errno> => {
  const { node: ino, offset, id, flags, clearSetId } = request
  const { length } = request.data
  const appending = (flags & appends) === 0 ? {} : { append: true, request: id }
  const writing = { ino, offset, data: rest(files, request), who: whoOf(request), ...appending }
  if (files.data.accept(writing)) {
    show(files, ino, clearSetId)
    return Effect.succeed(length)
  }
  return files.data.write(writing).pipe(
    Effect.mapError(failed),
    Effect.map(() => {
      show(files, ino, clearSetId)
      return length
    })
  )
}

const read = (files: Files, request: Request<"read">, later: unknown) => {
  const { node: ino, handle, offset, size: length } = request
  if ((later as Known | undefined)?.own === true)
    return files.own.read(ino, handle, { offset, length }) as Effect.Effect<Uint8Array, Errno>
  return files.data.read({ ino, offset, length, handle }).pipe(Effect.mapError(failed))
}

const flushed = (files: Files, ino: number): Effect.Effect<void, Errno> =>
  files.data.flush(ino).pipe(Effect.mapError(failed), Effect.ensuring(Effect.sync(() => files.view.settle(ino))))

const everything = { start: 0, end: Number.MAX_SAFE_INTEGER }

/**
 * At close, what was written has to be stored and committed, and POSIX locks end with any close of their owner. Where
 * it is stored later, what failed before is told at once, and who holds the lock next still sees what was written.
 */
const flush = Effect.fnUntraced(function* (files: Files, request: Request<"flush">) {
  const { node: ino, owner } = request
  const locked = holds(files, "posix", ino, owner)
  if (files.storesLate && !locked && files.data.isDirty(ino)) return undefined
  yield* flushed(files, ino).pipe(
    Effect.ensuring(
      locked
        ? Effect.ignore(change(files, request, "Unlock", { ino, family: "posix", owner, ...everything }))
        : Effect.void
    )
  )
  return undefined
})

const holds = ({ view }: Files, family: "posix" | "flock", ino: number, owner: string): boolean =>
  view.tree.locks
    .get(`${family}:${ino}`)
    ?.held.some((lock) => lock.session === view.session && lock.owner === owner) === true

const release = Effect.fnUntraced(function* (files: Files, request: Request<"release">, later: unknown) {
  const { node: ino, owner, flock, handle } = request
  const known = later as Known | undefined
  if (known?.own === true) {
    files.own.release(handle)
    return undefined
  }
  if (flock && holds(files, "flock", ino, owner))
    yield* change(files, request, "Unlock", { ino, family: "flock", owner, ...everything })
  yield* letGo(files, request, known)
  return undefined
})

/** The last of those who had it open lets go of what has no name. */
const letGo = Effect.fnUntraced(function* (
  files: Files,
  request: Request<"release" | "releasedir">,
  known: Known | undefined
) {
  const { node: ino } = request
  if (known?.open !== false || !files.view.tree.orphans.has(ino)) return
  // Nobody can read it again, so nobody waits for what was written to it.
  files.data.discard(ino)
  yield* change(files, request, "Release", { ino })
})

const allocations: Readonly<Record<number, string>> = {
  0: "extend",
  1: "keep",
  3: "punch",
  16: "zero",
  17: "zero-keep"
}

const fallocate = Effect.fnUntraced(function* (files: Files, request: Request<"fallocate">) {
  const { node: ino, offset, length, mode } = request
  const how = allocations[mode]
  if (how === undefined) return yield* Effect.fail("EOPNOTSUPP" as const)
  const fields = { ino, offset, length, how, ...by(files, request) }
  yield* ordered(files, ino, change(files, request, "Fallocate", fields))
  return undefined
})

/** By reference: no byte is moved. */
const copy = Effect.fnUntraced(function* (files: Files, request: Request<"copy">) {
  const { node: from, offset, toNode: ino, toOffset: to, length } = request
  yield* ordered(files, from, Effect.void)
  const fields = { from, offset, length, ino, to, ...by(files, request) }
  const reply = yield* ordered(files, ino, change(files, request, "CopyRange", fields))
  return (reply as unknown as { readonly copied: number; readonly attributes: Attributes }).copied
})

const lseek = Effect.fnUntraced(function* (files: Files, request: Request<"lseek">) {
  const { node: ino, offset, whence } = request
  yield* ordered(files, ino, Effect.void)
  const slot = files.view.tree.inodes.find(ino)
  const found = slot < 0 ? ("ENOENT" as const) : seek(files.view.tree, slot, offset, whence)
  return typeof found === "string" ? yield* Effect.fail(found) : found
})

/** What was made here is in the workspace, or it is said that something of it is lost. */
const told = ({ ahead }: Files, node?: number): Effect.Effect<void, Errno> =>
  ahead === undefined
    ? Effect.void
    : Effect.andThen(
        ahead.drained,
        Effect.suspend(() => (ahead.mourned(node) ? Effect.fail("EIO" as const) : Effect.void))
      )

export const bytes = (files: Files) =>
  ({
    write: (request) => write(files, request),
    read: (request, later) => read(files, request, later),
    flush: (request) => flush(files, request),
    fsync: ({ node }) => Effect.as(Effect.andThen(told(files, node), flushed(files, node)), undefined),
    fsyncdir: ({ node }) => Effect.as(told(files, node), undefined),
    release: (request, later) => release(files, request, later),
    releasedir: (request, later) => Effect.as(letGo(files, request, later as Known | undefined), undefined),
    fallocate: (request) => fallocate(files, request),
    copy: (request) => copy(files, request),
    lseek: (request) => lseek(files, request),
    syncfs: () => Effect.as(Effect.andThen(told(files), Effect.mapError(files.data.flushAll, failed)), undefined)
  }) satisfies AsyncFiles
