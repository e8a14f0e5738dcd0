/**
 * A tree as bytes: the length of a JSON head, the head, and the tables as Arrow IPC streams one behind another, each of
 * which any Arrow tool reads. The head says which table has how many bytes and rows.
 */
import type { Tree } from "../tree/tree.ts"
import { type Columns, encode, rowsOf } from "./arrow.ts"
import { capturing, type Rest } from "./capture.ts"
import { chunkRows } from "./chunks.ts"
import type { TableName } from "./rows.ts"

/** What Arrow's strings cannot hold, as JSON can: table, column, row and the text. */
export type IllFormed = readonly [TableName, string, number, string]

export interface Head {
  /** Name, bytes and, but for old snapshots, rows. */
  readonly tables: ReadonlyArray<readonly [TableName, number, number?]>
  readonly rest: Rest
  readonly illFormed: ReadonlyArray<IllFormed>
}

/** Arrow reads its buffers in place where they are aligned so. */
export const alignment = 8

const lengthOf = (pieces: ReadonlyArray<Uint8Array>): number => pieces.reduce((sum, { length }) => sum + length, 0)

/**
 * The bytes in pieces. It takes the tree as it is at the first step; between the later ones the tree may change. Who
 * does not go on to the end has to `return`.
 */
export function* saving(tree: Tree, chunk = chunkRows): Generator<void, ReadonlyArray<Uint8Array>> {
  const { tables, rest } = yield* capturing(tree, chunk)
  const illFormed: Array<IllFormed> = []
  const streams: Array<readonly [TableName, number, number]> = []
  const pieces: Array<Uint8Array> = []
  for (const [name, parts] of Object.entries(tables) as ReadonlyArray<[TableName, ReadonlyArray<Columns>]>) {
    const ill = (column: string, row: number, text: string) => illFormed.push([name, column, row, text])
    const stream = yield* encode(parts, ill)
    streams.push([name, lengthOf(stream), parts.reduce((sum, columns) => sum + rowsOf(columns), 0)])
    pieces.push(...stream)
  }
  return [headOf({ tables: streams, rest, illFormed }), ...pieces]
}

const headOf = (head: Head): Uint8Array => {
  const text = Buffer.from(JSON.stringify(head))
  const padding = (alignment - ((4 + text.length) % alignment)) % alignment
  const size = Buffer.alloc(4)
  size.writeUInt32LE(text.length + padding)
  // JSON may end in spaces.
  return Buffer.concat([size, text, Buffer.alloc(padding, " ")])
}

export const save = (tree: Tree): Uint8Array => {
  const steps = saving(tree)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return Buffer.concat(step.value)
}
