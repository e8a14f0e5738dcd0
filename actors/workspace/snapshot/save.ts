/**
 * A tree as bytes: the length of a JSON head, the head, and the tables as Arrow IPC streams one behind another, each of
 * which any Arrow tool reads. The head says which table has how many bytes.
 */
import type { Tree } from "../tree/tree.ts"
import { encode } from "./arrow.ts"
import { capture, type Rest, type TableName } from "./capture.ts"

/** What Arrow's strings cannot hold, as JSON can: table, column, row and the text. */
export type IllFormed = readonly [TableName, string, number, string]

export interface Head {
  readonly tables: ReadonlyArray<readonly [TableName, number]>
  readonly rest: Rest
  readonly illFormed: ReadonlyArray<IllFormed>
}

/** Arrow reads its buffers in place where they are aligned so. */
export const alignment = 8

/** It takes the tree as it is at the first step; between the later ones the tree may change. */
export function* saving(tree: Tree): Generator<void, Uint8Array> {
  const { tables, rest } = capture(tree)
  yield
  const illFormed: Array<IllFormed> = []
  const streams: Array<readonly [TableName, Uint8Array]> = []
  for (const [name, columns] of Object.entries(tables)) {
    const ill = (column: string, row: number, text: string) => illFormed.push([name as TableName, column, row, text])
    streams.push([name as TableName, yield* encode(columns, ill)])
  }
  const head: Head = { tables: streams.map(([name, stream]) => [name, stream.length]), rest, illFormed }
  const text = Buffer.from(JSON.stringify(head))
  const padding = (alignment - ((4 + text.length) % alignment)) % alignment
  const size = Buffer.alloc(4)
  size.writeUInt32LE(text.length + padding)
  // JSON may end in spaces.
  const first = Buffer.concat([size, text, Buffer.alloc(padding, " ")])
  const whole = Buffer.allocUnsafeSlow(streams.reduce((sum, [, stream]) => sum + stream.length, first.length))
  let end = first.copy(whole)
  for (const [, stream] of streams) {
    whole.set(stream, end)
    end += stream.length
    yield
  }
  return whole
}

export const save = (tree: Tree): Uint8Array => {
  const steps = saving(tree)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}
