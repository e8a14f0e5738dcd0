/** Reading a tree: plain functions over slots, for the actor's answers and for replicas that serve a kernel. */
import type { Attributes } from "../../../messages/inode.ts"
import type { Part } from "../../../messages/slices.ts"
import { stride, within } from "./extents.ts"
import { typeMask, typeOf } from "./inodes.ts"
import { directoryOf, type Tree } from "./tree.ts"

/** The slot of an inode, or -1. */
export const find = (tree: Tree, ino: number): number => tree.inodes.find(ino)

/** The slot that a name in a directory's slot leads to, or -1. */
export const lookup = (tree: Tree, directory: number, name: string): number => {
  const entry = tree.names.find(directory, name)
  return entry < 0 ? -1 : tree.names.childOf(entry)
}

/** The inode that a name in a directory leads to, or 0. */
export const inoNamed = (tree: Tree, parent: number, name: string): number => {
  const slot = lookup(tree, tree.inodes.find(parent), name)
  return slot < 0 ? 0 : (tree.inodes.ino[slot] as number)
}

export const attributes = (tree: Tree, slot: number): Attributes => {
  const { inodes } = tree
  const mode = inodes.mode[slot] as number
  const ino = inodes.ino[slot] as number
  return {
    ino,
    type: typeOf(mode),
    mode: mode & ~typeMask,
    nlink: inodes.nlink[slot] as number,
    uid: inodes.uid[slot] as number,
    gid: inodes.gid[slot] as number,
    rdev: tree.rdevs.get(ino) ?? 0,
    size: inodes.size[slot] as number,
    used: inodes.used[slot] as number,
    atime: [inodes.atime[slot] as number, inodes.atimeNs[slot] as number],
    mtime: [inodes.mtime[slot] as number, inodes.mtimeNs[slot] as number],
    ctime: [inodes.ctime[slot] as number, inodes.ctimeNs[slot] as number]
  }
}

/** Whether a directory has no names. */
export const isEmpty = (tree: Tree, slot: number): boolean => {
  const list = directoryOf(tree, slot)
  return list === undefined || list.order.length === list.dead
}

/**
 * Shows the names behind a cursor one by one, until `visit` gives false: that one was not taken, and its cursor's
 * predecessor is where to go on. True when it came to the end. 0 is the cursor before the first.
 */
export const readDirectory = (
  tree: Tree,
  slot: number,
  after: number,
  visit: (name: string, cursor: number, child: number) => boolean
): boolean => {
  const list = directoryOf(tree, slot)
  if (list === undefined) return true
  const { names } = tree
  for (let at = names.after(list, after); at < list.order.length; at++) {
    const entry = list.order[at] as number
    const child = names.childOf(entry)
    if (child < 0) continue
    if (!visit(names.name[entry] as string, names.cursor[entry] as number, child)) return false
  }
  return true
}

export const linkTarget = (tree: Tree, slot: number): string | undefined => {
  const body = tree.inodes.body[slot]
  return typeof body === "string" ? body : undefined
}

/** The slot of a directory's parent, its own for the root, or -1. */
export const parentOf = (tree: Tree, slot: number): number => {
  const list = directoryOf(tree, slot)
  return list === undefined ? -1 : tree.inodes.find(list.parent)
}

const nothing: ReadonlyArray<number> = []

/** A file's parts, as `extents.ts` describes them. */
export const extentsOf = (tree: Tree, slot: number): ReadonlyArray<number> => {
  const body = tree.inodes.body[slot]
  if (typeof body === "number") return [0, body, 0, tree.slices.size[body] as number]
  return Array.isArray(body) ? body : nothing
}

const partOf = (tree: Tree, at: number, slice: number, span: { readonly off: number; readonly len: number }): Part => {
  const { slices } = tree
  const home = slices.home.get(slice)
  return {
    at,
    len: span.len,
    id: slices.id[slice] as number,
    size: slices.size[slice] as number,
    off: span.off,
    digests: slices.digestsOf(slice),
    ...(home === undefined ? {} : { home })
  }
}

const holePart = (at: number, len: number): Part => ({ at, len, id: 0, size: 0, off: 0, digests: "" })

/** What a range of a file is made of, in order and without gaps, up to its end and to so many parts. */
export const readPlan = (
  tree: Tree,
  slot: number,
  range: { readonly offset: number; readonly length: number },
  partsMax = Number.MAX_SAFE_INTEGER
): Array<Part> => {
  const end = Math.min(range.offset + range.length, tree.inodes.size[slot] as number)
  const parts: Array<Part> = []
  const extents = within(extentsOf(tree, slot), range.offset, end)
  let done = range.offset
  for (let at = 0; at < extents.length && parts.length < partsMax; at += stride) {
    const [pos, slice, off, len] = extents.slice(at, at + stride) as [number, number, number, number]
    if (pos > done) parts.push(holePart(done, pos - done))
    if (parts.length < partsMax) parts.push(partOf(tree, pos, slice, { off, len }))
    done = pos + len
  }
  if (done < end && parts.length < partsMax) parts.push(holePart(done, end - done))
  return parts
}

/** Whether `inner` is `outer` or lies below it; both are slots of directories. */
export const isWithin = (tree: Tree, inner: number, outer: number): boolean => {
  for (let at = inner; at >= 0; ) {
    if (at === outer) return true
    const up = parentOf(tree, at)
    if (up === at) return false
    at = up
  }
  return false
}
