/** Decisions that make, give and take names. */
import { type Attributes, linksMax, type Time, targetBytesMax, type Who } from "../../../messages/inode.ts"
import { bytesOfName } from "../../../messages/names.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { isDirectory, typeOf } from "../tree/inodes.ts"
import { attributes, isEmpty } from "../tree/read.ts"
import { directorySize, type Tree } from "../tree/tree.ts"
import { lending } from "./loans.ts"
import { orphaned } from "./orphans.ts"
import {
  accept,
  directory,
  entryRoom,
  existing,
  isMember,
  livingDirectory,
  named,
  nameFault,
  type Of,
  type Outcome,
  permissions,
  type Refused,
  refuse,
  stickyFault
} from "./rules.ts"

type Created = Extract<WorkspaceEvent, { readonly _tag: "Created" }>

type Loan = ReadonlyArray<WorkspaceEvent>

interface Wanted {
  readonly parent: number
  readonly name?: string
  readonly type: Attributes["type"]
  readonly mode: number
  readonly rdev?: number
  readonly target?: string
  readonly who: Who
  readonly time: Time
}

/** In a set-gid directory everything gets its group, and directories the bit as well. */
const inherited = (tree: Tree, parent: number, { type, mode, who }: Wanted) => {
  if ((permissions(tree, parent) & 0o2000) === 0) return { mode, gid: who.gid }
  const gid = tree.inodes.gid[parent] as number
  if (type === "directory") return { mode: mode | 0o2000, gid }
  // Nobody makes a program that runs as a group that he is not of.
  const isForeign = who.uid !== 0 && isMember(who, gid) === false
  return { mode: (mode & 0o2010) === 0o2010 && isForeign ? mode & ~0o2000 : mode, gid }
}

const newborn = (event: Created): Attributes => {
  const isList = event.type === "directory"
  return {
    ino: event.ino,
    type: event.type,
    mode: event.mode,
    nlink: event.name === undefined ? 0 : isList ? 2 : 1,
    uid: event.uid,
    gid: event.gid,
    rdev: event.rdev ?? 0,
    size: isList ? directorySize : event.target === undefined ? 0 : bytesOfName(event.target),
    used: 0,
    atime: event.time,
    mtime: event.time,
    ctime: event.time
  }
}

/** The event that makes an inode, or why not. */
const make = (tree: Tree, wanted: Wanted, { caller }: Context): Created | Refused => {
  const parent = livingDirectory(tree, wanted.parent)
  if (typeof parent !== "number") return parent
  const { name, who, time, rdev, target, type } = wanted
  if (name !== undefined) {
    const fault = nameFault(name)
    if (fault !== undefined) return fault
    if (tree.names.find(parent, name) >= 0) return refuse("EEXIST", `there is a ${JSON.stringify(name)} already`)
  }
  const full = entryRoom(tree, caller)
  if (full !== undefined) return full
  if (type === "directory" && (tree.inodes.nlink[parent] as number) >= linksMax)
    return refuse("EMLINK", "the directory has as many directories as it can")
  const { mode, gid } = inherited(tree, parent, wanted)
  return {
    _tag: "Created",
    ino: tree.nextIno,
    parent: wanted.parent,
    ...(name === undefined ? {} : { name }),
    type,
    mode,
    uid: who.uid,
    gid,
    ...(rdev === undefined ? {} : { rdev }),
    ...(target === undefined ? {} : { target }),
    time
  }
}

const made = (event: Created | Refused, context: Context, reply: object = {}, loan: Loan = []): Outcome =>
  "refused" in event ? event : accept([event, ...loan], { attributes: newborn(event), ...reply }, context)

export const create = (tree: Tree, command: Of<"Create">, context: Context): Outcome => {
  const parent = livingDirectory(tree, command.parent)
  if (typeof parent !== "number") return parent
  const entry = nameFault(command.name) === undefined ? tree.names.find(parent, command.name) : -1
  if (entry < 0 || command.exclusive === true) {
    const loan = command.lend === true ? lending(tree, command.parent, context, tree.nextIno + 1) : []
    return made(make(tree, { ...command, type: "file" }, context), context, { created: true }, loan)
  }
  const slot = tree.names.childOf(entry)
  const type = typeOf(tree.inodes.mode[slot] as number)
  if (type === "directory") return refuse("EISDIR", `${JSON.stringify(command.name)} is a directory`)
  // What a link leads to is the host's to find: it comes back with the place where the path ends.
  if (type === "symlink") return refuse("EEXIST", `${JSON.stringify(command.name)} is a symbolic link`)
  return accept([], { attributes: attributes(tree, slot), created: false }, context)
}

export const createNameless = (tree: Tree, command: Of<"CreateNameless">, context: Context): Outcome => {
  const { parent, mode, who, time } = command
  if (!tree.sessions.has(context.caller))
    return refuse("EOPNOTSUPP", "a file without a name lives as long as a session holds it")
  const event = make(tree, { parent, mode, who, time, type: "file" }, context)
  if ("refused" in event) return event
  const holder = context.caller as NonNullable<Created["orphan"]>["holder"]
  return made({ ...event, orphan: { until: 0, ...(holder === undefined ? {} : { holder }) } }, context)
}

export const mkdir = (tree: Tree, command: Of<"Mkdir">, context: Context): Outcome => {
  const loan = command.lend === true ? lending(tree, tree.nextIno, context, tree.nextIno + 1) : []
  return made(make(tree, { ...command, type: "directory" }, context), context, {}, loan)
}

export const mknod = (tree: Tree, command: Of<"Mknod">, context: Context): Outcome => {
  const { type } = command
  if (type === "directory" || type === "symlink") return refuse("EINVAL", `a ${type} is not made by mknod`)
  const isDevice = type === "character" || type === "block"
  const { rdev, ...rest } = command
  return made(make(tree, { ...rest, ...(isDevice ? { rdev: rdev ?? 0 } : {}) }, context), context)
}

export const symlink = (tree: Tree, command: Of<"Symlink">, context: Context): Outcome => {
  const { target } = command
  const bytes = bytesOfName(target)
  if (bytes === 0) return refuse("ENOENT", "a symbolic link leads somewhere")
  if (bytes < 0 || target.includes("\0")) return refuse("EINVAL", "the target is no path")
  if (bytes > targetBytesMax) return refuse("ENAMETOOLONG", `a target has ${targetBytesMax} bytes at most`)
  return made(make(tree, { ...command, type: "symlink", mode: 0o777 }, context), context)
}

export const link = (tree: Tree, command: Of<"Link">, context: Context): Outcome => {
  const { ino, name, time } = command
  const parent = livingDirectory(tree, command.parent)
  if (typeof parent !== "number") return parent
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  if (isDirectory(tree.inodes.mode[slot] as number)) return refuse("EPERM", "a directory has one name")
  const fault = nameFault(name)
  if (fault !== undefined) return fault
  if (tree.names.find(parent, name) >= 0) return refuse("EEXIST", `there is a ${JSON.stringify(name)} already`)
  const now = attributes(tree, slot)
  if (now.nlink === 0 && tree.orphans.get(ino)?.nameless !== true)
    return refuse("ENOENT", "what lost its last name gets no new one")
  if (now.nlink >= linksMax) return refuse("EMLINK", `an inode has ${linksMax} names at most`)
  const event: WorkspaceEvent = { _tag: "Linked", ino, parent: command.parent, name, time }
  return accept([event], { attributes: { ...now, nlink: now.nlink + 1, ctime: time } }, context)
}

/** The slots of a directory and of what it is to lose. */
const losing = (tree: Tree, command: Of<"Unlink" | "Rmdir">) => {
  const parent = directory(tree, command.parent)
  if (typeof parent !== "number") return parent
  const slot = named(tree, parent, command.name)
  if (typeof slot !== "number") return slot
  return { parent, slot }
}

const removed = (tree: Tree, slot: number, command: Of<"Unlink" | "Rmdir">, context: Context): Outcome => {
  const { parent, name, time, open } = command
  const { version } = context
  const ino = tree.inodes.ino[slot] as number
  const isList = command._tag === "Rmdir"
  const nlink = isList ? 0 : (tree.inodes.nlink[slot] as number) - 1
  const orphan = nlink === 0 ? orphaned(tree, slot, open, context) : {}
  const loan = command.lend === true ? lending(tree, parent, context) : []
  return accept([{ _tag: "Unlinked", ino, parent, name, time, ...orphan, version }, ...loan], { ino, nlink }, context)
}

export const unlink = (tree: Tree, command: Of<"Unlink">, context: Context): Outcome => {
  const found = losing(tree, command)
  if ("refused" in found) return found
  const { parent, slot } = found
  const fault = stickyFault(tree, parent, slot, command.who)
  if (fault !== undefined) return fault
  if (isDirectory(tree.inodes.mode[slot] as number)) return refuse("EISDIR", "a directory is removed by rmdir")
  return removed(tree, slot, command, context)
}

export const rmdir = (tree: Tree, command: Of<"Rmdir">, context: Context): Outcome => {
  if (command.name === "..") return refuse("ENOTEMPTY", "the parent holds at least this directory")
  const found = losing(tree, command)
  if ("refused" in found) return found
  const { parent, slot } = found
  const fault = stickyFault(tree, parent, slot, command.who)
  if (fault !== undefined) return fault
  if (!isDirectory(tree.inodes.mode[slot] as number)) return refuse("ENOTDIR", "it is no directory")
  if (!isEmpty(tree, slot)) return refuse("ENOTEMPTY", "the directory is not empty")
  return removed(tree, slot, command, context)
}
