/** Which of the blocks on disk leaves when there is no room for another one. */

interface Entry {
  readonly name: string
  readonly size: number
  usedAt: number
  /** Its place in the list that random ones are picked from. */
  at: number
}

/** Names and sizes of what is on disk, as far as it is known. */
export class ShelfIndex {
  bytes = 0
  private uses = 0
  private readonly byName = new Map<string, Entry>()
  private readonly list: Array<Entry> = []

  get count(): number {
    return this.list.length
  }

  has(name: string): boolean {
    return this.byName.has(name)
  }

  /** It was read. */
  touch(name: string): void {
    const entry = this.byName.get(name)
    if (entry === undefined) return
    entry.usedAt = ++this.uses
    this.byName.delete(name)
    this.byName.set(name, entry)
  }

  add(name: string, size: number): void {
    this.remove(name)
    const entry = { name, size, usedAt: ++this.uses, at: this.list.length }
    this.byName.set(name, entry)
    this.list.push(entry)
    this.bytes += size
  }

  remove(name: string): boolean {
    const entry = this.byName.get(name)
    if (entry === undefined) return false
    this.byName.delete(name)
    this.bytes -= entry.size
    const last = this.list.pop() as Entry
    if (last !== entry) {
      this.list[entry.at] = last
      last.at = entry.at
    }
    return true
  }

  oldest(): string | undefined {
    return this.byName.keys().next().value
  }

  /**
   * Of two random ones the one that was not used for longer: nearly as good as the oldest, and scans do not fool it.
   */
  ofTwo(below: (count: number) => number): string | undefined {
    const one = this.list[below(this.list.length)]
    const other = this.list[below(this.list.length)]
    if (one === undefined || other === undefined) return undefined
    return one.usedAt <= other.usedAt ? one.name : other.name
  }
}
