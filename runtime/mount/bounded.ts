/**
 * The synchronous part of a mount that holds no replica: what is of the mount alone is answered at once, and all else
 * is for the other thread, which asks the workspace.
 */
import type { Answers, Entry, Errno, Later, Operation, Request, SyncFiles, SyncHost } from "../ports/mount.ts"
import { blankStat } from "./stat.ts"
import type { BoundedStart, Known } from "./telling.ts"
import { isVirtual, virtualIno, virtualStat } from "./virtual.ts"
import { watched } from "./watch.ts"

type Answered<Op extends Operation> = Answers[Op] | Errno | Later
type Handler<Op extends Operation> = (request: Request<Op>) => Answered<Op>

const accessMode = 3

const later = (known: Known = {}): Later => ({ later: known })
const toBeAsked = later()
const ofMount = later({ own: true })
const ask = (): Later => toBeAsked

const shown = (ino: number): Entry => ({ stat: virtualStat(blankStat(), ino), entryMs: 0, attrMs: 0 })

const lookup: Handler<"lookup"> = ({ node, name }) => {
  const ino = virtualIno(node, name)
  return ino > 0 ? shown(ino) : toBeAsked
}

const getattr: Handler<"getattr"> = ({ node }) => (isVirtual(node) ? (shown(node) as Answers["getattr"]) : toBeAsked)

/** Nothing hangs on the handle of a file of the mount but what was shown to whoever has it open. */
const opening = (): Handler<"open"> => {
  let handle = 1
  return ({ node, flags }) => {
    if (!isVirtual(node)) return toBeAsked
    if ((flags & accessMode) !== 0) return "EROFS"
    handle += 2
    return { handle, directIo: true, noFlush: true }
  }
}

const reading = ({ node }: Request<"read" | "release">): Later => (isVirtual(node) ? ofMount : toBeAsked)

const named = (errno: Errno) => (request: { readonly node: number; readonly name: string }) =>
  virtualIno(request.node, request.name) > 0 ? errno : toBeAsked

const ofInode =
  (errno: Errno) =>
  ({ node }: { readonly node: number }) =>
    isVirtual(node) ? errno : toBeAsked

const renaming: Handler<"rename"> = ({ node, name, toNode, toName }) =>
  virtualIno(node, name) > 0 || virtualIno(toNode, toName) > 0 ? "EPERM" : toBeAsked

/** Access rights beyond the mode are not kept, and nobody has to be asked for them. */
const isKept = (name: string): boolean => !name.startsWith("system.")

const getxattr: Handler<"getxattr"> = ({ node, name }) =>
  isVirtual(node) ? "ENODATA" : name.startsWith("system.posix_acl_") ? "EOPNOTSUPP" : toBeAsked

const setxattr: Handler<"setxattr"> = ({ node, name }) =>
  isVirtual(node) ? "EPERM" : isKept(name) ? toBeAsked : "EOPNOTSUPP"

type Handlers = { readonly [Op in Exclude<Operation, "forget">]?: Handler<Op> }

const reads = (): Handlers => ({
  lookup,
  getattr,
  readlink: ask,
  open: opening(),
  opendir: ask,
  readdir: ask,
  releasedir: ask,
  release: reading,
  flush: ask,
  fsync: ask,
  fsyncdir: () => undefined,
  statfs: ask,
  read: reading,
  getxattr,
  listxattr: ({ node }) => (isVirtual(node) ? [] : toBeAsked),
  lseek: ask,
  getlk: ofInode("ENOLCK"),
  setlk: ofInode("ENOLCK"),
  syncfs: ask
})

const changes: Handlers = {
  write: ofInode("EPERM"),
  setxattr,
  removexattr: ofInode("EPERM"),
  setattr: ofInode("EPERM"),
  create: named("EEXIST"),
  mkdir: named("EEXIST"),
  mknod: named("EEXIST"),
  symlink: named("EEXIST"),
  link: named("EEXIST"),
  tmpfile: ask,
  unlink: named("EPERM"),
  rmdir: named("EPERM"),
  rename: renaming,
  fallocate: ask,
  copy: ask
}

export const open = (data: unknown, host: SyncHost): SyncFiles => {
  const { readOnly } = data as BoundedStart
  const refused = Object.keys(changes).map((op) => [op, (): Errno => "EROFS"] as const)
  const all = { ...reads(), ...(readOnly ? Object.fromEntries(refused) : changes) }
  return watched({ ...(all as SyncFiles), forget: () => undefined }, host)
}
