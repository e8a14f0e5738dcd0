/** Blocks in memory, the one that was not used for longest leaving first. */

export class BlockMemory {
  bytes = 0
  private readonly bytesMax: number
  /** In the order of their last use. */
  private readonly kept = new Map<string, Uint8Array>()

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get(key: string): Uint8Array | undefined {
    const bytes = this.kept.get(key)
    if (bytes === undefined) return undefined
    this.kept.delete(key)
    this.kept.set(key, bytes)
    return bytes
  }

  has(key: string): boolean {
    return this.kept.has(key)
  }

  /** The bytes are not changed any more. */
  put(key: string, bytes: Uint8Array): void {
    this.remove(key)
    // What is larger than all the room would only drive out everything else.
    if (bytes.length > this.bytesMax) return
    this.kept.set(key, bytes)
    this.bytes += bytes.length
    for (const oldest of this.kept.keys()) {
      if (this.bytes <= this.bytesMax) return
      this.remove(oldest)
    }
  }

  remove(key: string): void {
    const bytes = this.kept.get(key)
    if (bytes === undefined) return
    this.kept.delete(key)
    this.bytes -= bytes.length
  }
}
