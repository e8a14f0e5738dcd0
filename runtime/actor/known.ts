/** Which actors of a shard there ever were: one whose snapshot is missing is told from one that is new. */

const prime = 0x01000193

/** Two 32-bit FNV-1a over the key; 52 bits of them, so that two actors hardly ever share a number. */
const markOf = (key: string): number => {
  let low = 0x811c9dc5
  let high = 0x9e3779b9
  for (let at = 0; at < key.length; at++) {
    const code = key.charCodeAt(at)
    low = Math.imul(low ^ code, prime)
    high = Math.imul(high ^ code, prime) ^ (low >>> 7)
  }
  return (low >>> 0) * 0x100000 + (high >>> 12)
}

export class Known {
  /** Numbers in place of keys: there may be very many sessions that ended long ago. */
  private readonly marks: Set<number>

  constructor(marks: Iterable<number> = []) {
    this.marks = new Set(marks)
  }

  add(key: string): void {
    this.marks.add(markOf(key))
  }

  has(key: string): boolean {
    return this.marks.has(markOf(key))
  }

  save(): ReadonlyArray<number> {
    return [...this.marks]
  }
}
