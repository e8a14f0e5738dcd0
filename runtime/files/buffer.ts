/** The memory that written bytes wait in: how much of it is taken, and whole blocks of it that are used again. */
import { blockBytesMax } from "../../messages/chunks.ts"

/** A fresh block costs a page fault for each 4 KiB; so many are kept for the next ones. */
const keptBlocksMax = 16

/** What a block begins with, or what its first write needs; it is copied four times at most until it is full. */
const firstBytes = 16 * 1024
const growth = 4

export class Buffers {
  used = 0
  private readonly kept: Array<Uint8Array> = []

  private take(bytes: number): Uint8Array {
    this.used += bytes
    const again = bytes === blockBytesMax ? this.kept.pop() : undefined
    // Of its own, and not a part of Node's pool: it is given back as it is.
    return again ?? new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
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
