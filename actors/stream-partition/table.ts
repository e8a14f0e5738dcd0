/**
 * The streams of a partition by their keys: those in use as records, others packed into a few buffers, and those that
 * nobody asked for since the partition was loaded as its snapshot has them.
 */
import { type Facts, factsAt, lengthAt, pack, unpackAt } from "./packed.ts"
import { type Index, indexOf, Shelf, split } from "./shelf.ts"
import type { Stream } from "./state.ts"

/** Records are written one behind the other into chunks of this size: as large as what goes back when it is freed. */
const chunkBytes = 256 * 1024
/** What is larger is not packed while it is in memory: it is not many that are. */
const packedBytesMax = 8 * 1024
/** What a stream may have in memory and be packed all the same. */
const packedHotBytesMax = 2 * 1024
/** So many streams that were used lately stay as they are, and as many of those used before them. */
const usedMax = 512

/** Records that are wanted for a while are written into pieces of this size: each goes back as a whole. */
const pieceBytes = 256 * 1024

const piecewise = (): ((length: number) => Buffer) => {
  let left = Buffer.alloc(0)
  return (length) => {
    if (left.length < length) left = Buffer.allocUnsafeSlow(Math.max(pieceBytes, length))
    const given = left.subarray(0, length)
    left = left.subarray(length)
    return given
  }
}

/** A record's place: its chunk, and where in it. */
const placeOf = (chunk: number, at: number): number => chunk * chunkBytes + at

export class Table {
  private shelf: Shelf | undefined
  /** A number is the place of a packed one. */
  private readonly places = new Map<string, Stream | number>()
  private chunks: Array<Buffer> = []
  /** What is written of the last chunk. */
  private filled = chunkBytes
  /** Bytes of records that stand for nothing any more. */
  private waste = 0
  private used = new Set<string>()
  private usedBefore = new Set<string>()

  get size(): number {
    return this.places.size + (this.shelf?.size ?? 0)
  }

  has(key: string): boolean {
    return this.places.has(key) || this.shelf?.has(key) === true
  }

  /** In no order. Meanwhile none may be used. */
  *keys(): Generator<string> {
    if (this.shelf !== undefined) yield* this.shelf.keys()
    yield* this.places.keys()
  }

  /** To be used, and to be changed in the same turn: it is packed again some time after its last use. */
  get(key: string): Stream | undefined {
    const place = this.places.get(key) ?? this.taken(key)
    if (place === undefined) return undefined
    if (!this.used.has(key)) this.use(key)
    if (typeof place !== "number") return place
    const { chunk, at } = this.at(place)
    const stream = unpackAt(chunk, at)
    this.leave(place)
    this.places.set(key, stream)
    return stream
  }

  /** To be looked at, and not to be changed: what is packed stays so. */
  look(key: string): Stream | undefined {
    const place = this.places.get(key)
    if (place === undefined) return this.shelf?.look(key)
    if (typeof place !== "number") return place
    const { chunk, at } = this.at(place)
    return unpackAt(chunk, at)
  }

  set(key: string, stream: Stream): void {
    this.drop(key)
    this.places.set(key, stream)
    this.use(key)
  }

  delete(key: string): void {
    this.drop(key)
    this.places.delete(key)
    this.used.delete(key)
    this.usedBefore.delete(key)
  }

  /** What can be told of every stream without unpacking it. */
  *facts(): Generator<readonly [string, Facts]> {
    if (this.shelf !== undefined) yield* this.shelf.facts()
    for (const [key, place] of this.places) {
      if (typeof place === "number") {
        const { chunk, at } = this.at(place)
        yield [key, factsAt(chunk, at)]
      } else {
        const { createdAt, writtenAt, tail, floor, data } = place
        yield [
          key,
          { createdAt, writtenAt, tail, floor, hotBytes: data?.bytes ?? 0, isStored: data?.isStored === true }
        ]
      }
    }
  }

  /** Every stream as a record, and by what they are found. */
  save(): { readonly records: ReadonlyArray<Buffer>; readonly index: Index } {
    const room = piecewise()
    const own = [...this.places.values()].map((place) => {
      if (typeof place !== "number") return pack(place, room)
      const { chunk, at } = this.at(place)
      return chunk.subarray(at, at + lengthAt(chunk, at))
    })
    const records = [...(this.shelf?.records() ?? []), ...own]
    return { records, index: indexOf(records) }
  }

  /** Takes what `save` gave, one record behind the other. The bytes are kept, and not changed. */
  load(bytes: Buffer, index?: Index): void {
    this.shelf = new Shelf(bytes, index ?? indexOf(split(bytes)))
  }

  /** The system has the memory of what is packed at once, and not when the collector comes by. It is read no more. */
  release(): void {
    this.shelf?.release()
    for (const { buffer } of this.chunks) if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  }

  /** What of it is in packed form: for those who want to know what memory is spent on. */
  get packedBytes(): number {
    return this.chunks.length * chunkBytes
  }

  /** From the shelf, for good. */
  private taken(key: string): Stream | undefined {
    const stream = this.shelf?.take(key)
    if (stream !== undefined) this.places.set(key, stream)
    return stream
  }

  private use(key: string): void {
    this.used.add(key)
    if (this.used.size < usedMax) return
    const idle = this.usedBefore
    this.usedBefore = this.used
    this.used = new Set()
    for (const each of idle) if (!this.usedBefore.has(each)) this.rest(each)
    if (this.waste > this.chunks.length * (chunkBytes / 2)) this.rewrite()
  }

  /** Packs what is small; what is not comes by again when it is used the next time. */
  private rest(key: string): void {
    const stream = this.places.get(key)
    if (stream === undefined || typeof stream === "number") return
    if ((stream.data?.bytes ?? 0) > packedHotBytesMax) return
    const record = pack(stream)
    if (record.length <= packedBytesMax) this.places.set(key, this.write(record))
  }

  /** There is room for so much in the last chunk. */
  private begin(length: number): void {
    if (this.filled + length <= chunkBytes) return
    this.chunks.push(Buffer.allocUnsafeSlow(chunkBytes))
    this.filled = 0
  }

  private write(record: Buffer): number {
    this.begin(record.length)
    const at = this.filled
    record.copy(this.chunks.at(-1) as Buffer, at)
    this.filled += record.length
    return placeOf(this.chunks.length - 1, at)
  }

  private drop(key: string): void {
    const place = this.places.get(key)
    if (typeof place === "number") this.leave(place)
    if (place === undefined) this.shelf?.drop(key)
  }

  private leave(place: number): void {
    const { chunk, at } = this.at(place)
    this.waste += lengthAt(chunk, at)
  }

  private at(place: number): { readonly chunk: Buffer; readonly at: number } {
    return { chunk: this.chunks[Math.floor(place / chunkBytes)] as Buffer, at: place % chunkBytes }
  }

  /** Without what stands for nothing. */
  private rewrite(): void {
    const before = this.chunks
    this.chunks = []
    this.filled = chunkBytes
    this.waste = 0
    for (const [key, place] of this.places) {
      if (typeof place !== "number") continue
      const chunk = before[Math.floor(place / chunkBytes)] as Buffer
      const at = place % chunkBytes
      this.places.set(key, this.write(chunk.subarray(at, at + lengthAt(chunk, at))))
    }
  }
}
