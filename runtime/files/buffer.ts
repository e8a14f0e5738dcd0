/** The memory that written bytes wait in: how much of it is taken, and whole blocks of it that are used again. */
import { blockBytesMax } from "../../messages/chunks.ts"
import { Room } from "./room.ts"

/**
 * Blocks are made so many at a time. They lie in memory of WebAssembly's, which is the only one here that surely begins
 * at a page, so that a disk can take them from where they are. Each such memory has its price in address space.
 */
const blocksAtOnce = 8
const wasmPageBytes = 64 * 1024

/** The part of WebAssembly that is used here; its types come with those of browsers alone. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
}

/** A fresh block costs a page fault for each 4 KiB; so many are kept for the next ones. */
const keptBlocksMax = 24

/** What a block begins with, or what its first write needs; it is copied four times at most until it is full. */
const firstBytes = 16 * 1024
const growth = 4

export class Buffers {
  used = 0
  private readonly kept: Array<Uint8Array> = []
  private readonly room = new Room()

  private take(bytes: number): Uint8Array {
    this.used += bytes
    if (bytes === blockBytesMax) return this.kept.pop() ?? this.fresh()
    return this.room.take(bytes)
  }

  private fresh(): Uint8Array {
    const pages = (blocksAtOnce * blockBytesMax) / wasmPageBytes
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages })
    for (let index = 1; index < blocksAtOnce; index++)
      this.kept.push(new Uint8Array(buffer, index * blockBytesMax, blockBytesMax))
    return new Uint8Array(buffer, 0, blockBytesMax)
  }

  /** Room for this many bytes, with what is in `bytes` at its beginning. */
  grow(bytes: Uint8Array | undefined, needed: number): Uint8Array {
    const before = bytes?.length ?? 0
    if (needed <= before) return bytes as Uint8Array
    // What is written in one go needs no more, and can be kept as it is when it is stored.
    const size = Math.min(Math.max(before * growth, firstBytes, needed), blockBytesMax)
    const grown = this.take(size)
    if (bytes !== undefined) {
      grown.set(bytes)
      this.giveBack(bytes)
    }
    return grown
  }

  /** These bytes are somebody else's from now on, and are not changed any more. */
  giveAway(bytes: Uint8Array): void {
    this.used -= bytes.length
  }

  /** Nobody may look at these bytes any more: they will be others'. */
  giveBack(bytes: Uint8Array): void {
    this.used -= bytes.length
    if (bytes.length === blockBytesMax && this.kept.length < keptBlocksMax) this.kept.push(bytes)
  }

  /** Nobody writes: what was kept for the next blocks goes back to the host. */
  rest(): void {
    this.kept.length = 0
  }
}
