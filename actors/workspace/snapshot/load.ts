/** A tree from the bytes that it was saved as. */
import { type Locks, next } from "../tree/locks.ts"
import { bare, directoryOf, newDirectory, type Tree } from "../tree/tree.ts"
import { type Batch, decode } from "./arrow.ts"
import type { Rest } from "./capture.ts"
import { chunkRows } from "./chunks.ts"
import type { TableName } from "./rows.ts"
import { alignment, type Head, type IllFormed } from "./save.ts"

export interface Opened {
  readonly rest: Rest
  readonly illFormed: ReadonlyArray<IllFormed>
  readonly tables: ReadonlyMap<TableName, Uint8Array>
  readonly rows: ReadonlyMap<TableName, number>
}

/** The parts of a snapshot: the tables are whole Arrow IPC streams. */
export const open = (bytes: Uint8Array): Opened => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = buffer.readUInt32LE(0)
  const head = JSON.parse(buffer.toString("utf8", 4, 4 + length)) as Head
  const tables = new Map<TableName, Uint8Array>()
  const rows = new Map<TableName, number>()
  let at = 4 + length
  for (const [name, size, count = 0] of head.tables) {
    // Elsewhere in a larger buffer it may lie askew, and numbers of eight bytes may not.
    const isAligned = (bytes.byteOffset + at) % alignment === 0
    const table = bytes.subarray(at, at + size)
    tables.set(name, isAligned ? table : new Uint8Array(table))
    rows.set(name, count)
    at += size
  }
  return { rest: head.rest, illFormed: head.illFormed, tables, rows }
}

/** Step by step, a record batch each. */
export function* loading(bytes: Uint8Array, id: string): Generator<void, Tree> {
  const { rest, illFormed, tables, rows } = open(bytes)
  const tree = bare(id)
  for (const name of ["inodes", "names", "slices"] as const) {
    tree[name].reserve(rows.get(name) ?? 0)
    yield
  }
  loadRest(tree, rest)
  for (const [name, one] of loaders) {
    const table = tables.get(name)
    if (table === undefined) throw new Error(`the snapshot lacks the table ${name}`)
    const texts = textsOf(illFormed, name)
    const slots = new Lazy(tree)
    let done = 0
    for (const batch of decode(table)) {
      one(tree, batch, (row) => texts.get(done + row), slots)
      done += batch.rows
      yield
    }
  }
  yield* ordering(tree)
  tree.garbage.skipTo(rest.nextGarbage)
  return tree
}

export const load = (bytes: Uint8Array, id: string): Tree => {
  const steps = loading(bytes, id)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}

/** What Arrow could not say of a row: the name that is not UTF-8, or undefined. */
type Texts = (row: number) => string | undefined

const textsOf = (illFormed: ReadonlyArray<IllFormed>, table: TableName): ReadonlyMap<number, string> =>
  new Map(illFormed.filter(([name]) => name === table).map(([, , row, text]) => [row, text]))

/** The slots of slices by their ids, for tables that have few rows. */
class Lazy {
  private readonly tree: Tree
  private slots: Map<number, number> | undefined

  constructor(tree: Tree) {
    this.tree = tree
  }

  slotOf(id: number | undefined): number {
    const { slices } = this.tree
    if (this.slots === undefined) {
      this.slots = new Map()
      for (let slot = 0; slot < slices.top; slot++) this.slots.set(slices.id[slot] as number, slot)
    }
    return this.slots.get(id ?? 0) ?? -1
  }
}

type Loader = (tree: Tree, batch: Batch, texts: Texts, slots: Lazy) => void

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
  for (const [session, ranges] of rest.inos ?? [])
    for (const [next, end] of ranges) tree.loans.reserve(session, next, end)
  for (const [ino, session, recalled] of rest.loans ?? []) tree.loans.lend(ino, session, Number(recalled))
  for (const [holder, first, count, at, bits] of rest.reservations)
    tree.reservations.restore({ holder, first, count, at }, bits)
}

const loadInodes: Loader = ({ inodes }, batch) => {
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

const loadDirectories: Loader = ({ inodes }, batch) => {
  const [ino, parent, cursor] = [batch.numbers("ino"), batch.numbers("parent"), batch.numbers("next_cursor")]
  for (let row = 0; row < batch.rows; row++) {
    const list = newDirectory(parent[row] as number)
    list.cursor = cursor[row] as number
    inodes.body[inodes.find(ino[row] as number)] = list
  }
}

const loadDevices: Loader = (tree, batch) => {
  const [ino, rdev] = [batch.numbers("ino"), batch.numbers("rdev")]
  for (let row = 0; row < batch.rows; row++) tree.rdevs.set(ino[row] as number, rdev[row] as number)
}

const loadNames: Loader = (tree, batch, texts) => {
  const { inodes, names } = tree
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
    names.addAt(list, slot, { name: texts(row) ?? nameAt(row), child, cursor: cursors[row] as number })
  }
}

/** Every directory's names in the order of their cursors, and the bytes that files use counted. */
function* ordering(tree: Tree): Generator<void> {
  const { inodes, names } = tree
  const { cursor } = names
  for (let slot = 0; slot < inodes.top; slot++) {
    if (slot % chunkRows === chunkRows - 1) yield
    tree.bytes += inodes.used[slot] as number
    const order = directoryOf(tree, slot)?.order ?? []
    for (let at = 1; at < order.length; at++) {
      if ((cursor[order[at] as number] as number) > (cursor[order[at - 1] as number] as number)) continue
      order.sort((a, b) => (cursor[a] as number) - (cursor[b] as number))
      break
    }
  }
}

const loadTargets: Loader = ({ inodes }, batch, texts) => {
  const inos = batch.numbers("ino")
  const targetAt = batch.strings("target")
  for (let row = 0; row < batch.rows; row++) inodes.body[inodes.find(inos[row] as number)] = texts(row) ?? targetAt(row)
}

const loadSlices: Loader = ({ slices }, batch) => {
  const [ids, sizes, digests] = [batch.numbers("id"), batch.numbers("size"), batch.halves("digest")]
  for (let row = 0; row < batch.rows; row++) {
    const slot = slices.add({ id: ids[row] as number, size: sizes[row] as number })
    slices.digestLow[slot] = digests[2 * row] as number
    slices.digestHigh[slot] = digests[2 * row + 1] as number
  }
}

const loadDigests: Loader = ({ slices }, batch, _, slots) => {
  const [ids, textAt] = [batch.numbers("slice"), batch.strings("digests")]
  for (let row = 0; row < batch.rows; row++) slices.digests.set(slots.slotOf(ids[row]), textAt(row))
}

const loadHomes: Loader = ({ slices }, batch, _, slots) => {
  const [ids, inos, chunks] = [batch.numbers("slice"), batch.numbers("ino"), batch.numbers("chunk")]
  for (let row = 0; row < batch.rows; row++)
    slices.home.set(slots.slotOf(ids[row]), { ino: inos[row] as number, chunk: chunks[row] as number })
}

const loadExtents: Loader = ({ inodes, slices }, batch) => {
  const inos = batch.numbers("ino")
  const positions = batch.numbers("position")
  const rows = batch.numbers("slice_row")
  const offsets = batch.numbers("offset")
  const lengths = batch.numbers("length")
  for (let row = 0; row < batch.rows; row++) {
    const slot = inodes.find(inos[row] as number)
    const slice = rows[row] as number
    slices.uses[slice] = (slices.uses[slice] as number) + 1
    const body = inodes.body[slot]
    const [position, offset, length] = [positions[row] as number, offsets[row] as number, lengths[row] as number]
    if (body === undefined && position === 0 && offset === 0 && length === slices.size[slice]) {
      inodes.body[slot] = slice
      continue
    }
    const parts = Array.isArray(body) ? body : typeof body === "number" ? [0, body, 0, slices.size[body] as number] : []
    parts.push(position, slice, offset, length)
    inodes.body[slot] = parts
  }
}

const loadXattrs: Loader = (tree, batch, texts) => {
  const inos = batch.numbers("ino")
  const nameAt = batch.strings("name")
  const valueAt = batch.strings("value")
  for (let row = 0; row < batch.rows; row++) {
    const ino = inos[row] as number
    const kept = tree.xattrs.get(ino) ?? new Map<string, string>()
    kept.set(texts(row) ?? nameAt(row), valueAt(row))
    tree.xattrs.set(ino, kept)
  }
}

const loadGarbage: Loader = ({ garbage }, batch) => {
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

/** In the order in which they need one another. */
const loaders: ReadonlyArray<readonly [TableName, Loader]> = [
  ["inodes", loadInodes],
  ["directories", loadDirectories],
  ["devices", loadDevices],
  ["names", loadNames],
  ["targets", loadTargets],
  ["slices", loadSlices],
  ["digests", loadDigests],
  ["homes", loadHomes],
  ["extents", loadExtents],
  ["xattrs", loadXattrs],
  ["garbage", loadGarbage]
]
