/** Reads what streams have in segments: by ranges of whole blocks, checked, cached, and some of them ahead. */
import { crc32 } from "node:zlib"
import { Effect, Exit, Schema } from "effect"
import type { Place, StoredPart } from "../../actors/stream-partition/payload.ts"
import type { ObjectMissing, Objects, StoreFailed } from "../ports/objects.ts"
import { firstBehind, type Index, type IndexedBlock, readIndex } from "./segment.ts"

/** What a segment says of itself does not fit to what it holds. */
export class SegmentDamaged extends Schema.TaggedError<SegmentDamaged>()("SegmentDamaged", {
  object: Schema.String,
  why: Schema.String
}) {}

export type ColdFailed = ObjectMissing | StoreFailed | SegmentDamaged

/** Blocks read lately: readers of one stream mostly come together. */
const cacheBytesMax = 64 * 1024 * 1024
/** An index has a byte or two for each append. */
const indexBytesMax = 16 * 1024 * 1024
/** One request to the store fetches so much where as much is missing: it costs hardly more than a block. */
const fetchBytes = 1024 * 1024

/** So many are awaited at a time: some requests to the store are under way together. */
const blocksAtOnce = 64

interface Span {
  readonly from: number
  readonly to: number
}

const joined = (parts: ReadonlyArray<Buffer>): Buffer =>
  parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)

/** Kept up to a number of bytes; what was used last stays longest. */
class Cache<Value> {
  private readonly kept = new Map<string, { readonly value: Value; readonly size: number }>()
  private bytes = 0
  private readonly bytesMax: number

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get(name: string): Value | undefined {
    const found = this.kept.get(name)
    if (found === undefined) return undefined
    this.kept.delete(name)
    this.kept.set(name, found)
    return found.value
  }

  has(name: string): boolean {
    return this.kept.has(name)
  }

  set(name: string, value: Value, size: number): void {
    if (this.kept.has(name)) return
    this.kept.set(name, { value, size })
    this.bytes += size
    for (const [oldest, dropped] of this.kept) {
      if (this.bytes <= this.bytesMax || this.kept.size === 1) break
      this.kept.delete(oldest)
      this.bytes -= dropped.size
    }
  }
}

type Fetched = Exit.Exit<void, ColdFailed>

export class Cold {
  /** Requests to the store, and the bytes that came. */
  readonly counted = { gets: 0, bytes: 0 }
  private readonly objects: Objects["Service"]
  private readonly blocks: Cache<Buffer>
  private readonly indexes = new Cache<Index>(indexBytesMax)
  private readonly underWay = new Map<string, Array<(fetched: Fetched) => void>>()

  constructor(objects: Objects["Service"], bytesMax = cacheBytesMax) {
    this.objects = objects
    this.blocks = new Cache(bytesMax)
  }

  /** The bytes of a part, from the beginning of the append in which it begins: as blocks hold them, not copied. */
  parts({ object, segment, skip, size }: StoredPart & { readonly segment: Place }) {
    return Effect.flatMap(this.indexOf(object, segment), (index) => {
      const asked = segment.from + skip
      const from = startOf(index, asked)
      return this.slices(object, index, { from, to: asked + size })
    })
  }

  read(part: StoredPart & { readonly segment: Place }): Effect.Effect<Buffer, ColdFailed> {
    return Effect.map(this.parts(part), joined)
  }

  /** Where the appends of a part end. */
  endsOf({ object, segment, skip, size }: StoredPart & { readonly segment: Place }) {
    return Effect.map(this.indexOf(object, segment), ({ ends }) => {
      const from = segment.from + skip
      return ends.slice(firstBehind(ends, from), firstBehind(ends, from + size - 1) + 1)
    })
  }

  /** The append that begins at this offset, or undefined when none does. */
  unit(object: string, place: Place, offset: number): Effect.Effect<Buffer | undefined, ColdFailed> {
    return Effect.flatMap(this.indexOf(object, place), (index) => {
      const to = index.ends[firstBehind(index.ends, offset)]
      if (to === undefined || startOf(index, offset) !== offset) return Effect.undefined
      return this.bytesOf(object, index, { from: offset, to })
    })
  }

  private indexOf(object: string, { index: at, indexBytes }: Place): Effect.Effect<Index, ColdFailed> {
    const name = `${object}:${at}`
    const known = this.indexes.get(name)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.flatMap(this.fetch(object, at, indexBytes), (bytes) => {
      const index = readIndex(bytes)
      if (typeof index === "string") return Effect.fail(new SegmentDamaged({ object, why: index }))
      this.indexes.set(name, index, 8 * index.ends.length + 256)
      return Effect.succeed(index)
    })
  }

  private slices(object: string, { blocks }: Index, { from, to }: Span): Effect.Effect<Array<Buffer>, ColdFailed> {
    const first = blocks.findIndex((block) => block.from + block.size > from)
    const wanted: Array<number> = []
    for (let each = first; each >= 0 && (blocks[each]?.from ?? to) < to; each++) wanted.push(each)
    const cut = (bytes: Buffer, each: number): Buffer => {
      const block = blocks[each] as IndexedBlock
      return bytes.subarray(Math.max(0, from - block.from), Math.min(block.size, to - block.from))
    }
    return Effect.suspend(() => {
      const known: Array<Buffer> = []
      for (const each of wanted) {
        const bytes = this.blocks.get(nameOf(object, blocks[each] as IndexedBlock))
        if (bytes === undefined) break
        known.push(cut(bytes, each))
      }
      if (known.length === wanted.length) return Effect.succeed(known)
      const fetched = (each: number) => Effect.map(this.block(object, blocks, each), (bytes) => cut(bytes, each))
      return Effect.forEach(wanted, fetched, { concurrency: blocksAtOnce })
    })
  }

  private bytesOf(object: string, index: Index, span: Span): Effect.Effect<Buffer, ColdFailed> {
    return Effect.map(this.slices(object, index, span), joined)
  }

  private block(object: string, blocks: ReadonlyArray<IndexedBlock>, each: number): Effect.Effect<Buffer, ColdFailed> {
    const wanted = blocks[each] as IndexedBlock
    const name = nameOf(object, wanted)
    return Effect.suspend(() => {
      const known = this.blocks.get(name)
      if (known !== undefined) return Effect.succeed(known)
      if (!this.underWay.has(name)) return this.fetchRun(object, blocks, each)
      // The cache may be too small to keep it until then: whoever does not find it fetches it.
      return Effect.flatMap(this.awaited(name), () => this.block(object, blocks, each))
    })
  }

  private awaited(name: string): Effect.Effect<void, ColdFailed> {
    return Effect.callback<void, ColdFailed>((resume) => {
      this.underWay.get(name)?.push((fetched) => resume(fetched))
    })
  }

  /** Fetches a block and what is missing behind it, in one request that its other readers await. */
  private fetchRun(
    object: string,
    blocks: ReadonlyArray<IndexedBlock>,
    each: number
  ): Effect.Effect<Buffer, ColdFailed> {
    const run: Array<IndexedBlock> = []
    let size = 0
    for (const block of blocks.slice(each)) {
      const name = nameOf(object, block)
      if (run.length > 0 && (size + block.size > fetchBytes || this.blocks.has(name) || this.underWay.has(name))) break
      run.push(block)
      size += block.size
    }
    for (const block of run) this.underWay.set(nameOf(object, block), [])
    const [{ at }] = run as [IndexedBlock]
    const fetching = Effect.flatMap(this.fetch(object, at, size), (bytes) => {
      const owns = run.map((block) => Buffer.from(bytes.subarray(block.at - at, block.at - at + block.size)))
      for (const [index, own] of owns.entries()) {
        const block = run[index] as IndexedBlock
        if (own.length !== block.size || crc32(own) !== block.crc)
          return Effect.fail(new SegmentDamaged({ object, why: `the checksum of the block at ${block.at} is wrong` }))
        this.blocks.set(nameOf(object, block), own, own.length)
      }
      return Effect.succeed(owns[0] as Buffer)
    })
    return Effect.onExit(fetching, (exit) => Effect.sync(() => this.fetched(object, run, Exit.asVoid(exit))))
  }

  private fetched(object: string, run: ReadonlyArray<IndexedBlock>, exit: Fetched): void {
    // Whoever fetched may have been interrupted: the others look again, and one of them fetches.
    const told = Exit.hasInterrupts(exit) ? Exit.void : exit
    for (const block of run) {
      const name = nameOf(object, block)
      const waiting = this.underWay.get(name) ?? []
      this.underWay.delete(name)
      for (const wake of waiting) wake(told)
    }
  }

  private fetch(object: string, offset: number, length: number): Effect.Effect<Buffer, ObjectMissing | StoreFailed> {
    return Effect.map(this.objects.get(object, { offset, length }), (bytes) => {
      this.counted.gets += 1
      this.counted.bytes += bytes.length
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    })
  }
}

const nameOf = (object: string, { at }: IndexedBlock): string => `${object}:${at}`

/** The beginning of the append in which an offset lies. */
const startOf = ({ ends, from }: Index, offset: number): number => ends[firstBehind(ends, offset) - 1] ?? from
