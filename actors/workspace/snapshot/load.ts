/** A tree from the bytes that it was saved as. */
import { type Locks, next } from "../tree/locks.ts"
import { bare, directoryOf, newDirectory, type Tree } from "../tree/tree.ts"
import { type Batch, decode } from "./arrow.ts"
import type { Rest, TableName } from "./capture.ts"
import { alignment, type Head, type IllFormed } from "./save.ts"

export interface Opened {
  readonly rest: Rest
  readonly illFormed: ReadonlyArray<IllFormed>
  readonly tables: ReadonlyMap<TableName, Uint8Array>
}

/** The parts of a snapshot: the tables are whole Arrow IPC streams. */
export const open = (bytes: Uint8Array): Opened => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = buffer.readUInt32LE(0)
  const head = JSON.parse(buffer.toString("utf8", 4, 4 + length)) as Head
  const tables = new Map<TableName, Uint8Array>()
  let at = 4 + length
  for (const [name, size] of head.tables) {
    // Elsewhere in a larger buffer it may lie askew, and numbers of eight bytes may not.
    const isAligned = (bytes.byteOffset + at) % alignment === 0
    tables.set(name, isAligned ? bytes.subarray(at, at + size) : Uint8Array.from(bytes.subarray(at, at + size)))
    at += size
  }
  return { rest: head.rest, illFormed: head.illFormed, tables }
}

export const load = (bytes: Uint8Array, id: string): Tree => {
  const { rest, illFormed, tables } = open(bytes)
  const tree = bare(id)
  const batches = (name: TableName): ReadonlyArray<Batch> => {
    const table = tables.get(name)
    if (table === undefined) throw new Error(`the snapshot lacks the table ${name}`)
    return decode(table)
  }
  const texts = textsOf(illFormed)
  loadRest(tree, rest)
  loadInodes(tree, batches("inodes"))
  loadSpecial(tree, batches("directories"), batches("devices"))
  loadNames(tree, batches("names"), texts("names"))
  loadTargets(tree, batches("targets"), texts("targets"))
  loadSlices(tree, batches("slices"))
  loadFew(tree, batches("digests"), batches("homes"))
  loadExtents(tree, batches("extents"))
  loadXattrs(tree, batches("xattrs"), texts("xattrs"))
  loadGarbage(tree, batches("garbage"), rest.nextGarbage)
  return tree
}

/** What Arrow could not say of a row: the name that is not UTF-8, or undefined. */
type Texts = ReadonlyMap<number, string>

const textsOf =
  (illFormed: ReadonlyArray<IllFormed>) =>
  (table: TableName): Texts =>
    new Map(illFormed.filter(([name]) => name === table).map(([, , row, text]) => [row, text]))

const loadRest = (tree: Tree, rest: Rest): void => {
  tree.layout = rest.layout
  tree.bytesMax = rest.bytesMax
  tree.entriesMax = rest.entriesMax
  tree.nextIno = rest.nextIno
  tree.nextToken = rest.nextToken
  tree.nextTicket = rest.nextTicket
  tree.reservations.next = rest.nextSlice
  for (const [session, { mode, host, began }] of rest.sessions) tree.sessions.set(session, { mode, host, began })
  for (const [ino, until, holders, nameless] of rest.orphans)
    tree.orphans.set(ino, { until, holders: new Set(holders), nameless })
  for (const [ino, until] of rest.doomed) tree.doomed.set(ino, until)
  for (const [key, locks] of rest.locks) {
    tree.locks.set(key, locks as Locks)
    if (next(locks as Locks) !== undefined) tree.stalled.add(key)
  }
  for (const [holder, first, count, at, bits] of rest.reservations)
    tree.reservations.restore({ holder, first, count, at }, bits)
}

const total = (batches: ReadonlyArray<Batch>): number => batches.reduce((sum, { rows }) => sum + rows, 0)

const loadInodes = (tree: Tree, batches: ReadonlyArray<Batch>): void => {
  const { inodes } = tree
  inodes.reserve(total(batches))
  for (const batch of batches) {
    const first = inodes.top
    const ino = batch.numbers("ino")
    for (let row = 0; row < batch.rows; row++) inodes.add(ino[row] as number)
    inodes.mode.set(batch.numbers("mode"), first)
    inodes.nlink.set(batch.numbers("nlink"), first)
    inodes.uid.set(batch.numbers("uid"), first)
    inodes.gid.set(batch.numbers("gid"), first)
    inodes.size.set(batch.numbers("size"), first)
    inodes.used.set(batch.numbers("used"), first)
    inodes.atime.set(batch.numbers("atime"), first)
    inodes.mtime.set(batch.numbers("mtime"), first)
    inodes.ctime.set(batch.numbers("ctime"), first)
    inodes.atimeNs.set(batch.numbers("atime_ns"), first)
    inodes.mtimeNs.set(batch.numbers("mtime_ns"), first)
    inodes.ctimeNs.set(batch.numbers("ctime_ns"), first)
  }
}

const loadSpecial = (tree: Tree, directories: ReadonlyArray<Batch>, devices: ReadonlyArray<Batch>): void => {
  const { inodes } = tree
  for (const batch of directories) {
    const [ino, parent, cursor] = [batch.numbers("ino"), batch.numbers("parent"), batch.numbers("next_cursor")]
    for (let row = 0; row < batch.rows; row++)
      inodes.body[inodes.find(ino[row] as number)] = {
        ...newDirectory(parent[row] as number),
        cursor: cursor[row] as number
      }
  }
  for (const batch of devices) {
    const [ino, rdev] = [batch.numbers("ino"), batch.numbers("rdev")]
    for (let row = 0; row < batch.rows; row++) tree.rdevs.set(ino[row] as number, rdev[row] as number)
  }
  for (let slot = 0; slot < inodes.top; slot++) tree.bytes += inodes.used[slot] as number
}

const loadNames = (tree: Tree, batches: ReadonlyArray<Batch>, texts: Texts): void => {
  const { inodes, names } = tree
  names.reserve(total(batches))
  let done = 0
  for (const batch of batches) {
    const parents = batch.numbers("parent")
    const inos = batch.numbers("ino")
    const cursors = batch.numbers("cursor")
    const nameAt = batch.strings("name")
    let parent = 0
    let slot = -1
    for (let row = 0; row < batch.rows; row++) {
      if (parents[row] !== parent) {
        parent = parents[row] as number
        slot = inodes.find(parent)
      }
      const list = directoryOf(tree, slot)
      const child = inodes.find(inos[row] as number)
      if (list === undefined || child < 0) throw new Error(`the snapshot names inode ${inos[row]}, which it lacks`)
      const name = texts.get(done + row) ?? nameAt(row)
      names.addAt(list, slot, { name, child, cursor: cursors[row] as number })
    }
    done += batch.rows
  }
}

const loadTargets = (tree: Tree, batches: ReadonlyArray<Batch>, texts: Texts): void => {
  let done = 0
  for (const batch of batches) {
    const inos = batch.numbers("ino")
    const targetAt = batch.strings("target")
    for (let row = 0; row < batch.rows; row++)
      tree.inodes.body[tree.inodes.find(inos[row] as number)] = texts.get(done + row) ?? targetAt(row)
    done += batch.rows
  }
}

const loadSlices = (tree: Tree, batches: ReadonlyArray<Batch>): void => {
  const { slices } = tree
  slices.reserve(total(batches))
  for (const batch of batches) {
    const [ids, sizes, digests] = [batch.numbers("id"), batch.numbers("size"), batch.halves("digest")]
    for (let row = 0; row < batch.rows; row++) {
      const slot = slices.add({ id: ids[row] as number, size: sizes[row] as number })
      slices.digestLow[slot] = digests[2 * row] as number
      slices.digestHigh[slot] = digests[2 * row + 1] as number
    }
  }
}

/** What few slices have, by their ids. */
const loadFew = (tree: Tree, digests: ReadonlyArray<Batch>, homes: ReadonlyArray<Batch>): void => {
  const { slices } = tree
  if (total(digests) + total(homes) === 0) return
  const slots = new Map<number, number>()
  for (let slot = 0; slot < slices.top; slot++) slots.set(slices.id[slot] as number, slot)
  const slotOf = (id: number | undefined): number => slots.get(id ?? 0) ?? -1
  for (const batch of digests) {
    const [ids, textAt] = [batch.numbers("slice"), batch.strings("digests")]
    for (let row = 0; row < batch.rows; row++) slices.digests.set(slotOf(ids[row]), textAt(row))
  }
  for (const batch of homes) {
    const [ids, inos, chunks] = [batch.numbers("slice"), batch.numbers("ino"), batch.numbers("chunk")]
    for (let row = 0; row < batch.rows; row++)
      slices.home.set(slotOf(ids[row]), { ino: inos[row] as number, chunk: chunks[row] as number })
  }
}

const loadExtents = (tree: Tree, batches: ReadonlyArray<Batch>): void => {
  const { inodes, slices } = tree
  for (const batch of batches) {
    const inos = batch.numbers("ino")
    const positions = batch.numbers("position")
    const rows = batch.numbers("slice_row")
    const offsets = batch.numbers("offset")
    const lengths = batch.numbers("length")
    for (let row = 0; row < batch.rows; row++) {
      const slot = inodes.find(inos[row] as number)
      const slice = rows[row] as number
      const part = [positions[row] as number, slice, offsets[row] as number, lengths[row] as number]
      slices.uses[slice] = (slices.uses[slice] as number) + 1
      const body = inodes.body[slot]
      const isWhole = part[0] === 0 && part[2] === 0 && part[3] === slices.size[slice]
      if (Array.isArray(body)) body.push(...part)
      else if (typeof body === "number") inodes.body[slot] = [0, body, 0, slices.size[body] as number, ...part]
      else inodes.body[slot] = isWhole ? slice : part
    }
  }
}

const loadXattrs = (tree: Tree, batches: ReadonlyArray<Batch>, texts: Texts): void => {
  let done = 0
  for (const batch of batches) {
    const inos = batch.numbers("ino")
    const nameAt = batch.strings("name")
    const valueAt = batch.strings("value")
    for (let row = 0; row < batch.rows; row++) {
      const ino = inos[row] as number
      const kept = tree.xattrs.get(ino) ?? new Map<string, string>()
      kept.set(texts.get(done + row) ?? nameAt(row), valueAt(row))
      tree.xattrs.set(ino, kept)
    }
    done += batch.rows
  }
}

const loadGarbage = (tree: Tree, batches: ReadonlyArray<Batch>, next: number): void => {
  const { garbage } = tree
  for (const batch of batches) {
    const column = (name: string) => batch.numbers(name)
    const [sequence, id, size] = [column("sequence"), column("id"), column("size")]
    const [at, version, count] = [column("at"), column("version"), column("count")]
    const [ino, chunk] = [column("home_ino"), column("home_chunk")]
    for (let row = 0; row < batch.rows; row++) {
      garbage.skipTo(sequence[row] as number)
      garbage.push({
        id: id[row] as number,
        size: size[row] as number,
        at: at[row] as number,
        version: version[row] as number,
        home: ino[row] === 0 ? undefined : { ino: ino[row] as number, chunk: chunk[row] as number },
        count: count[row] === 0 ? undefined : (count[row] as number)
      })
    }
  }
  garbage.skipTo(next)
}
