/** The requests of a mount that holds no replica: the workspace is asked, and what it said is kept until it changes. */
import { Effect } from "effect"
import type { Attributes } from "../../messages/inode.ts"
import type { Commands } from "../files/commands.ts"
import type { AsyncFiles, Entry, Errno, Listed, Request, Stat } from "../ports/mount.ts"
import { change, query } from "./asking.ts"
import { asyncFiles, type Files } from "./files.ts"
import type { Outline } from "./outline.ts"
import { spaceOf, statOf } from "./stat.ts"
import type { Known } from "./telling.ts"

export interface AskedFiles extends Files {
  readonly view: Outline
  readonly commands: Commands
}

interface Told {
  readonly attributes: Attributes
  readonly version: number
}

const truncates = 0o1000

/** With what is written here and not committed yet on top; of what a predecessor took over, too. */
const shown = ({ view, data }: AskedFiles, attributes: Attributes): Stat => {
  const { ino, size, mtime } = attributes
  if (data.isDirty(ino) && !view.pending.has(ino))
    view.pend({ ino, size: data.sizeOf(ino, size), s: mtime[0], ns: mtime[1], plain: false })
  return statOf(attributes, view.pending.get(ino))
}

const entryOf = (files: AskedFiles, attributes: Attributes): Entry => {
  const { view, entryMs, attrMs } = files
  const stat = shown(files, attributes)
  if (!view.isLive) return { stat, entryMs: 0, attrMs: 0 }
  return { stat, entryMs, attrMs: view.pending.has(attributes.ino) || view.recent.has(attributes.ino) ? 0 : attrMs }
}

const ask = Effect.fnUntraced(function* (files: AskedFiles, ino: number) {
  const told = (yield* query(files, "Attributes", { ino })) as Told
  files.view.learn(told.attributes, told.version)
  return told
})

const attributesOf = (files: AskedFiles, ino: number): Effect.Effect<Attributes, Errno> => {
  const known = files.view.attributesOf(ino)
  return known === undefined ? Effect.map(ask(files, ino), ({ attributes }) => attributes) : Effect.succeed(known)
}

const lookup = Effect.fnUntraced(function* (files: AskedFiles, { node: parent, name }: Request<"lookup">) {
  const { view, entryMs } = files
  const ino = view.nameOf(parent, name)
  const known = ino === undefined ? undefined : view.attributesOf(ino)
  if (known !== undefined) return entryOf(files, known)
  const told = yield* query(files, "Lookup", { parent, name }).pipe(
    Effect.map((reply) => reply as Told),
    Effect.catch((errno) => (errno === "ENOENT" ? Effect.void : Effect.fail(errno)))
  )
  // The kernel is told when there is one: until then it need not ask again.
  if (told === undefined) return { stat: undefined, entryMs: view.isLive ? entryMs : 0, attrMs: 0 }
  view.learn(told.attributes, told.version)
  view.name(parent, name, told.attributes.ino)
  return entryOf(files, told.attributes)
})

const getattr = Effect.fnUntraced(function* (files: AskedFiles, { node: ino }: Request<"getattr">) {
  const ghost = files.view.ghosts.of(ino)
  if (ghost !== undefined) return { stat: ghost, attrMs: 0 }
  const { stat, attrMs } = entryOf(files, yield* attributesOf(files, ino))
  return { stat: stat as Stat, attrMs }
})

const readlink = (files: AskedFiles, { node: ino }: Request<"readlink">) =>
  Effect.map(query(files, "LinkTarget", { ino }), (reply) => reply as { readonly target: string })

/** Its size has to be known before anything is written to it, and whether it still has a name. */
const sized = Effect.fnUntraced(function* (files: AskedFiles, ino: number) {
  const { attributes, version } = yield* ask(files, ino)
  files.view.opened(ino, attributes.size, version)
  if (attributes.nlink === 0) files.view.lost(ino)
  return attributes
})

const open = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"open">, own: AsyncFiles) {
  const { view } = files
  const { node: ino, flags } = request
  const attributes = yield* sized(files, ino)
  const keepCache = view.keepsPages(ino)
  // Without a name it lives by being held, and the workspace has to know of everyone who holds it.
  const isNameless = attributes.nlink === 0 && !view.opens.has(ino)
  if (isNameless || (flags & truncates) !== 0) {
    if ((flags & truncates) !== 0) view.opens.wrote(ino)
    return { ...(yield* handler(own.open)(request, undefined)), keepCache }
  }
  return { handle: view.opens.open(ino), keepCache }
})

interface Page {
  readonly parent: number
  readonly entries: ReadonlyArray<{ readonly name: string; readonly cursor: number; readonly attributes: Attributes }>
  readonly version: number
}

/** Places before the first name: `.` is 1 and `..` is 2, so a name's is its cursor and two more. */
const dots = 2
/** What an entry takes of a reply at least, alone and with its attributes. */
const direntBytesLeast = 32
const plusBytesLeast = 160

function* entriesOf(files: AskedFiles, request: Request<"readdir">, page: Page, stat: Stat): Generator<Listed> {
  const { node, offset, plus } = request
  const { view } = files
  const dot = (name: string, next: number, ino: number): Listed => {
    return { name, next, stat: { ...stat, ino }, entryMs: 0, attrMs: 0 }
  }
  if (offset < 1) yield dot(".", 1, node)
  if (offset < dots) yield dot("..", dots, page.parent)
  for (const { name, cursor, attributes } of page.entries) {
    if (cursor + dots <= offset) continue
    if (plus) {
      view.learn(attributes, page.version)
      view.name(node, name, attributes.ino)
    }
    yield { name, next: cursor + dots, ...(entryOf(files, attributes) as Entry & { readonly stat: Stat }) }
  }
}

const readdir = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"readdir">) {
  const { node: ino, offset, size, plus } = request
  const limit = Math.ceil(size / (plus ? plusBytesLeast : direntBytesLeast))
  const after = Math.max(0, offset - dots)
  const listed = () => query(files, "ReadDir", { ino, after, limit }) as Effect.Effect<Page, Errno>
  let page = yield* listed()
  // What the kernel keeps of it has to be newer than what was forgotten, for nobody tells of what came before.
  while (page.version < files.view.begunAt) page = yield* listed()
  files.view.list(ino)
  const stat = shown(files, yield* attributesOf(files, ino))
  return entriesOf(files, request, page, stat)
})

const statfs = (files: AskedFiles) =>
  Effect.map(query(files, "StatFs", {}), (reply) => spaceOf(reply as Parameters<typeof spaceOf>[0]))

const getxattr = (files: AskedFiles, { node: ino, name }: Request<"getxattr">) =>
  Effect.map(query(files, "Xattr", { ino, name }), (reply) =>
    Buffer.from((reply as { readonly value: string }).value, "base64")
  )

const listxattr = (files: AskedFiles, { node: ino }: Request<"listxattr">) =>
  Effect.map(query(files, "ListXattr", { ino }), (reply) => (reply as { readonly names: ReadonlyArray<string> }).names)

const handler = <Handler>(given: Handler | undefined): Handler => {
  if (given === undefined) throw new Error("a request that changes something has nobody to answer it")
  return given
}

/** Whether what has the name is open here: then it outlives it. */
const losing = Effect.fnUntraced(function* (files: AskedFiles, parent: number, name: string) {
  const { view } = files
  const known = view.nameOf(parent, name)
  const ino =
    known ??
    (yield* query(files, "Lookup", { parent, name }).pipe(
      Effect.map((reply) => (reply as Told).attributes.ino),
      Effect.catch(() => Effect.succeed(0))
    ))
  const later: Known = view.opens.has(ino) ? { open: true } : {}
  return { ino, later }
})

/** What the stage still has of a file that is gone is not wanted. */
const discarded = (files: AskedFiles, ino: number, later: Known): Effect.Effect<void> =>
  later.open === true || !files.data.isDirty(ino)
    ? Effect.void
    : Effect.ignore(
        Effect.tapError(ask(files, ino), (errno) =>
          Effect.sync(() => {
            if (errno === "ENOENT") files.data.discard(ino)
          })
        )
      )

const removing = (files: AskedFiles, given: AsyncFiles["unlink"]) =>
  Effect.fnUntraced(function* (request: Request<"unlink" | "rmdir">) {
    const { ino, later } = yield* losing(files, request.node, request.name)
    yield* handler(given)(request as never, later)
    yield* discarded(files, ino, later)
    return undefined
  })

/** Whether somebody has it open, or works in it, only the kernel knows. */
const rmdir = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"rmdir">, own: AsyncFiles) {
  const ino = files.view.nameOf(request.node, request.name)
  const known = ino === undefined ? undefined : yield* Effect.option(attributesOf(files, ino))
  yield* removing(files, own.rmdir as AsyncFiles["unlink"])(request)
  if (known?._tag === "Some") files.view.ghosts.add(statOf(known.value))
  return undefined
})

const rename = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"rename">, own: AsyncFiles) {
  const { ino, later } = yield* losing(files, request.toNode, request.toName)
  yield* handler(own.rename)(request, later)
  yield* discarded(files, ino, later)
  return undefined
})

/** The kernel knows a name that it was given for what it made. */
const naming =
  <Op extends "mkdir" | "mknod" | "symlink" | "link">(files: AskedFiles, given: AsyncFiles[Op]) =>
  (request: Request<Op>) =>
    Effect.tap(handler(given as AsyncFiles["mkdir"])(request as never, undefined), ({ stat }) =>
      Effect.sync(() => files.view.name(request.node, request.name, stat?.ino ?? 0))
    )

const creating = (files: AskedFiles, given: AsyncFiles["create"]) => (request: Request<"create" | "tmpfile">) =>
  Effect.tap(handler(given)(request as never, undefined), ({ entry: { stat } }) =>
    Effect.sync(() => {
      const { view } = files
      const { ino, size } = stat as Stat
      view.opened(ino, size, view.version)
      view.keepsPages(ino)
      if ("name" in request) view.name(request.node, request.name, ino)
    })
  )

const everything = { start: 0, end: Number.MAX_SAFE_INTEGER }

/** Which locks a process before this one took nobody knows here: giving up what is not held does no harm. */
const unlocked = (files: AskedFiles, request: Request<"flush" | "release">, family: "posix" | "flock") => {
  const { node: ino, owner } = request
  return files.view.locksUnknown
    ? Effect.ignore(change(files, request, "Unlock", { ino, family, owner, ...everything }))
    : Effect.void
}

const flush = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"flush">, own: AsyncFiles) {
  const { view } = files
  const { node: ino, owner } = request
  const locks = view.tree.locks.get(`posix:${ino}`)?.held ?? []
  const holds = locks.some((lock) => lock.session === view.session && lock.owner === owner)
  const isToFlush = view.opens.toFlush(ino)
  if (isToFlush || holds)
    yield* Effect.ensuring(
      handler(own.flush)(request, undefined),
      holds ? Effect.void : unlocked(files, request, "posix")
    )
  else yield* unlocked(files, request, "posix")
  return undefined
})

const release = Effect.fnUntraced(function* (
  files: AskedFiles,
  request: Request<"release">,
  own: AsyncFiles,
  known: Known | undefined
) {
  if (known?.own === true) return yield* handler(own.release)(request, known)
  const { view, data } = files
  if (view.opens.wasRead(request.handle)) data.released(request.handle)
  const left = view.opens.close(request.node)
  yield* handler(own.release)(request, { open: left > 0 })
  if (request.flock) yield* unlocked(files, request, "flock")
  return undefined
})

/** The next byte that is stored, or the next that is not; behind the end there is nothing of either. */
const lseek = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"lseek">) {
  const { data, commands } = files
  const { node: ino, offset, whence } = request
  const failed = (error: { readonly errno?: string }) => (error.errno ?? "EIO") as Errno
  if (data.isDirty(ino)) yield* Effect.mapError(data.flush(ino), failed)
  let size = Number.POSITIVE_INFINITY
  for (let from = offset; from < size; ) {
    const length = Number.MAX_SAFE_INTEGER - from
    const plan = yield* Effect.mapError(commands.readPlan(ino, from, length), (error) => failed(error as never))
    size = plan.size
    if (offset >= size) break
    for (const { at, id, len } of plan.parts) {
      if (at + len > offset && (id !== 0) === (whence === "data")) return Math.max(at, offset)
      from = at + len
    }
    if (!plan.more) break
  }
  return offset < size && whence === "hole" ? size : yield* Effect.fail("ENXIO" as const)
})

const write = Effect.fnUntraced(function* (files: AskedFiles, request: Request<"write">, own: AsyncFiles) {
  yield* sized(files, request.node)
  return yield* handler(own.write)(request, undefined)
})

/** Whose locks are not asked for. */
const nobody = "0".repeat(16)

/** Asks after locks that may have been granted unheard. */
export const reassure = Effect.fnUntraced(function* (files: AskedFiles) {
  for (const waiting of files.view.doubtful) {
    const { family, ino, ticket } = waiting
    const fields = { family, ino, ticket, owner: nobody, type: "read", start: 0, end: 0 }
    const told = yield* Effect.option(query(files, "Locks", fields))
    if (told._tag === "Some" && (told.value as { readonly waits?: boolean }).waits === false) files.view.holds(waiting)
  }
})

export const askedFiles = (files: AskedFiles): AsyncFiles => {
  const own = asyncFiles(files)
  const { opens } = files.view
  return {
    ...own,
    lookup: (request) => lookup(files, request),
    getattr: (request) => getattr(files, request),
    readlink: (request) => readlink(files, request),
    open: (request) => open(files, request, own),
    opendir: ({ node }) => Effect.sync(() => ({ handle: opens.open(node) })),
    readdir: (request) => readdir(files, request),
    releasedir: (request) =>
      Effect.suspend(() => handler(own.releasedir)(request, { open: opens.close(request.node) > 0 })),
    statfs: () => statfs(files),
    getxattr: (request) => getxattr(files, request),
    listxattr: (request) => listxattr(files, request),
    read: (request, later) => {
      opens.read(request.handle)
      return handler(own.read)(request, later)
    },
    write: (request) => {
      opens.wrote(request.node)
      return files.view.isSized(request.node) ? handler(own.write)(request, undefined) : write(files, request, own)
    },
    flush: (request) => flush(files, request, own),
    release: (request, later) => release(files, request, own, later as Known | undefined),
    lseek: (request) => lseek(files, request),
    unlink: removing(files, own.unlink),
    rmdir: (request) => rmdir(files, request, own),
    rename: (request) => rename(files, request, own),
    create: creating(files, own.create) as never,
    tmpfile: creating(files, own.tmpfile as never) as never,
    mkdir: naming(files, own.mkdir),
    mknod: naming(files, own.mknod),
    symlink: naming(files, own.symlink),
    link: naming(files, own.link)
  }
}
