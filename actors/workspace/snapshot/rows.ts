/** The rows of a chunk of each store, as plain columns. */
import { stride } from "../tree/extents.ts"
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

/** What is taken of a chunk of a store: some rows for each of some tables. */
export type Part<Name extends TableName> = Readonly<Record<Name, Columns>>
type OfInode = Part<"inodes" | "directories" | "devices" | "targets" | "extents" | "xattrs">
export type OfSlice = Part<"slices" | "digests" | "homes">

const int64 = (values: Float64Array | ReadonlyArray<number>) => ({
  type: "int64" as const,
  values: values instanceof Float64Array ? values : Float64Array.from(values)
})
export const uint32 = (values: Uint32Array | ReadonlyArray<number>) => ({
  type: "uint32" as const,
  values: values instanceof Uint32Array ? values : Uint32Array.from(values)
})
const utf8 = (values: ReadonlyArray<string>) => ({ type: "utf8" as const, values })

export const inodesOf = (tree: Tree, from: number, to: number): OfInode => {
  const { inodes } = tree
  const living: Array<number> = []
  for (let slot = from; slot < to; slot++) if (inodes.ino[slot] !== 0) living.push(slot)
  return {
    inodes: inodeColumns(tree, living),
    directories: directoriesOf(tree, living),
    devices: devicesOf(tree, living),
    targets: targetsOf(tree, living),
    extents: extentsTable(tree, living),
    xattrs: xattrsOf(tree, living)
  }
}

const inodeColumns = (tree: Tree, living: ReadonlyArray<number>): Columns => {
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
const directoriesOf = (tree: Tree, living: ReadonlyArray<number>): Columns => {
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

const devicesOf = ({ inodes, rdevs }: Tree, living: ReadonlyArray<number>): Columns => {
  const inos = rdevs.size === 0 ? [] : living.map((slot) => inodes.ino[slot] as number).filter((ino) => rdevs.has(ino))
  return { ino: int64(inos), rdev: int64(inos.map((ino) => rdevs.get(ino) as number)) }
}

/** In no order: the cursors have it. A name that is here leads to an inode that is still what it was. */
export const namesOf = (tree: Tree, from: number, to: number): Columns => {
  const { inodes, names } = tree
  const parent: Array<number> = []
  const ino: Array<number> = []
  const cursor: Array<number> = []
  const name: Array<string> = []
  for (let entry = from; entry < to; entry++) {
    const child = names.childOf(entry)
    if (child < 0) continue
    parent.push(inodes.ino[names.directory[entry] as number] as number)
    ino.push(inodes.ino[child] as number)
    cursor.push(names.cursor[entry] as number)
    name.push(names.name[entry] as string)
  }
  return { parent: int64(parent), name: utf8(name), ino: int64(ino), cursor: int64(cursor) }
}

const targetsOf = (tree: Tree, living: ReadonlyArray<number>): Columns => {
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

/** Fills `rows` with the row of each slot, counted from the first of these. */
export const slicesOf = ({ slices }: Tree, rows: Uint32Array, from: number, to: number): OfSlice => {
  const living: Array<number> = []
  for (let slot = from; slot < to; slot++) {
    if (slices.id[slot] === 0) continue
    rows[slot] = living.length
    living.push(slot)
  }
  const ids = (slots: ReadonlyArray<number>) => int64(slots.map((slot) => slices.id[slot] as number))
  const short = (column: Uint32Array) => Uint32Array.from(living, (slot) => column[slot] as number)
  const { length } = living
  const digest = {
    type: "uint64" as const,
    values: { length, high: short(slices.digestHigh), low: short(slices.digestLow) }
  }
  // The digests of a slice of one block stand with it.
  const many = slices.digests.size === 0 ? [] : living.filter((slot) => slices.digests.has(slot))
  const homely = slices.home.size === 0 ? [] : living.filter((slot) => slices.home.has(slot))
  const homes = homely.map((slot) => slices.home.get(slot))
  return {
    slices: { id: ids(living), size: uint32(short(slices.size)), uses: uint32(short(slices.uses)), digest },
    digests: { slice: ids(many), digests: utf8(many.map((slot) => slices.digests.get(slot) as string)) },
    homes: {
      slice: ids(homely),
      ino: int64(homes.map((home) => home?.ino ?? 0)),
      chunk: int64(homes.map((home) => home?.chunk ?? 0))
    }
  }
}

const extentsTable = (tree: Tree, living: ReadonlyArray<number>): Columns => {
  const { inodes, slices } = tree
  const ino: Array<number> = []
  const position: Array<number> = []
  const slice: Array<number> = []
  const slot: Array<number> = []
  const offset: Array<number> = []
  const length: Array<number> = []
  for (const file of living) {
    const extents = extentsOf(tree, file)
    for (let at = 0; at < extents.length; at += stride) {
      const part = extents[at + 1] as number
      ino.push(inodes.ino[file] as number)
      position.push(extents[at] as number)
      slice.push(slices.id[part] as number)
      slot.push(part)
      offset.push(extents[at + 2] as number)
      length.push(extents[at + 3] as number)
    }
  }
  return {
    ino: int64(ino),
    position: int64(position),
    slice: int64(slice),
    slice_row: uint32(slot),
    offset: uint32(offset),
    length: uint32(length)
  }
}

const xattrsOf = ({ inodes, xattrs }: Tree, living: ReadonlyArray<number>): Columns => {
  const inos: Array<number> = []
  const names: Array<string> = []
  const values: Array<string> = []
  for (const slot of xattrs.size === 0 ? [] : living) {
    const ino = inodes.ino[slot] as number
    for (const [name, value] of xattrs.get(ino) ?? []) {
      inos.push(ino)
      names.push(name)
      values.push(value)
    }
  }
  return { ino: int64(inos), name: utf8(names), value: utf8(values) }
}

export const garbageOf = ({ garbage }: Tree, from: number, to: number): Columns => {
  const records = [...garbage.list(from - 1, to - from, to)]
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
