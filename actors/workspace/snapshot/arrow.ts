/** Tables of plain columns as Arrow IPC streams, batch by batch, and back. */
import {
  AsyncByteQueue,
  type Data,
  Field,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
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
  | { readonly type: "utf8"; readonly values: ReadonlyArray<string> }

export interface Halves {
  readonly length: number
  readonly high: Uint32Array
  readonly low: Uint32Array
}

export type Columns = Readonly<Record<string, Column>>

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

const toUint64 = ({ length, high, low }: Halves): BigUint64Array => {
  const halves = new Uint32Array(length * 2)
  for (let row = 0; row < length; row++) {
    halves[2 * row] = low[row] as number
    halves[2 * row + 1] = high[row] as number
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

const toUtf8 = (texts: ReadonlyArray<string>, ill: (row: number, text: string) => void) => {
  const offsets = new Int32Array(texts.length + 1)
  let room = 0
  for (const [row, text] of texts.entries()) {
    if (!text.isWellFormed()) ill(row, text)
    room += text.length * 3
  }
  const bytes = Buffer.allocUnsafe(room)
  let end = 0
  for (const [row, text] of texts.entries()) {
    end = put(bytes, text, end)
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

const dataOf = (column: Column, ill: (row: number, text: string) => void): Data => {
  const { length } = column.values
  switch (column.type) {
    case "int64":
      return makeData({ type: types.int64, length, data: toInt64(column.values) })
    case "uint64":
      return makeData({ type: types.uint64, length, data: toUint64(column.values) })
    case "uint32":
      return makeData({ type: types.uint32, length, data: column.values })
    case "uint16":
      return makeData({ type: types.uint16, length, data: column.values })
    case "utf8": {
      const { offsets, bytes } = toUtf8(column.values, ill)
      return makeData({ type: types.utf8, length, valueOffsets: offsets, data: bytes })
    }
  }
}

/** What a writer is done with, piece by piece. */
class Sink extends AsyncByteQueue {
  readonly pieces: Array<Uint8Array> = []

  override write(piece: Uint8Array): void {
    this.pieces.push(piece)
  }
}

export const rowsOf = (columns: Columns): number => Object.values(columns)[0]?.values.length ?? 0

/**
 * One Arrow IPC stream, in pieces: a record batch for each of the tables, which have the same columns; there is at
 * least one. It yields after each batch.
 */
export function* encode(tables: Iterable<Columns>, ill: IllFormed): Generator<void, ReadonlyArray<Uint8Array>> {
  const writer = new RecordBatchStreamWriter()
  const sink = new Sink()
  let schema: Schema | undefined
  let done = 0
  for (const columns of tables) {
    const all = Object.entries(columns)
    if (schema === undefined) {
      schema = new Schema(all.map(([name, { type }]) => new Field(name, types[type], false)))
      writer.reset(sink, schema)
    }
    const length = rowsOf(columns)
    if (length === 0) continue
    const first = done
    const children = all.map(([name, column]) => dataOf(column, (row, text) => ill(name, first + row, text)))
    const data = makeData({ type: new Struct(schema.fields), length, nullCount: 0, children })
    writer.write(new RecordBatch(schema, data))
    done += length
    yield
  }
  writer.finish()
  return sink.pieces
}

/** The batches of an Arrow IPC stream, each as reading functions for its columns. */
export interface Batch {
  readonly rows: number
  readonly numbers: (name: string) => Float64Array | Uint32Array | Uint16Array
  /** Of a column of 64 bits that are no numbers: low and high half of each row in turn. */
  readonly halves: (name: string) => Uint32Array
  readonly strings: (name: string) => (row: number) => string
}

/** Batch by batch: each is read when it is asked for. */
export function* decode(bytes: Uint8Array): Generator<Batch> {
  for (const batch of RecordBatchReader.from(bytes)) {
    const child = (name: string): Data => {
      const data = batch.getChild(name)?.data[0]
      if (data === undefined) throw new Error(`the snapshot lacks the column ${name}`)
      return data
    }
    yield {
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
  }
}
