/** An inode as the kernel is shown it: as the tree has it, with what is written and not committed yet on top. */

import { typeBits, typeMask } from "../../actors/workspace/tree/inodes.ts"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import type { Attributes, Time } from "../../messages/inode.ts"
import type { Traits } from "../../messages/workspace-events.ts"
import type { FileSystemStat, Stat } from "../ports/mount.ts"
import type { Pending } from "./telling.ts"

export const blankStat = (): Stat => ({
  ino: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  size: 0,
  used: 0,
  atimeS: 0,
  atimeNs: 0,
  mtimeS: 0,
  mtimeNs: 0,
  ctimeS: 0,
  ctimeNs: 0
})

/** What a write by anybody but root leaves of a mode: the same as the actor makes of it. */
const plainMode = (mode: number): number => mode & ~0o4000 & ((mode & 0o2010) === 0o2010 ? ~0o2000 : ~0)

const overlay = (into: Stat, { size, s, ns, plain, set }: Pending): Stat => {
  into.size = size
  into.used = Math.max(into.used, size)
  into.mtimeS = s
  into.mtimeNs = ns
  into.ctimeS = s
  into.ctimeNs = ns
  if (plain) into.mode = plainMode(into.mode)
  return set === undefined ? into : dressed(into, set)
}

const dressed = (into: Stat, { mode, uid, gid, atime, mtime, ctime }: Traits): Stat => {
  if (mode !== undefined) into.mode = (into.mode & typeMask) | mode
  if (uid !== undefined) into.uid = uid
  if (gid !== undefined) into.gid = gid
  if (atime !== undefined) [into.atimeS, into.atimeNs] = atime
  if (mtime !== undefined) [into.mtimeS, into.mtimeNs] = mtime
  ;[into.ctimeS, into.ctimeNs] = ctime
  return into
}

/** What is set of a file that is written to behind that: the write has its own time. */
export const rewritten = (set: Traits, time: Time, plain: boolean): Traits => {
  const { mtime, mode, ...rest } = set
  return { ...rest, ...(mode === undefined ? {} : { mode: plain ? plainMode(mode) : mode }), ctime: time }
}

/** Fills a record from a slot of the tree. */
export const fillStat = (into: Stat, tree: Tree, slot: number, pending: Pending | undefined): Stat => {
  const { inodes } = tree
  const mode = inodes.mode[slot] as number
  const ino = inodes.ino[slot] as number
  into.ino = ino
  into.mode = mode
  into.nlink = inodes.nlink[slot] as number
  into.uid = inodes.uid[slot] as number
  into.gid = inodes.gid[slot] as number
  const isDevice = (mode & 0o170000) === typeBits.character || (mode & 0o170000) === typeBits.block
  into.rdev = isDevice ? (tree.rdevs.get(ino) ?? 0) : 0
  into.size = inodes.size[slot] as number
  into.used = inodes.used[slot] as number
  into.atimeS = inodes.atime[slot] as number
  into.atimeNs = inodes.atimeNs[slot] as number
  into.mtimeS = inodes.mtime[slot] as number
  into.mtimeNs = inodes.mtimeNs[slot] as number
  into.ctimeS = inodes.ctime[slot] as number
  into.ctimeNs = inodes.ctimeNs[slot] as number
  return pending === undefined ? into : overlay(into, pending)
}

/** The same from what the actor answered. */
export const statOf = (given: Attributes, pending?: Pending): Stat => {
  const { ino, nlink, uid, gid, rdev, size, used } = given
  const into: Stat = {
    ...{ ino, nlink, uid, gid, rdev, size, used },
    mode: typeBits[given.type] | given.mode,
    ...{ atimeS: given.atime[0], atimeNs: given.atime[1] },
    ...{ mtimeS: given.mtime[0], mtimeNs: given.mtime[1] },
    ...{ ctimeS: given.ctime[0], ctimeNs: given.ctime[1] }
  }
  return pending === undefined ? into : overlay(into, pending)
}

interface Space {
  readonly bytes: number
  readonly bytesMax: number
  readonly entries: number
  readonly entriesMax: number
}

const blockBytes = 4096
const nameBytesMax = 255

/** What `df` is told. A workspace without limits is as large as a number can say without tools taking fright. */
export const spaceOf = ({ bytes, bytesMax, entries, entriesMax }: Space): FileSystemStat => {
  const all = bytesMax > 0 ? bytesMax : 2 ** 50 + bytes
  const files = entriesMax > 0 ? entriesMax : 2 ** 40
  return {
    blockBytes,
    blocks: Math.ceil(all / blockBytes),
    blocksFree: Math.max(0, Math.floor((all - bytes) / blockBytes)),
    files,
    filesFree: Math.max(0, files - entries),
    nameBytesMax
  }
}
