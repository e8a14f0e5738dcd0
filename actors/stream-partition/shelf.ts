/** Packed streams as a snapshot brought them: found by an index that came along, so nothing is done for each. */
import { type Facts, factsAt, keyAt, lengthAt, unpackAt } from "./packed.ts"
import type { Stream } from "./state.ts"

/** A hash and a number below this share a float: there may be a million streams in a partition. */
const numbersMax = 2 ** 20

/** 32-bit FNV-1a. */
export const hashOf = (key: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** Hashes of keys in their order, and where the record of each begins. */
export interface Index {
  readonly hashes: Uint32Array
  readonly places: Uint32Array
}

/** Of records that lie one behind the other in this order. */
export const indexOf = (records: ReadonlyArray<Buffer>): Index => {
  const begins = new Uint32Array(records.length)
  const order = new Float64Array(records.length)
  let at = 0
  for (const [number, record] of records.entries()) {
    begins[number] = at
    order[number] = hashOf(keyAt(record, 0)) * numbersMax + number
    at += record.length
  }
  order.sort()
  const hashes = new Uint32Array(records.length)
  const places = new Uint32Array(records.length)
  for (const [rank, each] of order.entries()) {
    hashes[rank] = Math.floor(each / numbersMax)
    places[rank] = begins[each % numbersMax] as number
  }
  return { hashes, places }
}

/** For records that came without an index. */
export const split = (bytes: Buffer): Array<Buffer> => {
  const records: Array<Buffer> = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + lengthAt(bytes, at)
    records.push(bytes.subarray(at, end))
    at = end
  }
  return records
}

/** Bytes that are fewer may share their memory with others. */
const releasedBytesMin = 128 * 1024

export class Shelf {
  private readonly bytes: Buffer
  private readonly theIndex: Index
  private isReleased = false
  /** What was taken off is somewhere else by now, or nowhere. */
  private readonly taken: Uint8Array
  size: number

  constructor(bytes: Buffer, index: Index) {
    this.bytes = bytes
    this.theIndex = index
    this.size = index.places.length
    this.taken = new Uint8Array(this.size)
  }

  has(key: string): boolean {
    return this.rankOf(key) >= 0
  }

  look(key: string): Stream | undefined {
    const rank = this.rankOf(key)
    return rank < 0 ? undefined : unpackAt(this.bytes, this.placeAt(rank))
  }

  take(key: string): Stream | undefined {
    const rank = this.rankOf(key)
    if (rank < 0) return undefined
    this.taken[rank] = 1
    this.size -= 1
    return unpackAt(this.bytes, this.placeAt(rank))
  }

  drop(key: string): boolean {
    const rank = this.rankOf(key)
    if (rank < 0) return false
    this.taken[rank] = 1
    this.size -= 1
    return true
  }

  *keys(): Generator<string> {
    for (const place of this.left()) yield keyAt(this.bytes, place)
  }

  *facts(): Generator<readonly [string, Facts]> {
    for (const place of this.left()) yield [keyAt(this.bytes, place), factsAt(this.bytes, place)]
  }

  records(): Array<Buffer> {
    return [...this.left()].map((place) => this.bytes.subarray(place, place + lengthAt(this.bytes, place)))
  }

  /** Streams that were taken off have bytes of their own; of the others nobody may ask any more. */
  release(): void {
    this.isReleased = true
    const { buffer } = this.bytes
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= releasedBytesMin) buffer.transfer(0)
  }

  /** Without its memory it would say that there is nothing, which is worse than to say nothing. */
  private get index(): Index {
    if (this.isReleased) throw new Error("a partition is asked for streams that has left memory")
    return this.theIndex
  }

  private *left(): Generator<number> {
    for (const [rank, place] of this.index.places.entries()) if (this.taken[rank] === 0) yield place
  }

  private placeAt(rank: number): number {
    return this.index.places[rank] as number
  }

  /** -1 when it is not there. */
  private rankOf(key: string): number {
    const { hashes } = this.index
    const hash = hashOf(key)
    let low = 0
    let high = hashes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((hashes[middle] as number) < hash) low = middle + 1
      else high = middle
    }
    for (let rank = low; hashes[rank] === hash; rank++)
      if (this.taken[rank] === 0 && keyAt(this.bytes, this.placeAt(rank)) === key) return rank
    return -1
  }
}
