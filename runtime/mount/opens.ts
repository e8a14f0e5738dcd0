/** What processes of this host have open, as far as their requests tell it. */

export class Opens {
  private readonly counts = new Map<number, number>()
  /** Written to since the last flush, by any handle: whoever closes next has to hear what became of it. */
  private readonly written = new Set<number>()
  /** Handles that were read from: the other thread keeps something for them. */
  private readonly readers = new Set<number>()
  private handle: number
  private readonly resumed: boolean
  private readonly flushed = new Set<number>()

  constructor(seed: number, resumed: boolean) {
    this.handle = seed
    this.resumed = resumed
  }

  open(ino: number): number {
    this.counts.set(ino, (this.counts.get(ino) ?? 0) + 1)
    this.handle += 2
    return this.handle
  }

  /** Gives how many are left. Of what was opened before this process began, nobody knows. */
  close(ino: number): number {
    const left = (this.counts.get(ino) ?? 1) - 1
    if (left <= 0) this.counts.delete(ino)
    else this.counts.set(ino, left)
    return left
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
