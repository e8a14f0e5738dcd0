/** What has to be true of a workspace at every entry of its log, and of every replica that folded it. */
import { createHash } from "node:crypto"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { extentsOf } from "../../actors/workspace/tree/read.ts"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"
import type { Committed } from "../../adapters/world/journal.ts"
import type { Lock } from "../../messages/lock.ts"
import { blockSize, blocksOf } from "../../messages/slices.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { digestOf } from "../../runtime/files/digest.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { dump } from "../property/workspace.dump.ts"
import { org, workspace } from "./files-mount.ts"

/** When an object was first there, and what it is. */
export interface Stored {
  readonly at: number
  readonly bytes: Uint8Array
}

const keyOf = keysOf({ prefix: `${org}/${workspace}`, layout: "slices", workspace })

/** Short enough to be kept for every version. */
export const fingerprint = (tree: Tree): string =>
  createHash("sha1")
    .update(JSON.stringify(dump(tree)))
    .digest("base64")
    .slice(0, 16)

/** Every slice's blocks are in the store when the entry lands that names it, and are what it says. */
const storedFault = (event: WorkspaceEvent, at: number, stored: ReadonlyMap<string, Stored>): string | undefined => {
  if (event._tag !== "Written") return undefined
  for (const { id, size, digests } of event.slices) {
    for (let index = 0; index < blocksOf(size); index++) {
      const key = keyOf({ id, size }, index)
      const object = stored.get(key)
      if (object === undefined) return `slice ${id} is named, and ${key} was never stored`
      if (object.at > at) return `slice ${id} was named at ${at}, and ${key} stored at ${object.at}`
      if (object.bytes.length !== blockSize(size, index)) return `${key} has ${object.bytes.length} bytes`
      if (digestOf(object.bytes) !== digests.slice(index * 16, index * 16 + 16)) return `${key} has another digest`
    }
  }
  return undefined
}

const clash = (a: Lock, b: Lock): boolean =>
  (a.session !== b.session || a.owner !== b.owner) &&
  a.start <= b.end &&
  b.start <= a.end &&
  (a.type === "write" || b.type === "write")

const lockFault = (tree: Tree): string | undefined => {
  for (const [key, { held }] of tree.locks)
    for (const [index, one] of held.entries()) {
      if (!tree.sessions.has(one.session)) return `${key} is held by ${one.session}, which is over`
      const other = held.slice(0, index).find((before) => clash(before, one))
      if (other !== undefined) return `${key} is held by ${other.session} and by ${one.session}`
    }
  return undefined
}

const used = (tree: Tree): Set<number> => {
  const ids = new Set<number>()
  for (let slot = 0; slot < tree.inodes.top; slot++) {
    if (tree.inodes.ino[slot] === 0) continue
    const extents = extentsOf(tree, slot)
    for (let at = 0; at < extents.length; at += 4) ids.add(tree.slices.id[extents[at + 1] as number] as number)
  }
  return ids
}

/** What was written and is in no file any more is garbage, and nothing else is. */
const garbageFault = (tree: Tree, written: ReadonlySet<number>): string | undefined => {
  const reached = used(tree)
  const queued = new Set<number>()
  for (const { id, size, count } of tree.garbage.list(-1, Number.MAX_SAFE_INTEGER)) {
    if (size >= 0) {
      if (queued.has(id)) return `slice ${id} is garbage twice`
      queued.add(id)
      continue
    }
    for (let one = id; one < id + (count ?? 1); one++)
      if (reached.has(one) || written.has(one)) return `slice ${one} was written, and is garbage that never was`
  }
  for (const id of reached) if (queued.has(id)) return `slice ${id} is garbage and is in a file`
  for (const id of written) if (!reached.has(id) && !queued.has(id)) return `slice ${id} is in no file and no garbage`
  for (const id of queued) if (!written.has(id)) return `slice ${id} is garbage and was never written`
  return undefined
}

interface Room {
  readonly bytes: number
  readonly entries: number
}

const roomFault = (tree: Tree, before: Room): string | undefined => {
  const { bytesMax, entriesMax, bytes } = tree
  if (bytesMax > 0 && bytes > bytesMax && bytes > before.bytes) return `${bytes} bytes of ${bytesMax}`
  const entries = tree.inodes.live - 1
  if (entriesMax > 0 && entries > entriesMax && entries > before.entries) return `${entries} entries of ${entriesMax}`
  return undefined
}

export interface Truth {
  readonly fault: string | undefined
  /** By version. */
  readonly prints: ReadonlyArray<string>
  readonly tree: Tree
  readonly events: ReadonlyMap<string, number>
}

/** Folds the log of the workspace, and looks at it behind every entry. */
export const truthOf = (ledger: ReadonlyArray<Committed>, stored: ReadonlyMap<string, Stored>): Truth => {
  let tree = initial(workspace)
  const prints = [fingerprint(tree)]
  const written = new Set<number>()
  const events = new Map<string, number>()
  let fault: string | undefined
  for (const { placed, at } of ledger) {
    const { entry } = placed
    if (entry.kind !== "workspace") continue
    const room = { bytes: tree.bytes, entries: tree.inodes.live - 1 }
    for (const event of JSON.parse(entry.events) as ReadonlyArray<WorkspaceEvent>) {
      events.set(event._tag, (events.get(event._tag) ?? 0) + 1)
      fault ??= storedFault(event, at, stored)
      if (event._tag === "Written") for (const { id } of event.slices) if (id > 0) written.add(id)
      tree = evolve(tree, event, entry.at)
    }
    const found = lockFault(tree) ?? garbageFault(tree, written) ?? roomFault(tree, room)
    fault ??= found === undefined ? undefined : `at version ${entry.version}: ${found}`
    prints.push(fingerprint(tree))
  }
  return { fault, prints, tree, events }
}

/** Objects that nothing names and that nobody will come back to. */
export const leaked = (tree: Tree, stored: ReadonlyMap<string, Stored>): string | undefined => {
  const reached = used(tree)
  const gone: Array<readonly [number, number]> = []
  for (const { id, count } of tree.garbage.list(-1, Number.MAX_SAFE_INTEGER)) gone.push([id, id + (count ?? 1)])
  for (const key of stored.keys()) {
    const id = Number(/\/(\d+)_\d+_\d+$/.exec(key)?.[1] ?? 0)
    if (id === 0 || reached.has(id) || tree.reservations.holderOf(id) !== undefined) continue
    if (!gone.some(([from, to]) => id >= from && id < to)) return `${key} is in the store and nobody knows of it`
  }
  return undefined
}
