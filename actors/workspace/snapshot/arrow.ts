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
  Uint64,
  Utf8
} from "apache-arrow"

/** Integers are held as doubles in memory and as 64-bit integers in Arrow, where every tool expects them. */
export type Column =
  | { readonly type: "int64"; readonly values: Float64Array }
  | { readonly type: "uint32"; readonly values: Uint32Array }
  | { readonly type: "uint16"; readonly values: Uint16Array }
  /** 64 bits that are no number: their halves. */
  | { readonly type: "uint64"; readonly values: Halves }
  | { readonly type: "utf8"; readonly values: Texts }

export interface Halves {
  readonly length: number
  readonly high: Uint32Array
  readonly low: Uint32Array
}

/** Strings, which may be made one by one. */
export interface Texts {
  readonly length: number
  readonly at: (row: number) => string | undefined
}

export type Columns = Readonly<Record<string, Column>>

/** Rows of one record batch: some milliseconds of work, after which others may have their turn. */
const batchRows = 32_768

const types = { uint64: new Uint64(), int64: new Int64(), uint32: new Uint32(), uint16: new Uint16(), utf8: new Utf8() }
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

const toUint64 = ({ high, low }: Halves, from: number, to: number): BigUint64Array => {
  const halves = new Uint32Array((to - from) * 2)
  for (let row = from; row < to; row++) {
    halves[2 * (row - from)] = low[row] as number
    halves[2 * (row - from) + 1] = high[row] as number
  }
  return new BigUint64Array(halves.buffer)
}

const fromInt64 = (values: BigInt64Array): Float64Array => {
  const low = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
  const high = new Int32Array(values.buffer, values.byteOffset, values.length * 2)
  const numbers = new Float64Array(values.length)
  for (let at = 0; at < numbers.length; at++)
    numbers[at] = (high[2 * at + 1] as number) * twoTo32 + (low[2 * at] as number)
  return numbers
}

/** Told of a string that is not UTF-8, which Arrow cannot hold as it is. */
export type IllFormed = (column: string, row: number, text: string) => void

const toUtf8 = (texts: Texts, from: number, to: number, ill: (row: number, text: string) => void) => {
  const offsets = new Int32Array(to - from + 1)
  const strings: Array<string> = []
  let room = 0
  for (let row = from; row < to; row++) {
    const text = texts.at(row) ?? ""
    if (!text.isWellFormed()) ill(row, text)
    room += text.length * 3
    strings.push(text)
  }
  const bytes = Buffer.allocUnsafe(room)
  let end = 0
  for (let row = 0; row < strings.length; row++) {
    end = put(bytes, strings[row] as string, end)
    offsets[row + 1] = end
  }
  return { offsets, bytes: bytes.subarray(0, end) }
}

/** Most names are short and ASCII: for them a loop costs less than a call out of the engine. */
const put = (bytes: Buffer, text: string, from: number): number => {
  let end = from
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 0x7f) return from + bytes.write(text, from, "utf8")
    bytes[end++] = code
  }
  return end
}

const dataOf = (column: Column, from: number, to: number, ill: (row: number, text: string) => void): Data => {
  const length = to - from
  switch (column.type) {
    case "int64":
      return makeData({ type: types.int64, length, data: toInt64(column.values.subarray(from, to)) })
    case "uint64":
      return makeData({ type: types.uint64, length, data: toUint64(column.values, from, to) })
    case "uint32":
      return makeData({ type: types.uint32, length, data: column.values.subarray(from, to) })
    case "uint16":
      return makeData({ type: types.uint16, length, data: column.values.subarray(from, to) })
    case "utf8": {
      const { offsets, bytes } = toUtf8(column.values, from, to, ill)
      return makeData({ type: types.utf8, length, valueOffsets: offsets, data: bytes })
    }
  }
}

/** One Arrow IPC stream. It yields after each batch. */
export function* encode(columns: Columns, ill: IllFormed): Generator<void, Uint8Array> {
  const all = Object.entries(columns)
  const rows = all[0]?.[1].values.length ?? 0
  const schema = new Schema(all.map(([name, { type }]) => new Field(name, types[type], false)))
  const writer = new RecordBatchStreamWriter()
  writer.reset(undefined, schema)
  for (let from = 0; from < rows; from += batchRows) {
    const to = Math.min(from + batchRows, rows)
    const children = all.map(([name, column]) => dataOf(column, from, to, (row, text) => ill(name, row, text)))
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
  /** Of a column of 64 bits that are no numbers: low and high half of each row in turn. */
  readonly halves: (name: string) => Uint32Array
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
      halves: (name) => {
        const values: unknown = child(name).values
        if (!(values instanceof BigUint64Array)) throw new Error(`the snapshot's column ${name} is no uint64`)
        return new Uint32Array(values.buffer, values.byteOffset, batch.numRows * 2)
      },
      strings: (name) => {
        const { valueOffsets, values } = child(name) as { valueOffsets: Int32Array; values: Uint8Array }
        const buffer = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
        return (row) => buffer.toString("utf8", valueOffsets[row], valueOffsets[row + 1])
      }
    }
  })
