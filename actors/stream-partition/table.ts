/** The streams of a partition by their keys: those in use as records, and all others packed into a few buffers. */
import { type Facts, factsAt, hotBytesAt, keyAt, lengthAt, pack, unpackAt } from "./packed.ts"
import type { Stream } from "./state.ts"

/** Records are written one behind the other into chunks of this size. */
const chunkBytes = 64 * 1024
/** What is larger is not packed while it is in memory: it is not many that are. */
const packedBytesMax = 8 * 1024
/** What a stream may have in memory and be packed all the same. */
const packedHotBytesMax = 2 * 1024
/** So many streams that were used lately stay as they are, and as many of those used before them. */
const usedMax = 512

/** A record's place: its chunk, and where in it. */
const placeOf = (chunk: number, at: number): number => chunk * chunkBytes + at

export class Table {
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
    return this.places.size
  }

  has(key: string): boolean {
    return this.places.has(key)
  }

  keys(): IterableIterator<string> {
    return this.places.keys()
  }

  /** To be used, and to be changed in the same turn: it is packed again some time after its last use. */
  get(key: string): Stream | undefined {
    const place = this.places.get(key)
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

  /** Every stream as a record. */
  save(): Array<Buffer> {
    return [...this.places.values()].map((place) => {
      if (typeof place !== "number") return pack(place)
      const { chunk, at } = this.at(place)
      return chunk.subarray(at, at + lengthAt(chunk, at))
    })
  }

  /** Takes records as `save` gave them, one behind the other. */
  load(bytes: Buffer): void {
    // Those that stay packed are copied by the chunk.
    let from = 0
    const copy = (to: number): void => {
      if (to > from) this.write(bytes.subarray(from, to))
      from = to
    }
    for (let at = 0, length = 0; at < bytes.length; at += length) {
      length = lengthAt(bytes, at)
      const isLarge = length > packedBytesMax || hotBytesAt(bytes, at) > packedHotBytesMax
      if (isLarge || at + length - from > chunkBytes) copy(at)
      if (isLarge) {
        const stream = unpackAt(bytes, at)
        this.places.set(stream.key, stream)
        from = at + length
        continue
      }
      // What is written in one go has its place where its first record has.
      if (at === from) this.begin(Math.min(chunkBytes, bytes.length - at))
      this.places.set(keyAt(bytes, at), placeOf(this.chunks.length - 1, this.filled + at - from))
    }
    copy(bytes.length)
  }

  /** What of it is in packed form: for those who want to know what memory is spent on. */
  get packedBytes(): number {
    return this.chunks.length * chunkBytes
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
