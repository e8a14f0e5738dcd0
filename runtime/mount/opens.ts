/** What processes of this host have open, as far as their requests tell it. */

/** Of so many sorts of inode it is known at a glance on every thread whether any is open: 256 KiB. */
const sorts = 2 ** 16

/** Counts what is open for whoever shares it. */
export const newSigns = (): SharedArrayBuffer => new SharedArrayBuffer(sorts * Int32Array.BYTES_PER_ELEMENT)

const sortOf = (ino: number): number => Math.imul(ino, 0x9e3779b1) >>> 16

/** False when it is certainly not open here. */
export const mayBeOpen = (signs: SharedArrayBuffer, ino: number): boolean =>
  Atomics.load(new Int32Array(signs), sortOf(ino)) > 0

export class Opens {
  private readonly counts = new Map<number, number>()
  /** Written to since the last flush, by any handle: whoever closes next has to hear what became of it. */
  private readonly written = new Set<number>()
  /** Handles that were read from: the other thread keeps something for them. */
  private readonly readers = new Set<number>()
  private handle: number
  private readonly resumed: boolean
  private readonly flushed = new Set<number>()

  private readonly signs: Int32Array

  constructor(seed: number, resumed: boolean, signs = newSigns()) {
    this.signs = new Int32Array(signs)
    this.handle = seed
    this.resumed = resumed
  }

  open(ino: number): number {
    this.counts.set(ino, (this.counts.get(ino) ?? 0) + 1)
    Atomics.add(this.signs, sortOf(ino), 1)
    this.handle += 2
    return this.handle
  }

  /** Gives how many are left. Of what was opened before this process began, nobody knows. */
  close(ino: number): number {
    const count = this.counts.get(ino)
    if (count !== undefined) Atomics.sub(this.signs, sortOf(ino), 1)
    const left = (count ?? 1) - 1
    if (left <= 0) this.counts.delete(ino)
    else this.counts.set(ino, left)
    return left
  }

  /** Opened in this process's time. */
  isOpen(ino: number): boolean {
    return this.counts.has(ino)
  }

  /** A predecessor's open files are not known: what might be open counts as open. */
  has(ino: number): boolean {
    return this.resumed || (this.counts.get(ino) ?? 0) > 0
  }

  get size(): number {
    return this.counts.size
  }

  wrote(ino: number): void {
    this.written.add(ino)
  }

  /** Whether a flush has anything to wait for or to tell; from now on only what is written after it counts. */
  toFlush(ino: number): boolean {
    if (this.written.delete(ino)) return true
    if (!this.resumed || this.flushed.has(ino)) return false
    this.flushed.add(ino)
    return true
  }

  read(handle: number): void {
    this.readers.add(handle)
  }

  wasRead(handle: number): boolean {
    return this.readers.delete(handle)
  }
}
