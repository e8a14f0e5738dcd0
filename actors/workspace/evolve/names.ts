/** How the tree's names and inodes change. */
import type { Time } from "../../../messages/inode.ts"
import { bytesOfName } from "../../../messages/names.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import { isDirectory, typeBits } from "../tree/inodes.ts"
import { extentsOf } from "../tree/read.ts"
import { directoryOf, directorySize, lockKey, newDirectory, type Tree } from "../tree/tree.ts"
import { counting, type Death } from "./count.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>
type Orphaned = Of<"Unlinked">["orphan"]

export const setAtime = (tree: Tree, slot: number, [s, ns]: Time): void => {
  tree.inodes.keep(slot)
  tree.inodes.atime[slot] = s
  tree.inodes.atimeNs[slot] = ns
}
export const setMtime = (tree: Tree, slot: number, [s, ns]: Time): void => {
  tree.inodes.keep(slot)
  tree.inodes.mtime[slot] = s
  tree.inodes.mtimeNs[slot] = ns
}
export const setCtime = (tree: Tree, slot: number, [s, ns]: Time): void => {
  tree.inodes.keep(slot)
  tree.inodes.ctime[slot] = s
  tree.inodes.ctimeNs[slot] = ns
}

/** Its contents changed. */
export const touch = (tree: Tree, slot: number, time: Time): void => {
  setMtime(tree, slot, time)
  setCtime(tree, slot, time)
}

const relink = (tree: Tree, slot: number, change: number): void => {
  tree.inodes.keep(slot)
  tree.inodes.nlink[slot] = Math.max(0, (tree.inodes.nlink[slot] as number) + change)
}

export const create = (tree: Tree, event: Of<"Created">): void => {
  const { inodes } = tree
  const parent = inodes.find(event.parent)
  const list = directoryOf(tree, parent)
  if (list === undefined || inodes.find(event.ino) >= 0) return
  const slot = inodes.add(event.ino)
  const isList = event.type === "directory"
  inodes.mode[slot] = typeBits[event.type] | event.mode
  inodes.nlink[slot] = event.name === undefined ? 0 : isList ? 2 : 1
  inodes.uid[slot] = event.uid
  inodes.gid[slot] = event.gid
  inodes.size[slot] = isList ? directorySize : event.target === undefined ? 0 : bytesOfName(event.target)
  inodes.used[slot] = 0
  setAtime(tree, slot, event.time)
  touch(tree, slot, event.time)
  inodes.body[slot] = isList ? newDirectory(event.parent) : event.target
  if (event.rdev !== undefined) tree.rdevs.set(event.ino, event.rdev)
  if (event.ino < tree.nextIno) tree.loans.use(event.ino)
  else tree.nextIno = event.ino + 1
  if (event.name === undefined) return orphan(tree, event.ino, event.orphan ?? { until: 0 }, true)
  // The directory's cursor moves on with it.
  inodes.keep(parent)
  tree.names.add(list, parent, event.name, slot)
  if (isList) relink(tree, parent, 1)
  touch(tree, parent, event.time)
}

export const link = (tree: Tree, event: Of<"Linked">): void => {
  const parent = tree.inodes.find(event.parent)
  const slot = tree.inodes.find(event.ino)
  const list = directoryOf(tree, parent)
  if (list === undefined || slot < 0) return
  tree.inodes.keep(parent)
  tree.names.add(list, parent, event.name, slot)
  relink(tree, slot, 1)
  setCtime(tree, slot, event.time)
  touch(tree, parent, event.time)
  tree.orphans.delete(event.ino)
  tree.doomed.delete(event.ino)
}

const orphan = (tree: Tree, ino: number, how: NonNullable<Orphaned>, nameless: boolean): void => {
  const holders = new Set(how.holder === undefined ? [] : [how.holder])
  tree.orphans.set(ino, { until: how.until, holders, nameless })
  if (holders.size === 0) tree.doomed.set(ino, how.until)
}

/** An inode has a name less. A directory has only the one. */
const loseName = (tree: Tree, slot: number, parent: number, lost: { time: Time; orphan: Orphaned; death: Death }) => {
  const isList = isDirectory(tree.inodes.mode[slot] as number)
  relink(tree, slot, isList ? -2 : -1)
  if (isList) relink(tree, parent, -1)
  setCtime(tree, slot, lost.time)
  if (tree.inodes.nlink[slot] !== 0) return
  if (lost.orphan === undefined) drop(tree, slot, lost.death)
  else orphan(tree, tree.inodes.ino[slot] as number, lost.orphan, false)
}

/** A replica that has shown it before hears only now what becomes of the inode. */
const foretold = (tree: Tree, { ino, orphan: how }: Of<"Unlinked">): void => {
  if (how === undefined || !tree.orphans.delete(ino)) return
  tree.doomed.delete(ino)
  orphan(tree, ino, how, false)
}

export const unlink = (tree: Tree, event: Of<"Unlinked">, at: number): void => {
  if (event.turn !== undefined) tree.loans.use(event.turn)
  const parent = tree.inodes.find(event.parent)
  const list = directoryOf(tree, parent)
  const entry = list === undefined ? -1 : tree.names.find(parent, event.name)
  if (list === undefined || entry < 0) return foretold(tree, event)
  const slot = tree.names.childOf(entry)
  if (tree.inodes.ino[slot] !== event.ino) return foretold(tree, event)
  tree.names.remove(list, entry)
  touch(tree, parent, event.time)
  loseName(tree, slot, parent, { time: event.time, orphan: event.orphan, death: { at, version: event.version } })
}

/** A directory that has another parent now. */
const adopt = (tree: Tree, slot: number, from: number, to: number): void => {
  const list = directoryOf(tree, slot)
  if (list === undefined || from === to) return
  tree.inodes.keep(slot)
  list.parent = tree.inodes.ino[to] as number
  relink(tree, from, -1)
  relink(tree, to, 1)
}

export const rename = (tree: Tree, event: Of<"Renamed">, at: number): void => {
  const { inodes, names } = tree
  if (event.turn !== undefined) tree.loans.use(event.turn)
  const from = inodes.find(event.parent)
  const to = inodes.find(event.toParent)
  const list = directoryOf(tree, from)
  const toList = directoryOf(tree, to)
  const entry = names.find(from, event.name)
  if (list === undefined || toList === undefined || entry < 0) return
  const slot = names.childOf(entry)
  const toEntry = names.find(to, event.toName)
  const other = toEntry < 0 ? -1 : names.childOf(toEntry)
  inodes.keep(to)
  if (toEntry >= 0) names.point(toEntry, slot)
  else names.add(toList, to, event.toName, slot)
  if (event.exchange === true && other >= 0) {
    names.point(entry, other)
    adopt(tree, other, to, from)
    setCtime(tree, other, event.time)
  } else names.remove(list, entry)
  adopt(tree, slot, from, to)
  setCtime(tree, slot, event.time)
  touch(tree, from, event.time)
  touch(tree, to, event.time)
  if (other < 0 || event.exchange === true) return
  const death = { at, version: event.version }
  loseName(tree, other, to, { time: event.time, orphan: event.orphan, death })
}

/** The inode is gone, and what only it reached is garbage. */
export const drop = (tree: Tree, slot: number, death: Death): void => {
  const { inodes } = tree
  inodes.keep(slot)
  const ino = inodes.ino[slot] as number
  const list = directoryOf(tree, slot)
  if (list !== undefined) tree.names.drop(list)
  const count = counting(tree, death)
  const extents = extentsOf(tree, slot)
  for (let at = 1; at < extents.length; at += 4) count(extents[at] as number, -1)
  tree.bytes -= inodes.used[slot] as number
  tree.xattrs.delete(ino)
  tree.rdevs.delete(ino)
  tree.loans.giveBack(ino)
  tree.orphans.delete(ino)
  tree.doomed.delete(ino)
  for (const key of [lockKey("flock", ino), lockKey("posix", ino)]) {
    tree.locks.delete(key)
    tree.stalled.delete(key)
  }
  inodes.remove(slot)
}
