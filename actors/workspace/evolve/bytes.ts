/** How a file's bytes change: which slices cover it, and how large it is. */

import { chunkBytes, fileBytesMax } from "../../../messages/chunks.ts"
import type { Mode, Time } from "../../../messages/inode.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import { clear, cover, type Extents, stride, within } from "../tree/extents.ts"
import { isFile, typeMask } from "../tree/inodes.ts"
import { extentsOf } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import { counting } from "./count.ts"
import { touch } from "./names.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>

const fileAt = (tree: Tree, ino: number): number => {
  const slot = tree.inodes.find(ino)
  return slot >= 0 && isFile(tree.inodes.mode[slot] as number) ? slot : -1
}

/** Puts the parts back in their shortest form, and counts the bytes. */
const settle = (tree: Tree, slot: number, extents: Extents, more: number): void => {
  const { inodes, slices } = tree
  const [pos, slice, off, len] = extents
  const isWhole = extents.length === stride && pos === 0 && off === 0 && len === slices.size[slice as number]
  inodes.body[slot] = extents.length === 0 ? undefined : isWhole ? slice : extents
  inodes.used[slot] = (inodes.used[slot] as number) + more
  tree.bytes += more
}

const editable = (tree: Tree, slot: number): Extents => {
  tree.inodes.keep(slot)
  const body = tree.inodes.body[slot]
  return Array.isArray(body) ? body : [...extentsOf(tree, slot)]
}

interface Changed {
  readonly size: number
  readonly time: Time
  readonly mode?: typeof Mode.Type
}

const changed = (tree: Tree, slot: number, { size, time, mode }: Changed): void => {
  const { inodes } = tree
  inodes.keep(slot)
  inodes.size[slot] = size
  if (mode !== undefined) inodes.mode[slot] = ((inodes.mode[slot] as number) & typeMask) | mode
  touch(tree, slot, time)
}

export const truncate = (tree: Tree, event: Of<"Truncated">, at: number): void => {
  const slot = fileAt(tree, event.ino)
  if (slot < 0) return
  if (event.size < (tree.inodes.size[slot] as number)) {
    const extents = editable(tree, slot)
    const less = clear(extents, event.size, fileBytesMax, counting(tree, { at, version: event.version }))
    settle(tree, slot, extents, -less)
  }
  changed(tree, slot, event)
}

export const write = (tree: Tree, event: Of<"Written">, at: number): void => {
  const slot = fileAt(tree, event.ino)
  if (slot < 0) return
  const { slices, reservations, layout } = tree
  const count = counting(tree, { at, version: event.version })
  const extents = editable(tree, slot)
  /** By id: a slice may be used twice, and must outlive the event even if what comes later covers it. */
  const added = new Map<number, number>()
  let more = 0
  for (const placement of event.slices) {
    const { chunk, id, len, off } = placement
    const pos = chunk * chunkBytes + placement.pos
    if (id === 0) {
      more -= clear(extents, pos, pos + len, count)
      continue
    }
    let slice = added.get(id)
    if (slice === undefined) {
      slice = slices.add(placement)
      if (layout === "generations") slices.home.set(slice, { ino: event.ino, chunk: placement.keyChunk ?? chunk })
      count(slice, 1)
      added.set(id, slice)
      reservations.use(id)
    }
    more += cover(extents, pos, { slice, off, len }, count)
  }
  for (const slice of added.values()) count(slice, -1)
  settle(tree, slot, extents, more)
  changed(tree, slot, event)
}

export const copy = (tree: Tree, event: Of<"Copied">, at: number): void => {
  const source = fileAt(tree, event.from)
  const slot = fileAt(tree, event.ino)
  if (source < 0 || slot < 0) return
  const { offset, to, length } = event
  const parts = within(extentsOf(tree, source), offset, offset + length)
  const count = counting(tree, { at, version: event.version })
  // Held meanwhile: what is copied may lie just where it is copied to.
  for (let part = 1; part < parts.length; part += stride) count(parts[part] as number, 1)
  const extents = editable(tree, slot)
  let more = -clear(extents, to, to + length, count)
  for (let part = 0; part < parts.length; part += stride) {
    const [pos, slice, off, len] = parts.slice(part, part + stride) as [number, number, number, number]
    more += cover(extents, to + pos - offset, { slice, off, len }, count)
  }
  for (let part = 1; part < parts.length; part += stride) count(parts[part] as number, -1)
  settle(tree, slot, extents, more)
  changed(tree, slot, { ...event, size: Math.max(tree.inodes.size[slot] as number, to + length) })
}

export const allocate = (tree: Tree, event: Of<"Fallocated">, at: number): void => {
  const slot = fileAt(tree, event.ino)
  if (slot < 0) return
  if (event.zeroed) {
    const extents = editable(tree, slot)
    const count = counting(tree, { at, version: event.version })
    settle(tree, slot, extents, -clear(extents, event.offset, event.offset + event.length, count))
  }
  changed(tree, slot, event)
}
