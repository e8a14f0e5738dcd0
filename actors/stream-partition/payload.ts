/** The bytes of one stream in memory, as readers get them: blocks that are filled once and shared by all who read. */
import type { Wire } from "../../messages/stream-partition.ts"

/** Large enough that a reader is given few parts, small enough that the last one's free space does not matter. */
const blockBytesMax = 256 * 1024

/** A run of appends that lies in an object among other streams' runs. */
export interface Segment {
  /** Where in the object its index lies, and how long that is. */
  readonly index: number
  readonly indexBytes: number
  /** The offsets at which its blocks end, where pages may end: its index alone knows where each append does. */
  readonly ends: ReadonlyArray<number>
}

interface Block {
  /** The offset of its first byte. */
  readonly from: number
  /** Absent when the bytes are an object's. */
  readonly bytes: Buffer | undefined
  readonly object: string | undefined
  /** Absent when the object is one append as it was stored. */
  readonly segment: Segment | undefined
  used: number
}

/** Bytes of an object: of its own first ones, or of the segment whose first byte has the offset `from`. */
export interface StoredPart {
  readonly object: string
  readonly size: number
  readonly skip: number
  readonly segment?: Place
}

/** Where a segment's index is, and the offset of its first byte. */
export interface Place {
  readonly from: number
  readonly index: number
  readonly indexBytes: number
}

/** Bytes to be sent, or the object that holds them. */
export type Part = Buffer | StoredPart

export interface Run {
  readonly from: number
  readonly to: number
}

export class Data {
  /** Where each append ends. */
  private ends: Array<number> = []
  private blocks: Array<Block> = []
  /** Where the first append begins that is kept. */
  private begin = -1
  /** What is kept in memory. */
  bytes = 0

  /** Takes an append that begins at this offset. What it held before stays as it was given to readers. */
  add(from: number, wire: Wire): void {
    if (this.begin < 0) this.begin = from
    this.ends.push(from + wire.size)
    if (wire.object !== undefined) {
      this.blocks.push({ from, bytes: undefined, object: wire.object, segment: undefined, used: wire.size })
      return
    }
    const block = this.room(from, wire.size)
    const { bytes } = block as { bytes: Buffer }
    if (wire.text !== undefined) bytes.write(wire.text, block.used, "utf8")
    else bytes.write(wire.base64 ?? "", block.used, "base64")
    block.used += wire.size
    this.bytes += wire.size
  }

  private room(from: number, size: number): Block {
    const last = this.blocks.at(-1)
    if (last?.bytes !== undefined && last.from + last.used === from && last.bytes.length - last.used >= size)
      return last
    const capacity = Math.max(size, Math.min(blockBytesMax, this.bytes))
    const bytes = Buffer.allocUnsafeSlow(capacity)
    const block: Block = { from, bytes, object: undefined, segment: undefined, used: 0 }
    this.blocks.push(block)
    return block
  }

  /** The offset of the append that ends behind `at`: where a reader who stands within one begins. */
  unitAt(at: number): { readonly from: number; readonly end: number } | undefined {
    const index = this.unitIndex(at)
    const end = this.ends[index]
    if (end === undefined) return undefined
    return { from: index > 0 ? (this.ends[index - 1] as number) : this.begin, end }
  }

  private unitIndex(at: number): number {
    let low = 0
    let high = this.ends.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.ends[middle] as number) > at) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The end of the last append that fits into so many bytes behind `from`; of the first one, when none fits. */
  endWithin(from: number, bytesMax: number): number {
    const first = this.unitIndex(from)
    const fitting = this.unitIndex(from + bytesMax) - 1
    return this.ends[Math.max(first, fitting)] ?? from
  }

  /** All bytes from one boundary between appends to another. */
  parts(from: number, to: number): Array<Part> {
    const parts: Array<Part> = []
    for (let index = this.blockIndex(from); index < this.blocks.length; index++) {
      const block = this.blocks[index] as Block
      if (block.from >= to) break
      const skip = Math.max(0, from - block.from)
      const end = Math.min(block.used, to - block.from)
      if (end <= skip) continue
      if (block.bytes !== undefined) parts.push(block.bytes.subarray(skip, end))
      else parts.push(storedPart(block, skip, end))
    }
    return parts
  }

  /** The part of a segment that ends behind `at`; undefined when what lies there is no segment's. */
  sealedAt(at: number): StoredPart | undefined {
    const block = this.blocks[this.blockIndex(at)]
    if (block?.segment === undefined || block.from > at) return undefined
    const end = block.segment.ends.find((each) => each > at) ?? block.from + block.used
    return storedPart(block, at - block.from, end - block.from)
  }

  /** Behind this no segment lies. */
  get sealedTo(): number {
    const last = this.blocks.findLast(({ segment }) => segment !== undefined)
    return last === undefined ? 0 : last.from + last.used
  }

  /** What is in memory, as ranges without an object between. */
  runs(): Array<Run> {
    const runs: Array<Run> = []
    for (const { from, used, bytes } of this.blocks) {
      if (bytes === undefined) continue
      const last = runs.at(-1)
      const run = { from: Math.max(from, this.begin), to: from + used }
      if (last?.to === run.from) runs[runs.length - 1] = { from: last.from, to: run.to }
      else runs.push(run)
    }
    return runs
  }

  /** Whether all of this range is in memory, and appends begin and end at its ends. */
  isHot(from: number, to: number): boolean {
    const isRun = this.runs().some((run) => run.from <= from && run.to >= to)
    return isRun && from < to && this.unitAt(from)?.from === from && this.unitAt(to - 1)?.end === to
  }

  /** Whether all of this range lies in segments, from the beginning of one to the end of another. */
  isSealed(from: number, to: number): boolean {
    const blocks = this.within(from, to)
    const isWhole = blocks[0]?.from === from && from >= this.begin
    const end = blocks.at(-1)
    return isWhole && end !== undefined && end.from + end.used === to && blocks.every(({ segment }) => segment)
  }

  /** The objects of what lies in this range. */
  objectsIn(from: number, to: number): Array<string> {
    return this.within(from, to).flatMap(({ object }) => (object === undefined ? [] : [object]))
  }

  /** Runs of at least so many small segments: read one by one, each would be a request or two. */
  fragments(least: number, sizeMax: number, runBytesMax: number): Array<Run> {
    const runs: Array<Run & { readonly count: number }> = []
    for (const { from, used, segment } of this.blocks) {
      if (segment === undefined || used >= sizeMax || from < this.begin) continue
      const last = runs.at(-1)
      const to = from + used
      if (last?.to === from && to - last.from <= runBytesMax)
        runs[runs.length - 1] = { from: last.from, to, count: last.count + 1 }
      else runs.push({ from, to, count: 1 })
    }
    return runs.filter(({ count }) => count >= least)
  }

  private within(from: number, to: number): ReadonlyArray<Block> {
    return from < to ? this.blocks.slice(this.blockIndex(from), this.blockIndex(to - 1) + 1) : []
  }

  /** Lets go of a range of which an object has the bytes now: of what was in memory, or in several other objects. */
  seal({ from, to }: Run, object: string, segment: Segment): void {
    const first = this.blockIndex(from)
    const last = this.blockIndex(to - 1)
    const ends = [this.unitIndex(from), this.unitIndex(to - 1) + 1] as const
    const kept: Array<Block> = []
    const keep = (block: Block, start: number, end: number): void => {
      const bytes = Buffer.from(block.bytes?.subarray(start - block.from, end - block.from) ?? [])
      if (end > start) kept.push({ from: start, bytes, object: undefined, segment: undefined, used: end - start })
    }
    const replaced = this.blocks.slice(first, last + 1)
    const [begin, end] = [replaced[0] as Block, replaced.at(-1) as Block]
    keep(begin, Math.max(begin.from, this.begin), from)
    kept.push({ from, bytes: undefined, object, segment, used: to - from })
    keep(end, to, end.from + end.used)
    for (const { bytes, used } of replaced) if (bytes !== undefined) this.bytes -= used
    for (const { bytes, used } of kept) if (bytes !== undefined) this.bytes += used
    this.blocks = [...this.blocks.slice(0, first), ...kept, ...this.blocks.slice(last + 1)]
    this.ends = [...this.ends.slice(0, ends[0]), ...segment.ends, ...this.ends.slice(ends[1])]
  }

  get isStored(): boolean {
    return this.blocks.some(({ object }) => object !== undefined)
  }

  /** The objects that it needs, one as often as it does. */
  objects(): Array<string> {
    return this.blocks.flatMap(({ object }) => (object === undefined ? [] : [object]))
  }

  private blockIndex(at: number): number {
    let low = 0
    let high = this.blocks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const block = this.blocks[middle] as Block
      if (block.from + block.used > at) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The ends of the appends in a range; of what lies in a segment, the parts whose index tells them. */
  marks(from: number, to: number): Array<number | StoredPart> {
    const ends = this.ends.slice(this.unitIndex(from), this.unitIndex(to - 1) + 1)
    let begin = from
    return ends.map((end) => {
      const sealed = this.sealedAt(begin)
      begin = end
      return sealed === undefined ? end : { ...sealed, size: Math.min(sealed.size, to - (end - sealed.size)) }
    })
  }

  /** Forgets what lies before this boundary; an object that reaches over it stays. */
  dropBefore(at: number): void {
    if (at <= this.begin) return
    const first = this.blockIndex(at)
    for (const block of this.blocks.slice(0, first)) if (block.bytes !== undefined) this.bytes -= block.used
    this.blocks = this.blocks.slice(first)
    const [over] = this.blocks
    if (over?.bytes !== undefined && over.from < at) {
      const gone = at - over.from
      this.blocks[0] = { ...over, from: at, bytes: over.bytes.subarray(gone), used: over.used - gone }
      this.bytes -= gone
    }
    this.ends = this.ends.slice(this.unitIndex(at))
    this.begin = at
  }

  /** What lies in memory without a gap is one block from then on. */
  save(): SavedData {
    const blocks: Array<SavedData["blocks"][number]> = []
    for (const { from, object, segment, used } of this.blocks) {
      const last = blocks.at(-1)
      if (last !== undefined && last.object === undefined && object === undefined && last.from + last.used === from)
        blocks[blocks.length - 1] = { from: last.from, used: last.used + used }
      else
        blocks.push({ from, used, ...(object !== undefined && { object }), ...(segment !== undefined && { segment }) })
    }
    return { begin: this.begin, ends: this.ends, blocks }
  }

  /** The bytes of its blocks, in their order. */
  buffers(): Array<Buffer> {
    return this.blocks.flatMap(({ bytes, used }) => (bytes === undefined ? [] : [bytes.subarray(0, used)]))
  }

  /** `take` gives the next so many bytes of what `buffers` gave. */
  static load(saved: SavedData, take: (size: number) => Buffer): Data {
    const data = new Data()
    data.begin = saved.begin
    data.ends = [...saved.ends]
    data.blocks = saved.blocks.map(({ from, used, object, segment }) => ({
      from,
      used,
      object,
      segment,
      bytes: object === undefined ? copyOf(take(used)) : undefined
    }))
    data.bytes = data.blocks.reduce((sum, block) => sum + (block.bytes === undefined ? 0 : block.used), 0)
    return data
  }
}

/** In memory of its own: what is small would keep a whole piece of what small buffers share. */
const copyOf = (bytes: Buffer): Buffer => {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

export interface SavedData {
  readonly begin: number
  readonly ends: ReadonlyArray<number>
  readonly blocks: ReadonlyArray<{
    readonly from: number
    readonly used: number
    readonly object?: string
    readonly segment?: Segment
  }>
}

const storedPart = ({ from, object = "", segment }: Block, skip: number, end: number): StoredPart => ({
  ...{ object, size: end - skip, skip },
  ...(segment !== undefined && { segment: { from, index: segment.index, indexBytes: segment.indexBytes } })
})
