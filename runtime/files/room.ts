/** Memory that the collector does not count, up to a limit: it would look through all there is for each bit of it. */

/**
 * What is written is kept for readers, so nearly all of it lives on when the collector looks. Shared memory is not
 * counted by the engine; how much of it is not given back yet is counted here instead. Behind this everything counts,
 * and what nobody has any more of this is found with it.
 */
const uncountedBytesMax = 320 * 1024 * 1024

export class Room {
  private uncounted = 0
  private readonly bytesMax: number
  private readonly collected = new FinalizationRegistry((bytes: number) => {
    this.uncounted -= bytes
  })

  constructor(bytesMax = uncountedBytesMax) {
    this.bytesMax = bytesMax
  }

  take(bytes: number): Uint8Array<ArrayBuffer> {
    // Of its own, and not a part of Node's pool: it is given back as it is.
    if (this.uncounted + bytes > this.bytesMax) return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
    const shared = new SharedArrayBuffer(bytes)
    this.uncounted += bytes
    this.collected.register(shared, bytes)
    return new Uint8Array(shared as unknown as ArrayBuffer)
  }
}
