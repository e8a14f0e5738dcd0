/**
 * Bytes that were written and are not committed: runs of a file's bytes, in slices of blocks on their way to the
 * store.
 */

import { blockBytesMax, chunkBytes } from "../../messages/chunks.ts"
import type { Time, Who } from "../../messages/inode.ts"
import type { Buffers } from "./buffer.ts"
import { digestDigits } from "./digest.ts"
import type { DirtyFile } from "./file.ts"
import type { SentRecord } from "./record.ts"

/** Where a part of a block is staged; `off` is its place in the block. Later ones lie over earlier ones. */
export interface Extent {
  readonly segment: number
  readonly at: number
  readonly off: number
  readonly len: number
}

/** A block with more pieces than this on the stage is staged anew as a whole before its memory is given back. */
export const extentsMax = 64

/** Between threads' memory: as it is set, it is moved word by word there. */
const copyTo = (into: Uint8Array, at: number, { buffer, byteOffset, length }: Uint8Array): void => {
  Buffer.from(buffer as ArrayBuffer, byteOffset, length).copy(into, at)
}

export class DirtyBlock {
  readonly slice: Slice
  readonly index: number
  /** Undefined when it is on the stage alone, or stored. */
  bytes: Uint8Array | undefined
  used = 0
  /** Undefined when not all of it is staged. */
  extents: Array<Extent> | undefined
  /** Sealed: nothing is written to it any more. */
  state: "open" | "sealed" | "storing" | "stored" = "open"
  key = ""
  digest = ""
  /** Bytes that an upload or a copy is using stay where they are. */
  pinned = 0

  constructor(slice: Slice, index: number, isStaged: boolean) {
    this.slice = slice
    this.index = index
    this.extents = isStaged ? [] : undefined
  }
}

export class Slice {
  readonly file: DirtyFile
  /** The chunk that its blocks are named after. */
  readonly chunk: number
  readonly blocks: Array<DirtyBlock> = []
  /** In the order in which they were begun. One that still grows is alone in its slice. */
  readonly runs: Array<Run> = []
  id = 0
  length = 0
  frozen = false
  /** Blocks that are not stored. */
  missing = 0

  constructor(file: DirtyFile, chunk: number) {
    this.file = file
    this.chunk = chunk
  }

  /** Bytes in blocks that nothing is written to any more. */
  get sealed(): number {
    let sealed = 0
    for (const block of this.blocks) if (block.state !== "open") sealed += block.used
    return sealed
  }

  get isStored(): boolean {
    return this.frozen && this.missing === 0
  }

  get digests(): string {
    let digests = ""
    for (const block of this.blocks) digests += block.digest
    if (digests.length !== this.blocks.length * digestDigits) throw new Error(`slice ${this.id} is not stored`)
    return digests
  }

  /** Copies bytes to a place in the slice, at or before its end, and not before what is sealed. */
  put(off: number, data: Uint8Array, buffers: Buffers, isStaged: boolean): void {
    for (let done = 0; done < data.length; ) {
      const index = Math.floor((off + done) / blockBytesMax)
      const from = off + done - index * blockBytesMax
      const part = data.subarray(done, done + blockBytesMax - from)
      const block = this.blockAt(index, isStaged)
      // Who has filled one block is likely to fill the next.
      block.bytes = buffers.grow(block.bytes, index > 0 ? blockBytesMax : from + part.length)
      copyTo(block.bytes, from, part)
      block.used = Math.max(block.used, from + part.length)
      done += part.length
    }
    this.length = Math.max(this.length, off + data.length)
  }

  blockAt(index: number, isStaged: boolean): DirtyBlock {
    const there = this.blocks[index]
    if (there !== undefined) {
      if (there.state !== "open") throw new Error(`block ${index} is written to after it was sealed`)
      return there
    }
    if (index !== this.blocks.length) throw new Error(`block ${index} would follow block ${this.blocks.length - 1}`)
    const block = new DirtyBlock(this, index, isStaged)
    this.blocks.push(block)
    this.missing += 1
    return block
  }

  /** Takes over bytes that lie on the stage alone. */
  adopt(off: number, len: number, extent: { readonly segment: number; readonly at: number }): void {
    for (let done = 0; done < len; ) {
      const index = Math.floor((off + done) / blockBytesMax)
      const from = off + done - index * blockBytesMax
      const part = Math.min(len - done, blockBytesMax - from)
      const block = this.blockAt(index, true)
      block.used = Math.max(block.used, from + part)
      done += part
    }
    this.staged(off, len, extent)
    this.length = Math.max(this.length, off + len)
  }

  /** Says of bytes of the slice where they are staged; undefined that they are not. */
  staged(off: number, len: number, extent: { readonly segment: number; readonly at: number } | undefined): void {
    for (let done = 0; done < len; ) {
      const index = Math.floor((off + done) / blockBytesMax)
      const from = off + done - index * blockBytesMax
      const part = Math.min(len - done, blockBytesMax - from)
      const block = this.blocks[index] as DirtyBlock
      if (extent === undefined) block.extents = undefined
      else block.extents?.push({ segment: extent.segment, at: extent.at + done, off: from, len: part })
      done += part
    }
  }
}

/** Bytes of the file that follow one another and were written in one go, or nearly so. */
export class Run {
  readonly number: number
  readonly append: boolean
  readonly who: Who
  /** Where they begin in the file; of an append, where they are believed to. */
  at: number
  length = 0
  slice: Slice
  /** Where they begin in the slice. */
  off = 0
  begunMs: number
  writtenMs: number
  time: Time
  /** What it was sent with, until that is answered: the same again is the same command. */
  sent: SentRecord | undefined

  constructor(number: number, slice: Slice, first: { at: number; append: boolean; who: Who; ms: number; time: Time }) {
    this.number = number
    this.slice = slice
    this.at = first.at
    this.append = first.append
    this.who = first.who
    this.begunMs = first.ms
    this.writtenMs = first.ms
    this.time = first.time
    slice.runs.push(this)
  }

  get end(): number {
    return this.at + this.length
  }

  get frozen(): boolean {
    return this.slice.frozen
  }

  /** Where it has to end: a slice lies in one chunk. An append is placed later, and cut there if need be. */
  get limit(): number {
    return this.append ? this.at + chunkBytes : (Math.floor(this.at / chunkBytes) + 1) * chunkBytes
  }
}
