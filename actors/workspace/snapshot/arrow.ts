/** Tables of plain columns as Arrow IPC streams, batch by batch, and back. */
import {
  type Data,
  Field,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  tableFromIPC,
  Uint16,
  Uint32,
  Utf8
} from "apache-arrow"

/** Integers are held as doubles in memory and as 64-bit integers in Arrow, where every tool expects them. */
export type Column =
  | { readonly type: "int64"; readonly values: Float64Array }
  | { readonly type: "uint32"; readonly values: Uint32Array }
  | { readonly type: "uint16"; readonly values: Uint16Array }
  | { readonly type: "utf8"; readonly values: ReadonlyArray<string> }

export type Columns = Readonly<Record<string, Column>>

/** Rows of one record batch: some milliseconds of work, after which others may have their turn. */
const batchRows = 32_768

const types = { int64: new Int64(), uint32: new Uint32(), uint16: new Uint16(), utf8: new Utf8() }
const twoTo32 = 0x1_0000_0000

const toInt64 = (values: Float64Array): BigInt64Array => {
  const halves = new Uint32Array(values.length * 2)
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number
    const high = Math.floor(value / twoTo32)
    halves[2 * at] = value - high * twoTo32
    halves[2 * at + 1] = high
  }
  return new BigInt64Array(halves.buffer)
}

const fromInt64 = (values: BigInt64Array): Float64Array => {
  const low = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
  const high = new Int32Array(values.buffer, values.byteOffset, values.length * 2)
  const numbers = new Float64Array(values.length)
  for (let at = 0; at < numbers.length; at++)
    numbers[at] = (high[2 * at + 1] as number) * twoTo32 + (low[2 * at] as number)
  return numbers
}

const toUtf8 = (values: ReadonlyArray<string>) => {
  const offsets = new Int32Array(values.length + 1)
  let room = 0
  for (const value of values) room += value.length * 3
  const bytes = Buffer.allocUnsafe(room)
  let end = 0
  for (const [index, value] of values.entries()) {
    end += bytes.write(value, end, "utf8")
    offsets[index + 1] = end
  }
  return { offsets, bytes: bytes.subarray(0, end) }
}

const dataOf = (column: Column, from: number, to: number): Data => {
  const length = to - from
  switch (column.type) {
    case "int64":
      return makeData({ type: types.int64, length, data: toInt64(column.values.subarray(from, to)) })
    case "uint32":
      return makeData({ type: types.uint32, length, data: column.values.subarray(from, to) })
    case "uint16":
      return makeData({ type: types.uint16, length, data: column.values.subarray(from, to) })
    case "utf8": {
      const { offsets, bytes } = toUtf8(column.values.slice(from, to))
      return makeData({ type: types.utf8, length, valueOffsets: offsets, data: bytes })
    }
  }
}

/** One Arrow IPC stream. It yields after each batch. */
export function* encode(columns: Columns): Generator<void, Uint8Array> {
  const all = Object.entries(columns)
  const rows = all[0]?.[1].values.length ?? 0
  const schema = new Schema(all.map(([name, { type }]) => new Field(name, types[type], false)))
  const writer = new RecordBatchStreamWriter()
  writer.reset(undefined, schema)
  for (let from = 0; from < rows; from += batchRows) {
    const to = Math.min(from + batchRows, rows)
    const children = all.map(([, column]) => dataOf(column, from, to))
    const data = makeData({ type: new Struct(schema.fields), length: to - from, nullCount: 0, children })
    writer.write(new RecordBatch(schema, data))
    yield
  }
  writer.finish()
  return writer.toUint8Array(true)
}

/** The batches of an Arrow IPC stream, each as reading functions for its columns. */
export interface Batch {
  readonly rows: number
  readonly numbers: (name: string) => Float64Array | Uint32Array | Uint16Array
  readonly strings: (name: string) => (row: number) => string
}

export const decode = (bytes: Uint8Array): ReadonlyArray<Batch> =>
  tableFromIPC(bytes).batches.map((batch) => {
    const child = (name: string): Data => {
      const data = batch.getChild(name)?.data[0]
      if (data === undefined) throw new Error(`the snapshot lacks the column ${name}`)
      return data
    }
    return {
      rows: batch.numRows,
      numbers: (name) => {
        const values: unknown = child(name).values
        // Buffers are padded: behind the last row there is nothing to read.
        const rows = batch.numRows
        if (values instanceof BigInt64Array) return fromInt64(values.subarray(0, rows))
        if (values instanceof Uint32Array || values instanceof Uint16Array) return values.subarray(0, rows)
        throw new Error(`the snapshot's column ${name} does not hold numbers`)
      },
      strings: (name) => {
        const { valueOffsets, values } = child(name) as { valueOffsets: Int32Array; values: Uint8Array }
        const buffer = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
        return (row) => buffer.toString("utf8", valueOffsets[row], valueOffsets[row + 1])
      }
    }
  })
