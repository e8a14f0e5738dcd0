/** Changes of names and attributes on behalf of processes. */
import { Effect } from "effect"
import { traitsAfter } from "../../actors/workspace/decide/attributes.ts"
import type { Command } from "../../actors/workspace/decide/rules.ts"
import { isDirectory, typeOf } from "../../actors/workspace/tree/inodes.ts"
import { attributes as attributesOf, lookup } from "../../actors/workspace/tree/read.ts"
import type { Attributes, InodeType } from "../../messages/inode.ts"
import type { AsyncFiles, Entry, Errno, Opened, Request, SetTime } from "../ports/mount.ts"
import { by, change, shown } from "./asking.ts"
import type { Files } from "./files.ts"
import { statOf } from "./stat.ts"
import { isFileMoved, losing } from "./steps.ts"
import type { Known } from "./telling.ts"

const permissionBits = 0o7777
const truncates = 0o1000
const exclusive = 0o200

type Making = Request<"create" | "mkdir" | "symlink" | "mknod">

const entry = ({ entryMs, attrMs, view }: Files, attributes: Attributes): Entry => {
  const pending = view.pending.get(attributes.ino)
  // Without the tail nobody would tell the kernel when this is over.
  if (!view.isLive) return { stat: statOf(attributes, pending), entryMs: 0, attrMs: 0 }
  return { stat: statOf(attributes, pending), entryMs, attrMs: pending === undefined ? attrMs : 0 }
}

/** Counted as open by the other thread too. */
const opened = ({ view, nextHandle }: Files, ino: number): Opened => {
  view.tell({ kind: "opened", ino })
  return { handle: nextHandle(), keepCache: true }
}

const isOpen = (later: unknown): { readonly open?: true } => ((later as Known | undefined)?.open ? { open: true } : {})

/** Empties a file behind what was written to it before. */
const emptied = (files: Files, request: Request<"open" | "create">, ino: number) =>
  ordered(files, ino, change(files, request, "Truncate", { ino, size: 0, ...by(files, request) }))

/** A change that what is written and not committed yet must not come behind. */
export const ordered = <A>(files: Files, ino: number, effect: Effect.Effect<A, Errno>): Effect.Effect<A, Errno> =>
  files.data.isDirty(ino) || files.view.pending.has(ino)
    ? files.data.ordered(ino, effect).pipe(
        Effect.mapError((error) => (typeof error === "string" ? error : (error.errno as Errno))),
        Effect.tap(() => Effect.sync(() => files.view.settle(ino)))
      )
    : effect

/**
 * What comes of a request that makes an entry, where it need not wait for the workspace. One that is sent again is
 * answered with what it made then; who made nothing has asked the workspace.
 */
const madeAhead = (files: Files, request: Making, command: string, fields: object) => {
  const { ahead, view } = files
  if (ahead === undefined) return Effect.succeed(undefined)
  if (!request.resent) {
    const made = ahead.attempt(request.id, { _tag: command, ...fields } as never, [request.node])
    return Effect.map(made, (answer) => (typeof answer === "object" ? answer.attributes : answer))
  }
  const slot = view.tree.inodes.find(ahead.resent(request.id))
  return Effect.succeed(slot < 0 ? undefined : attributesOf(view.tree, slot))
}

const create = Effect.fnUntraced(function* (files: Files, request: Request<"create">) {
  const { node: parent, name, flags } = request
  const fields = {
    parent,
    name,
    mode: request.mode & permissionBits,
    ...((flags & exclusive) === 0 ? {} : { exclusive: true }),
    ...by(files, request)
  }
  const made = yield* madeAhead(files, request, "Create", fields)
  if (typeof made === "string") return yield* Effect.fail(made)
  if (made !== undefined) return { entry: entry(files, made), opened: opened(files, made.ino) }
  const lend = files.ahead?.wants(parent) === true ? { lend: true } : {}
  const reply = (yield* change(files, request, "Create", { ...fields, ...lend })) as unknown as {
    readonly attributes: Attributes
    readonly created: boolean
  }
  const { ino } = reply.attributes
  if (reply.created) files.ahead?.placed(ino, parent)
  if (reply.created || (flags & truncates) === 0)
    return { entry: entry(files, reply.attributes), opened: opened(files, ino) }
  const { attributes } = yield* emptied(files, request, ino)
  return { entry: entry(files, attributes), opened: opened(files, ino) }
})

const tmpfile = Effect.fnUntraced(function* (files: Files, request: Request<"tmpfile">) {
  const mode = request.mode & permissionBits
  const fields = { parent: request.node, mode, ...by(files, request) }
  const { attributes } = yield* change(files, request, "CreateNameless", fields)
  return { entry: entry(files, attributes), opened: opened(files, attributes.ino) }
})

/** A name that leads to something new. */
const make = Effect.fnUntraced(function* (
  files: Files,
  request: Request<"mkdir" | "symlink" | "mknod">,
  command: string,
  fields: object
) {
  const { node: parent, name } = request
  const all = { parent, name, ...fields, ...by(files, request) }
  const made = yield* madeAhead(files, request, command, all)
  if (typeof made === "string") return yield* Effect.fail(made)
  if (made !== undefined) return entry(files, made)
  const lend = command === "Mkdir" && files.ahead?.isWanting === true ? { lend: true } : {}
  const { attributes } = yield* change(files, request, command, { ...all, ...lend })
  return entry(files, attributes)
})

const mknod = (files: Files, request: Request<"mknod">) => {
  const type: InodeType = typeOf(request.mode)
  const rdev = type === "character" || type === "block" ? { rdev: request.rdev } : {}
  return make(files, request, "Mknod", { type, mode: request.mode & permissionBits, ...rdev })
}

const link = Effect.fnUntraced(function* (files: Files, request: Request<"link">) {
  const { source: ino, node: parent, name } = request
  const { attributes } = yield* change(files, request, "Link", { ino, parent, name, ...by(files, request) })
  return entry(files, attributes)
})

/**
 * Whether a request that changes names is done without waiting for the workspace: where all that it is about is lent to
 * this host, and nothing that loses its name has others, or is open.
 */
const doneAhead = Effect.fnUntraced(function* (
  { ahead }: Files,
  request: Request,
  command: Command,
  places: ReadonlyArray<number>
) {
  if (ahead === undefined || request.resent) return false
  const done = yield* ahead.attempt(request.id, command, places)
  return typeof done === "string" ? yield* Effect.fail(done) : done !== undefined
})

/** A process before this one did it ahead: nothing that it was about need be as it was then. */
const wasDone = ({ ahead }: Files, { id, resent }: Request): boolean => resent && (ahead?.resent(id) ?? 0) > 0

const remove = Effect.fnUntraced(function* (
  files: Files,
  request: Request<"unlink" | "rmdir">,
  _tag: "Unlink" | "Rmdir",
  later: unknown
) {
  const { node: parent, name } = request
  if (wasDone(files, request)) return undefined
  const fields = { parent, name, ...by(files, request) }
  const open = isOpen(later)
  const places = open.open ? undefined : losing(files.view.tree, parent, name)
  if (places !== undefined && (yield* doneAhead(files, request, { _tag, ...fields }, places))) return undefined
  const lend = files.ahead?.wants(parent) === true ? { lend: true } : {}
  yield* change(files, request, _tag, { ...fields, ...open, ...lend })
  return undefined
})

/** A file that replaces another is stored before it does: at no time is there a name with nothing in it. */
const storedFirst = Effect.fnUntraced(function* (files: Files, request: Request<"rename">) {
  const { node, name, toNode, toName } = request
  const { tree } = files.view
  const slotOf = (parent: number, of: string) => lookup(tree, tree.inodes.find(parent), of)
  const slot = slotOf(node, name)
  if (slot < 0 || slotOf(toNode, toName) < 0) return
  yield* ordered(files, tree.inodes.ino[slot] as number, Effect.void)
})

const rename = Effect.fnUntraced(function* (files: Files, request: Request<"rename">, later: unknown) {
  const { node: parent, name, toNode: toParent, toName, how } = request
  if (how === "whiteout") return yield* Effect.fail("EINVAL" as const)
  if (wasDone(files, request)) return undefined
  if (files.storesLate) yield* storedFirst(files, request)
  const flag = how === "replace" ? {} : { flag: how }
  const fields = { parent, name, toParent, toName, ...flag, ...by(files, request) }
  const open = isOpen(later)
  const isPlain = how !== "exchange" && open.open === undefined && isFileMoved(files.view.tree, fields)
  if (isPlain && (yield* doneAhead(files, request, { _tag: "Rename", ...fields }, [parent, toParent]))) return undefined
  yield* change(files, request, "Rename", { ...fields, ...open })
  return undefined
})

/** Where something is lent to this host, what is set of it is set without waiting for the workspace. */
const setAhead = Effect.fnUntraced(function* (files: Files, request: Request<"setattr">, command: Command) {
  const { ahead, view, data } = files
  const { node: ino } = request
  const slot = view.tree.inodes.find(ino)
  if (ahead === undefined || slot < 0) return undefined
  if (request.resent) return ahead.resent(request.id) === ino ? attributesOf(view.tree, slot) : undefined
  const place = isDirectory(view.tree.inodes.mode[slot] as number) ? ino : ahead.homeOf(ino)
  if (place === 0 || ahead.isChanging(ino) || data.isDirty(ino)) return undefined
  // What was committed a moment ago would show over it.
  if (view.pending.has(ino)) {
    yield* shown(files, view.settlesAt(ino))
    view.settle(ino)
  }
  if (data.isDirty(ino) || view.pending.has(ino)) return undefined
  const done = yield* ahead.attempt(request.id, command, [place])
  return typeof done === "object" ? done.attributes : undefined
})

/** Where bytes of the file wait to be committed, what is set goes with them: its close waits for both at once. */
const dressed = ({ data, view }: Files, ino: number, asked: Parameters<typeof traitsAfter>[1]) => {
  const slot = view.tree.inodes.find(ino)
  const pending = view.pending.get(ino)
  if (slot < 0 || pending === undefined) return undefined
  const { mode, gid } = statOf(attributesOf(view.tree, slot), pending)
  const set = traitsAfter({ type: "file", mode: mode & permissionBits, gid }, asked)
  if (!data.set(ino, set)) return undefined
  view.pend({ ...pending, set: { ...pending.set, ...set } })
  return attributesOf(view.tree, slot)
}

const setattr = Effect.fnUntraced(function* (files: Files, request: Request<"setattr">) {
  const { node: ino, mode, owner: uid, group: gid, size, atime, mtime } = request
  const { who, time } = by(files, request)
  const moment = (given: SetTime) => (given === "now" ? time : ([given.s, given.ns] as const))
  const fields = {
    ino,
    ...(mode === undefined ? {} : { mode: mode & permissionBits }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(size === undefined ? {} : { size }),
    ...(atime === undefined ? {} : { atime: moment(atime) }),
    ...(mtime === undefined ? {} : { mtime: moment(mtime) }),
    who,
    time
  }
  if (size === undefined) {
    const waiting = request.resent ? undefined : dressed(files, ino, fields)
    const known = waiting ?? (yield* setAhead(files, request, { _tag: "SetAttr", ...fields }))
    if (known !== undefined) return entry(files, known)
  }
  const { attributes } = yield* ordered(files, ino, change(files, request, "SetAttr", fields))
  return entry(files, attributes)
})

const open = Effect.fnUntraced(function* (files: Files, request: Request<"open">) {
  const { node: ino, flags } = request
  const { orphans } = files.view.tree
  if (orphans.has(ino)) yield* change(files, request, "Open", { ino })
  if ((flags & truncates) !== 0) yield* emptied(files, request, ino)
  return opened(files, ino)
})

const setxattr = Effect.fnUntraced(function* (files: Files, request: Request<"setxattr">) {
  const { node: ino, name, value, how } = request
  const flag = how === "set" ? {} : { flag: how }
  const fields = { ino, name, value: Buffer.from(value).toString("base64"), ...flag, ...by(files, request) }
  yield* change(files, request, "SetXattr", fields)
  return undefined
})

const removexattr = Effect.fnUntraced(function* (files: Files, request: Request<"removexattr">) {
  const { node: ino, name } = request
  yield* change(files, request, "RemoveXattr", { ino, name, ...by(files, request) })
  return undefined
})

export const names = (files: Files) =>
  ({
    create: (request) => create(files, request),
    tmpfile: (request) => tmpfile(files, request),
    mkdir: (request) => make(files, request, "Mkdir", { mode: request.mode & permissionBits }),
    symlink: (request) => make(files, request, "Symlink", { target: request.target }),
    mknod: (request) => mknod(files, request),
    link: (request) => link(files, request),
    unlink: (request, later) => remove(files, request, "Unlink", later),
    rmdir: (request, later) => remove(files, request, "Rmdir", later),
    rename: (request, later) => rename(files, request, later),
    setattr: (request) => setattr(files, request) as never,
    open: (request) => open(files, request),
    setxattr: (request) => setxattr(files, request),
    removexattr: (request) => removexattr(files, request)
  }) satisfies AsyncFiles
