/** A tree at one moment as plain tables: taken in one go, so that what follows may take its time. */
import { stride } from "../tree/extents.ts"
import { isFile } from "../tree/inodes.ts"
import { extentsOf } from "../tree/read.ts"
import { directoryOf, type Tree } from "../tree/tree.ts"
import type { Columns } from "./arrow.ts"

export type TableName =
  | "inodes"
  | "directories"
  | "devices"
  | "names"
  | "targets"
  | "slices"
  | "digests"
  | "homes"
  | "extents"
  | "xattrs"
  | "garbage"

export interface Captured {
  readonly tables: Readonly<Record<TableName, Columns>>
  /** What is no table, and small: limits, counters, sessions, locks. */
  readonly rest: Rest
}

export interface Rest {
  readonly layout: Tree["layout"]
  readonly bytesMax: number
  readonly entriesMax: number
  readonly nextIno: number
  readonly nextSlice: number
  readonly nextToken: number
  readonly nextTicket: number
  readonly nextGarbage: number
  readonly sessions: ReadonlyArray<readonly [string, { mode: "rw" | "ro"; host?: string; began: number }]>
  readonly orphans: ReadonlyArray<readonly [number, number, ReadonlyArray<string>, boolean]>
  /** Inode and time, in the order in which they were doomed. */
  readonly doomed: ReadonlyArray<readonly [number, number]>
  readonly locks: ReadonlyArray<readonly [string, unknown]>
  /** Holder, first id, count, time, and in base64 the bits of those that were used. */
  readonly reservations: ReadonlyArray<readonly [string, number, number, number, string]>
}

const int64 = (values: Float64Array | ReadonlyArray<number>) => ({
  type: "int64" as const,
  values: values instanceof Float64Array ? values : Float64Array.from(values)
})
const uint32 = (values: Uint32Array | ReadonlyArray<number>) => ({
  type: "uint32" as const,
  values: values instanceof Uint32Array ? values : Uint32Array.from(values)
})
const utf8 = (values: ReadonlyArray<string>) => ({
  type: "utf8" as const,
  values: { length: values.length, at: (row: number) => values[row] }
})

export const capture = (tree: Tree): Captured => {
  const living = livingSlots(tree)
  const rows = new Uint32Array(tree.slices.top)
  const tables = {
    inodes: inodeColumns(tree, living),
    directories: directoriesOf(tree, living),
    devices: { ino: int64([...tree.rdevs.keys()]), rdev: int64([...tree.rdevs.values()]) },
    names: namesOf(tree, living),
    targets: targetsOf(tree, living),
    slices: slicesOf(tree, rows),
    digests: digestsOf(tree),
    homes: homesOf(tree),
    extents: extentsTable(tree, living, rows),
    xattrs: xattrsOf(tree),
    garbage: garbageOf(tree)
  }
  return { tables, rest: restOf(tree) }
}

const livingSlots = ({ inodes }: Tree): Uint32Array => {
  const living = new Uint32Array(inodes.live)
  let count = 0
  for (let slot = 0; slot < inodes.top; slot++) if (inodes.ino[slot] !== 0) living[count++] = slot
  return living
}

const inodeColumns = (tree: Tree, living: Uint32Array): Columns => {
  const { inodes } = tree
  const pick = <T extends Float64Array | Uint32Array | Uint16Array>(column: T, into: T): T => {
    for (let row = 0; row < living.length; row++) into[row] = column[living[row] as number] as number
    return into
  }
  const long = (column: Float64Array) => int64(pick<Float64Array>(column, new Float64Array(living.length)))
  const short = (column: Uint32Array) => uint32(pick<Uint32Array>(column, new Uint32Array(living.length)))
  return {
    ino: long(inodes.ino),
    mode: { type: "uint16", values: pick<Uint16Array>(inodes.mode, new Uint16Array(living.length)) },
    nlink: short(inodes.nlink),
    uid: short(inodes.uid),
    gid: short(inodes.gid),
    size: long(inodes.size),
    used: long(inodes.used),
    atime: long(inodes.atime),
    mtime: long(inodes.mtime),
    ctime: long(inodes.ctime),
    atime_ns: short(inodes.atimeNs),
    mtime_ns: short(inodes.mtimeNs),
    ctime_ns: short(inodes.ctimeNs)
  }
}

/** A directory's parent and the cursor of its next name. */
const directoriesOf = (tree: Tree, living: Uint32Array): Columns => {
  const inos: Array<number> = []
  const parents: Array<number> = []
  const cursors: Array<number> = []
  for (const slot of living) {
    const list = directoryOf(tree, slot)
    if (list === undefined) continue
    inos.push(tree.inodes.ino[slot] as number)
    parents.push(list.parent)
    cursors.push(list.cursor)
  }
  return { ino: int64(inos), parent: int64(parents), next_cursor: int64(cursors) }
}

/** Directory by directory, in the order of their cursors. */
const namesOf = (tree: Tree, living: Uint32Array): Columns => {
  const { inodes, names } = tree
  const parent = new Float64Array(names.live)
  const ino = new Float64Array(names.live)
  const cursor = new Float64Array(names.live)
  const name: Array<string> = []
  for (const slot of living) {
    for (const entry of directoryOf(tree, slot)?.order ?? []) {
      const child = names.childOf(entry)
      if (child < 0) continue
      const row = name.length
      parent[row] = inodes.ino[slot] as number
      ino[row] = inodes.ino[child] as number
      cursor[row] = names.cursor[entry] as number
      name.push(names.name[entry] as string)
    }
  }
  return { parent: int64(parent), name: utf8(name), ino: int64(ino), cursor: int64(cursor) }
}

const targetsOf = (tree: Tree, living: Uint32Array): Columns => {
  const inos: Array<number> = []
  const targets: Array<string> = []
  for (const slot of living) {
    const body = tree.inodes.body[slot]
    if (typeof body !== "string") continue
    inos.push(tree.inodes.ino[slot] as number)
    targets.push(body)
  }
  return { ino: int64(inos), target: utf8(targets) }
}

/** Fills `rows` with the row of each slot. */
const slicesOf = ({ slices }: Tree, rows: Uint32Array): Columns => {
  const id = new Float64Array(slices.live)
  const size = new Uint32Array(slices.live)
  const uses = new Uint32Array(slices.live)
  const high = new Uint32Array(slices.live)
  const low = new Uint32Array(slices.live)
  let count = 0
  for (let slot = 0; slot < slices.top; slot++) {
    if (slices.id[slot] === 0) continue
    const row = count++
    rows[slot] = row
    id[row] = slices.id[slot] as number
    size[row] = slices.size[slot] as number
    uses[row] = slices.uses[slot] as number
    high[row] = slices.digestHigh[slot] as number
    low[row] = slices.digestLow[slot] as number
  }
  const digest = { type: "uint64" as const, values: { length: count, high, low } }
  return { id: int64(id), size: uint32(size), uses: uint32(uses), digest }
}

/** The digests of slices that have not just one block, whose digest stands with them. */
const digestsOf = ({ slices }: Tree): Columns => ({
  slice: int64([...slices.digests.keys()].map((slot) => slices.id[slot] as number)),
  digests: utf8([...slices.digests.values()])
})

const homesOf = ({ slices }: Tree): Columns => {
  const homes = [...slices.home.values()]
  return {
    slice: int64([...slices.home.keys()].map((slot) => slices.id[slot] as number)),
    ino: int64(homes.map((home) => home.ino)),
    chunk: int64(homes.map((home) => home.chunk))
  }
}

const extentsTable = (tree: Tree, living: Uint32Array, rows: Uint32Array): Columns => {
  const { inodes, slices } = tree
  let count = 0
  for (const slot of living) {
    const body = inodes.body[slot]
    count += typeof body === "number" ? 1 : Array.isArray(body) ? body.length / stride : 0
  }
  const ino = new Float64Array(count)
  const position = new Float64Array(count)
  const slice = new Float64Array(count)
  const sliceRow = new Uint32Array(count)
  const offset = new Uint32Array(count)
  const length = new Uint32Array(count)
  let row = 0
  for (const slot of living) {
    if (!isFile(inodes.mode[slot] as number)) continue
    const extents = extentsOf(tree, slot)
    for (let at = 0; at < extents.length; at += stride) {
      const part = extents[at + 1] as number
      ino[row] = inodes.ino[slot] as number
      position[row] = extents[at] as number
      slice[row] = slices.id[part] as number
      sliceRow[row] = rows[part] as number
      offset[row] = extents[at + 2] as number
      length[row] = extents[at + 3] as number
      row += 1
    }
  }
  return {
    ino: int64(ino),
    position: int64(position),
    slice: int64(slice),
    slice_row: uint32(sliceRow),
    offset: uint32(offset),
    length: uint32(length)
  }
}

const xattrsOf = (tree: Tree): Columns => {
  const inos: Array<number> = []
  const names: Array<string> = []
  const values: Array<string> = []
  for (const [ino, kept] of tree.xattrs) {
    for (const [name, value] of kept) {
      inos.push(ino)
      names.push(name)
      values.push(value)
    }
  }
  return { ino: int64(inos), name: utf8(names), value: utf8(values) }
}

const garbageOf = ({ garbage }: Tree): Columns => {
  const records = [...garbage.list(-1, Number.MAX_SAFE_INTEGER)]
  return {
    sequence: int64(records.map((one) => one.sequence)),
    id: int64(records.map((one) => one.id)),
    size: int64(records.map((one) => one.size)),
    at: int64(records.map((one) => one.at)),
    version: int64(records.map((one) => one.version)),
    count: int64(records.map((one) => one.count ?? 0)),
    home_ino: int64(records.map((one) => one.home?.ino ?? 0)),
    home_chunk: int64(records.map((one) => one.home?.chunk ?? 0))
  }
}

const restOf = (tree: Tree): Rest => ({
  layout: tree.layout,
  bytesMax: tree.bytesMax,
  entriesMax: tree.entriesMax,
  nextIno: tree.nextIno,
  nextSlice: tree.reservations.next,
  nextToken: tree.nextToken,
  nextTicket: tree.nextTicket,
  nextGarbage: tree.garbage.next,
  sessions: [...tree.sessions].map(([session, { mode, host, began }]) => [
    session,
    { mode, began, ...(host === undefined ? {} : { host }) }
  ]),
  orphans: [...tree.orphans].map(([ino, { until, holders, nameless }]) => [ino, until, [...holders], nameless]),
  doomed: [...tree.doomed],
  locks: [...tree.locks],
  reservations: tree.reservations.list.map(({ holder, first, count, at, used }) => [
    holder,
    first,
    count,
    at,
    Buffer.from(used).toString("base64")
  ])
})
