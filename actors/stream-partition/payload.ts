/** The bytes of one stream in memory, as readers get them: blocks that are filled once and shared by all who read. */
import type { Wire } from "../../messages/stream-partition.ts"

/** Large enough that a reader is given few parts, small enough that the last one's free space does not matter. */
const blockBytesMax = 256 * 1024

interface Block {
  /** The offset of its first byte. */
  readonly from: number
  /** Absent when the bytes are an object's. */
  readonly bytes: Buffer | undefined
  readonly object: string | undefined
  used: number
}

/** Bytes to be sent, or the object that holds them. */
export type Part = Buffer | { readonly object: string; readonly size: number; readonly skip: number }

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
      this.blocks.push({ from, bytes: undefined, object: wire.object, used: wire.size })
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
    const block: Block = { from, bytes: Buffer.allocUnsafeSlow(capacity), object: undefined, used: 0 }
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
      else parts.push({ object: block.object ?? "", size: end - skip, skip })
    }
    return parts
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

  /** The ends of the appends in a range, as they are stored with it. */
  endsIn(from: number, to: number): Array<number> {
    return this.ends.slice(this.unitIndex(from), this.unitIndex(to - 1) + 1)
  }

  /** Forgets what lies before this boundary; the block that reaches over it stays. */
  dropBefore(at: number): void {
    const first = this.blockIndex(at)
    for (const block of this.blocks.slice(0, first)) if (block.bytes !== undefined) this.bytes -= block.used
    this.blocks = this.blocks.slice(first)
    this.ends = this.ends.slice(this.unitIndex(at))
    this.begin = at
  }

  save(): SavedData {
    const blocks = this.blocks.map(({ from, object, used }) => ({
      from,
      used,
      ...(object !== undefined && { object })
    }))
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
    data.blocks = saved.blocks.map(({ from, used, object }) => ({
      from,
      used,
      object,
      bytes: object === undefined ? Buffer.from(take(used)) : undefined
    }))
    data.bytes = data.blocks.reduce((sum, block) => sum + (block.bytes === undefined ? 0 : block.used), 0)
    return data
  }
}

export interface SavedData {
  readonly begin: number
  readonly ends: ReadonlyArray<number>
  readonly blocks: ReadonlyArray<{ readonly from: number; readonly used: number; readonly object?: string }>
}
