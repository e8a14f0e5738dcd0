/** What the kernel should no longer believe when an entry is folded that it did not cause itself. */

import { isDirectory } from "../../actors/workspace/tree/inodes.ts"
import { lookup } from "../../actors/workspace/tree/read.ts"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import { chunkBytes } from "../../messages/chunks.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Invalidation } from "../ports/mount.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>

const allPages = { offset: 0, length: 0 } as const
const noPages = { offset: -1, length: 0 } as const

const attributesOf = (ino: number): Invalidation => ({ kind: "inode", ino, ...noPages })
const everythingOf = (ino: number): Invalidation => ({ kind: "inode", ino, ...allPages })
const pagesOf = (ino: number, offset: number, length: number): Invalidation => ({ kind: "inode", ino, offset, length })

/** More ranges than this are told as one. */
const rangesMax = 16

const written = ({ ino, slices }: Of<"Written">): ReadonlyArray<Invalidation> => {
  if (slices.length > rangesMax) return [everythingOf(ino)]
  return slices.map(({ chunk, pos, len }) => pagesOf(ino, chunk * chunkBytes + pos, len))
}

/** What has lost a name and is there still, by another name or because it is open. */
const lost = (tree: Tree, parent: number, name: string): ReadonlyArray<Invalidation> => {
  const slot = lookup(tree, tree.inodes.find(parent), name)
  return slot < 0 ? [] : [attributesOf(tree.inodes.ino[slot] as number)]
}

/** The listing of a directory says where its parent is. */
const moved = (tree: Tree, event: Of<"Renamed">): ReadonlyArray<Invalidation> => {
  const { ino, parent, toParent, toName, exchange } = event
  if (parent === toParent) return []
  const other = exchange === true ? lookup(tree, tree.inodes.find(toParent), toName) : -1
  return [tree.inodes.find(ino), other]
    .filter((slot) => slot >= 0 && isDirectory(tree.inodes.mode[slot] as number))
    .map((slot) => everythingOf(tree.inodes.ino[slot] as number))
}

const renamed = (tree: Tree, event: Of<"Renamed">): ReadonlyArray<Invalidation> => [
  ...lost(tree, event.toParent, event.toName),
  { kind: "entry", parent: event.parent, name: event.name },
  { kind: "entry", parent: event.toParent, name: event.toName },
  ...moved(tree, event),
  attributesOf(event.ino),
  everythingOf(event.parent),
  ...(event.parent === event.toParent ? [] : [everythingOf(event.toParent)])
]

/** The tree is the one from before the event. */
export const foreign = (tree: Tree, event: WorkspaceEvent): ReadonlyArray<Invalidation> => {
  switch (event._tag) {
    case "Created": {
      const { parent, name } = event
      // The directory's pages are its listing.
      return name === undefined ? [] : [{ kind: "entry", parent, name }, everythingOf(parent)]
    }
    case "Linked":
      return [
        { kind: "entry", parent: event.parent, name: event.name },
        attributesOf(event.ino),
        everythingOf(event.parent)
      ]
    case "Unlinked": {
      const { parent, ino, name } = event
      return [{ kind: "deleted", parent, ino, name }, attributesOf(ino), everythingOf(parent)]
    }
    case "Renamed":
      return renamed(tree, event)
    case "AttributesSet":
    case "XattrSet":
    case "XattrRemoved":
      return [attributesOf(event.ino)]
    case "Written":
      return written(event)
    case "Truncated":
      return [everythingOf(event.ino)]
    case "Copied":
      return [pagesOf(event.ino, event.to, event.length)]
    case "Fallocated":
      return [event.zeroed ? pagesOf(event.ino, event.offset, event.length) : attributesOf(event.ino)]
    default:
      return []
  }
}

/** Of this mount's own changes the kernel knows all but what came of writes: times, the space used, and set-id bits. */
export const own = (tree: Tree, event: WorkspaceEvent): ReadonlyArray<Invalidation> => {
  switch (event._tag) {
    case "Written":
      return [attributesOf(event.ino)]
    case "Copied":
      return [pagesOf(event.ino, event.to, event.length)]
    case "Renamed":
      return moved(tree, event)
    default:
      return []
  }
}

/** What differs between a tree and a newer one of the same workspace, as far as the kernel can have heard of it. */
export function* differences(old: Tree, now: Tree): Generator<Invalidation> {
  const { inodes, names } = old
  const inoOf = (tree: Tree, slot: number): number => (slot < 0 ? 0 : (tree.inodes.ino[slot] as number))
  for (let entry = 0; entry < names.top; entry++) {
    const child = names.childOf(entry)
    if (child < 0) continue
    const parent = inoOf(old, names.directory[entry] as number)
    const name = names.name[entry] as string
    const slot = now.inodes.find(parent)
    if (slot < 0 || inoOf(now, lookup(now, slot, name)) !== inoOf(old, child)) yield { kind: "entry", parent, name }
  }
  for (let slot = 0; slot < inodes.top; slot++) {
    const ino = inodes.ino[slot] as number
    if (ino === 0) continue
    const other = now.inodes.find(ino)
    if (other < 0) continue
    const same =
      inodes.ctime[slot] === now.inodes.ctime[other] &&
      inodes.ctimeNs[slot] === now.inodes.ctimeNs[other] &&
      inodes.atime[slot] === now.inodes.atime[other] &&
      inodes.size[slot] === now.inodes.size[other] &&
      inodes.mode[slot] === now.inodes.mode[other] &&
      inodes.nlink[slot] === now.inodes.nlink[other]
    if (!same) yield everythingOf(ino)
  }
  // Names that are new may be known as missing; a directory that has any has changed its times.
  for (let entry = 0; entry < now.names.top; entry++) {
    if (now.names.childOf(entry) < 0) continue
    const parent = inoOf(now, now.names.directory[entry] as number)
    const name = now.names.name[entry] as string
    const slot = old.inodes.find(parent)
    if (slot >= 0 && lookup(old, slot, name) < 0) yield { kind: "entry", parent, name }
  }
}
