/** A tree at one moment as plain tables, taken in steps between which it may change: what changes is taken before. */
import type { Tree } from "../tree/tree.ts"
import type { Columns } from "./arrow.ts"
import { Chunks } from "./chunks.ts"
import { garbageOf, inodesOf, namesOf, type OfSlice, type Part, slicesOf, type TableName, uint32 } from "./rows.ts"

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
  /** Directories that are lent: inode, session, and whether they are recalled. Old snapshots have none. */
  /** Each with the moment that it was recalled; older snapshots say only whether it was. */
  readonly loans?: ReadonlyArray<readonly [number, string, number | boolean]>
  /** Inode numbers that sessions have and have not used. */
  readonly inos?: ReadonlyArray<readonly [string, ReadonlyArray<readonly [number, number]>]>
  /** Holder, first id, count, time, and in base64 the bits of those that were used. */
  readonly reservations: ReadonlyArray<readonly [string, number, number, number, string]>
}

export interface Captured {
  /** For each table the rows of each chunk. */
  readonly tables: Readonly<Record<TableName, ReadonlyArray<Columns>>>
  /** What is no table, and small: limits, counters, sessions, locks. */
  readonly rest: Rest
}

/** It is of the moment of the first step; a chunk is of so many rows. */
export function* capturing(tree: Tree, size: number): Generator<void, Captured> {
  const rest = restOf(tree)
  const rows = new Uint32Array(tree.slices.top)
  const { inodes, names, slices, garbage } = tree
  const inodeChunks = new Chunks(inodes, { end: inodes.top, size }, (from, to) => inodesOf(tree, from, to))
  const nameChunks = new Chunks(names, { end: names.top, size }, (from, to) => namesOf(tree, from, to))
  const sliceChunks = new Chunks(slices, { end: slices.top, size }, (from, to) => slicesOf(tree, rows, from, to))
  const queue = { first: garbage.base, end: garbage.next, size }
  const garbageChunks = new Chunks(garbage, queue, (from, to) => garbageOf(tree, from, to))
  const all = [inodeChunks, nameChunks, sliceChunks, garbageChunks]
  try {
    yield
    for (const chunks of all) yield* chunks.steps()
  } finally {
    for (const chunks of all) chunks.release()
  }
  const rowOf = rowsOf(sliceChunks.all, rows, size)
  const column = <Name extends TableName>(chunks: Chunks<Part<Name>>, name: Name) =>
    chunks.all.map((part) => part[name])
  return {
    tables: {
      inodes: column(inodeChunks, "inodes"),
      directories: column(inodeChunks, "directories"),
      devices: column(inodeChunks, "devices"),
      names: nameChunks.all,
      targets: column(inodeChunks, "targets"),
      slices: column(sliceChunks, "slices"),
      digests: column(sliceChunks, "digests"),
      homes: column(sliceChunks, "homes"),
      extents: column(inodeChunks, "extents").map((columns) => placed(columns, rowOf)),
      xattrs: column(inodeChunks, "xattrs"),
      garbage: garbageChunks.all
    },
    rest
  }
}

/** Rows are counted within their chunk until it is known how many each chunk has. */
const rowsOf = (chunks: ReadonlyArray<OfSlice>, rows: Uint32Array, size: number): ((slot: number) => number) => {
  const firsts: Array<number> = []
  let first = 0
  for (const { slices } of chunks) {
    firsts.push(first)
    first += slices["id"]?.values.length ?? 0
  }
  return (slot) => (firsts[Math.floor(slot / size)] as number) + (rows[slot] as number)
}

/** The rows of the slices stand where their slots were; what is made of them, when it is asked for. */
const placed = (columns: Columns, rowOf: (slot: number) => number): Columns => {
  const slots = columns["slice_row"]
  if (slots?.type !== "uint32") throw new Error("extents without slices")
  return {
    ...columns,
    get slice_row() {
      return uint32(slots.values.map(rowOf))
    }
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
  loans: [...tree.loans.all].map(([ino, { session, recalledAt }]) => [ino, session, recalledAt]),
  inos: [...tree.loans.borrowers].map(([session, { ranges }]) => [session, ranges.map(([next, end]) => [next, end])]),
  reservations: tree.reservations.list.map(({ holder, first, count, at, used }) => [
    holder,
    first,
    count,
    at,
    Buffer.from(used).toString("base64")
  ])
})
