/** Decisions about a file's bytes: which slices it gets, where, and how large it becomes. */

import { chunkBytes, fileBytesMax } from "../../../messages/chunks.ts"
import type { Attributes, Time, Who } from "../../../messages/inode.ts"
import { type Appendage, blocksOf, type Placement } from "../../../messages/slices.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { clear, cover, covered, within } from "../tree/extents.ts"
import { attributes, extentsOf } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import { accept, afterChange, byteRoom, file, type Of, type Outcome, type Refused, refuse } from "./rules.ts"

const digestDigits = 16

interface Request {
  readonly ino: number
  readonly who: Who
  readonly time: Time
}

const after = (tree: Tree, slot: number, request: Request, changes: { size: number; more: number; mode?: number }) => {
  const now = attributes(tree, slot)
  const { size, more, mode = now.mode } = changes
  return { ...now, size, mode, used: now.used + more, mtime: request.time, ctime: request.time }
}

/** A file of another size: the event and what comes of it. */
export const resized = (
  tree: Tree,
  request: Request,
  size: number,
  context: Context
): { readonly event: WorkspaceEvent; readonly attributes: Attributes } | Refused => {
  const slot = file(tree, request.ino)
  if (typeof slot !== "number") return slot
  const { ino, time, who } = request
  const mode = afterChange(tree, slot, who)
  const more = -covered(extentsOf(tree, slot), size, fileBytesMax)
  return {
    event: { _tag: "Truncated", ino, size, time, ...mode, version: context.version },
    attributes: after(tree, slot, request, { size, more, ...mode })
  }
}

/** Why these slices cannot be of this file. */
const sliceFault = (tree: Tree, slices: ReadonlyArray<Appendage | Placement>, caller: string): Refused | undefined => {
  for (const { id, size, off, len, digests } of slices) {
    if (len === 0) return refuse("EINVAL", `slice ${id} has no bytes`)
    if (id === 0) {
      if (size !== 0 || off !== 0 || digests !== "") return refuse("EINVAL", "a hole has no size, offset or digests")
      continue
    }
    if (off + len > size) return refuse("EINVAL", `slice ${id} has ${size} bytes, and ${off + len} are used`)
    if (digests.length !== blocksOf(size) * digestDigits)
      return refuse("EINVAL", `slice ${id} has ${blocksOf(size)} blocks and not as many digests`)
    if (tree.reservations.holderOf(id) !== caller)
      return refuse("ESTALE", `slice ${id} is not reserved for ${caller}, or is used already`)
  }
  return undefined
}

/** Where a write ends in the file. */
const endOf = (slices: ReadonlyArray<Placement>): number => {
  let end = 0
  for (const { chunk, pos, len } of slices) end = Math.max(end, chunk * chunkBytes + pos + len)
  return end
}

const uncounted = () => {}

/** By how many bytes more the file is covered with these slices on it. */
const growth = (tree: Tree, slot: number, slices: ReadonlyArray<Placement>): number => {
  let first = fileBytesMax
  for (const { chunk, pos } of slices) first = Math.min(first, chunk * chunkBytes + pos)
  const extents = within(extentsOf(tree, slot), first, endOf(slices))
  let more = 0
  for (const [index, { chunk, pos, off, len, id }] of slices.entries()) {
    const from = chunk * chunkBytes + pos
    // Their slots are not given yet: any that no part has will do.
    more +=
      id === 0
        ? -clear(extents, from, from + len, uncounted)
        : cover(extents, from, { slice: -1 - index, off, len }, uncounted)
  }
  return more
}

const put = (
  tree: Tree,
  slot: number,
  request: Request & { readonly slices: ReadonlyArray<Placement> },
  context: Context
) => {
  const { ino, time, slices, who } = request
  const end = endOf(slices)
  if (end > fileBytesMax) return refuse("EFBIG", `a file has ${fileBytesMax} bytes at most`)
  const more = growth(tree, slot, slices)
  const full = byteRoom(tree, more)
  if (full !== undefined) return full
  const size = Math.max(tree.inodes.size[slot] as number, end)
  const mode = afterChange(tree, slot, who)
  const event: WorkspaceEvent = { _tag: "Written", ino, slices, size, time, ...mode, version: context.version }
  return { event, attributes: after(tree, slot, request, { size, more, ...mode }) }
}

/** What came of a file's bytes, and what was set of it behind them. */
const dressed = (
  { ino, set }: Of<"Write" | "Append">,
  now: Attributes,
  events: ReadonlyArray<WorkspaceEvent>,
  context: Context,
  reply: object = {}
): Outcome =>
  set === undefined
    ? accept(events, { ...reply, attributes: now }, context)
    : accept([...events, { _tag: "AttributesSet", ino, ...set }], { ...reply, attributes: { ...now, ...set } }, context)

export const write = (tree: Tree, command: Of<"Write">, context: Context): Outcome => {
  const slot = file(tree, command.ino)
  if (typeof slot !== "number") return slot
  const { slices } = command
  if (slices.length === 0) return dressed(command, attributes(tree, slot), [], context)
  const fault = sliceFault(tree, slices, context.caller)
  if (fault !== undefined) return fault
  for (const { pos, len, chunk } of slices)
    if (pos + len > chunkBytes) return refuse("EINVAL", `what is written at ${pos} leaves chunk ${chunk}`)
  const written = put(tree, slot, command, context)
  return "refused" in written ? written : dressed(command, written.attributes, [written.event], context)
}

/** Behind one another from an offset on, cut where chunks begin. */
const placed = (slices: ReadonlyArray<Appendage>, offset: number): Array<Placement> => {
  const placements: Array<Placement> = []
  let at = offset
  for (const slice of slices) {
    for (let done = 0; done < slice.len; ) {
      const chunk = Math.floor(at / chunkBytes)
      const pos = at - chunk * chunkBytes
      const len = Math.min(slice.len - done, chunkBytes - pos)
      const keyChunk = slice.chunk === chunk || slice.id === 0 ? {} : { keyChunk: slice.chunk }
      const off = slice.id === 0 ? 0 : slice.off + done
      placements.push({ ...slice, chunk, pos, off, len, ...keyChunk })
      done += len
      at += len
    }
  }
  return placements
}

export const append = (tree: Tree, command: Of<"Append">, context: Context): Outcome => {
  const slot = file(tree, command.ino)
  if (typeof slot !== "number") return slot
  const { ino, who, time, slices } = command
  const offset = tree.inodes.size[slot] as number
  if (slices.length === 0) return dressed(command, attributes(tree, slot), [], context, { offset })
  const fault = sliceFault(tree, slices, context.caller)
  if (fault !== undefined) return fault
  const written = put(tree, slot, { ino, who, time, slices: placed(slices, offset) }, context)
  return "refused" in written ? written : dressed(command, written.attributes, [written.event], context, { offset })
}

export const copyRange = (tree: Tree, command: Of<"CopyRange">, context: Context): Outcome => {
  const { from, offset, ino, to, time, who } = command
  const source = file(tree, from)
  if (typeof source !== "number") return source
  const slot = file(tree, ino)
  if (typeof slot !== "number") return slot
  const length = Math.min(command.length, (tree.inodes.size[source] as number) - offset)
  if (length <= 0) return accept([], { copied: 0, attributes: attributes(tree, slot) }, context)
  if (from === ino && offset < to + length && to < offset + length)
    return refuse("EINVAL", "the ranges overlap in one file")
  if (to + length > fileBytesMax) return refuse("EFBIG", `a file has ${fileBytesMax} bytes at most`)
  const more =
    covered(extentsOf(tree, source), offset, offset + length) - covered(extentsOf(tree, slot), to, to + length)
  const full = byteRoom(tree, more)
  if (full !== undefined) return full
  const size = Math.max(tree.inodes.size[slot] as number, to + length)
  const mode = afterChange(tree, slot, who)
  const { version } = context
  const event: WorkspaceEvent = { _tag: "Copied", from, offset, ino, to, length, time, ...mode, version }
  return accept([event], { copied: length, attributes: after(tree, slot, command, { size, more, ...mode }) }, context)
}

export const fallocate = (tree: Tree, command: Of<"Fallocate">, context: Context): Outcome => {
  const { ino, offset, length, how, time, who } = command
  const slot = file(tree, ino)
  if (typeof slot !== "number") return slot
  if (length === 0) return refuse("EINVAL", "a range has bytes")
  const end = offset + length
  if (end > fileBytesMax) return refuse("EFBIG", `a file has ${fileBytesMax} bytes at most`)
  const there = covered(extentsOf(tree, slot), offset, end)
  const zeroed = how !== "extend" && how !== "keep"
  // Nothing is set aside for what is to be written, but what could never be written is refused now.
  const full = zeroed ? undefined : byteRoom(tree, length - there)
  if (full !== undefined) return full
  const isLonger = how === "extend" || how === "zero"
  const size = isLonger ? Math.max(tree.inodes.size[slot] as number, end) : (tree.inodes.size[slot] as number)
  const mode = afterChange(tree, slot, who)
  const { version } = context
  const event: WorkspaceEvent = { _tag: "Fallocated", ino, offset, length, zeroed, size, time, ...mode, version }
  const more = zeroed ? -there : 0
  return accept([event], { attributes: after(tree, slot, command, { size, more, ...mode }) }, context)
}
