/** Decisions about attributes, plain and extended. */
import { type Attributes, xattrBytesMax } from "../../../messages/inode.ts"
import { bytesOfName, nameBytesMax } from "../../../messages/names.ts"
import type { Traits, WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { attributes } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import { resized } from "./bytes.ts"
import {
  accept,
  existing,
  file,
  isMember,
  type Of,
  type Outcome,
  type Refused,
  refuse,
  withoutPrivileges
} from "./rules.ts"

/** Names of one inode: a list of them has to fit into what Linux passes. */
export const xattrsOfInodeMax = 256

type Asked = Pick<Of<"SetAttr">, "mode" | "uid" | "gid" | "atime" | "mtime" | "who" | "time">

/** The mode that comes of a change: as it was asked for, or without privileges when the file got another owner. */
const modeAfter = (now: Pick<Attributes, "gid" | "mode" | "type">, { mode, uid, gid, who }: Asked) => {
  if (mode !== undefined) {
    const group = gid ?? now.gid
    return who.uid !== 0 && isMember(who, group) === false ? mode & ~0o2000 : mode
  }
  const isGiven = uid !== undefined || gid !== undefined
  return !isGiven || now.type === "directory" ? undefined : withoutPrivileges(now.mode)
}

/** What is set of an inode that has these attributes. */
export const traitsAfter = (now: Pick<Attributes, "gid" | "mode" | "type">, asked: Asked): Traits => {
  const { uid, gid, atime, mtime, time } = asked
  const mode = modeAfter(now, asked)
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(atime === undefined ? {} : { atime }),
    ...(mtime === undefined ? {} : { mtime }),
    ctime: time
  }
}

export const setAttr = (tree: Tree, command: Of<"SetAttr">, context: Context): Outcome => {
  const { ino, size } = command
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  const events: Array<WorkspaceEvent> = []
  let after = attributes(tree, slot)
  const set = traitsAfter(after, command)
  if (size !== undefined) {
    const truncated = resized(tree, command, size, context)
    if ("refused" in truncated) return truncated
    events.push(truncated.event)
    after = truncated.attributes
  }
  // A change of size alone has set the time already.
  if (Object.keys(set).length > 1 || size === undefined) events.push({ _tag: "AttributesSet", ino, ...set })
  return accept(events, { attributes: { ...after, ...set } }, context)
}

export const truncate = (tree: Tree, command: Of<"Truncate">, context: Context): Outcome => {
  const slot = file(tree, command.ino)
  if (typeof slot !== "number") return slot
  const truncated = resized(tree, command, command.size, context)
  if ("refused" in truncated) return truncated
  return accept([truncated.event], { attributes: truncated.attributes }, context)
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

const xattrFault = (name: string): Refused | undefined => {
  const bytes = bytesOfName(name)
  if (bytes <= 0 || name.includes("\0")) return refuse("EINVAL", "an attribute has a name")
  return bytes > nameBytesMax ? refuse("ERANGE", `an attribute's name has ${nameBytesMax} bytes at most`) : undefined
}

export const setXattr = (tree: Tree, command: Of<"SetXattr">, context: Context): Outcome => {
  const { ino, name, value, flag, time } = command
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  const fault = xattrFault(name)
  if (fault !== undefined) return fault
  if (!base64.test(value)) return refuse("EINVAL", "the value is not base64")
  if (Buffer.byteLength(value, "base64") > xattrBytesMax)
    return refuse("E2BIG", `an attribute's value has ${xattrBytesMax} bytes at most`)
  const kept = tree.xattrs.get(ino)
  const isThere = kept?.has(name) === true
  if (flag === "create" && isThere) return refuse("EEXIST", `there is an attribute ${name} already`)
  if (flag === "replace" && !isThere) return refuse("ENODATA", `there is no attribute ${name}`)
  if (!isThere && kept !== undefined && kept.size >= xattrsOfInodeMax)
    return refuse("ENOSPC", `an inode has ${xattrsOfInodeMax} attributes at most`)
  const reply = { attributes: { ...attributes(tree, slot), ctime: time } }
  return accept([{ _tag: "XattrSet", ino, name, value, time }], reply, context)
}

export const removeXattr = (tree: Tree, command: Of<"RemoveXattr">, context: Context): Outcome => {
  const { ino, name, time } = command
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  if (tree.xattrs.get(ino)?.has(name) !== true) return refuse("ENODATA", `there is no attribute ${name}`)
  const reply = { attributes: { ...attributes(tree, slot), ctime: time } }
  return accept([{ _tag: "XattrRemoved", ino, name, time }], reply, context)
}
