/** Columns of numbers that grow, who watches them, and the place of a key in a hash table of slots. */

type Numbers = Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>

/** Room for half as much again, so that a column of a million is copied 25 times and not a million times. */
export const roomFor = (capacity: number): number => Math.max(64, capacity + (capacity >>> 1))

const grown = <T extends Numbers>(larger: T, column: T): T => {
  larger.set(column.subarray(0, Math.min(column.length, larger.length)))
  return larger
}

export const grow64 = (column: Float64Array<ArrayBuffer>, size: number) => grown(new Float64Array(size), column)
export const grow32 = (column: Uint32Array<ArrayBuffer>, size: number) => grown(new Uint32Array(size), column)
export const grow16 = (column: Uint16Array<ArrayBuffer>, size: number) => grown(new Uint16Array(size), column)

/** Rows of which somebody may want to see what they were before they change. */
export class Watched {
  /** Called before anything of a row changes; a row that was free counts as one that changes when it is taken. */
  readonly watching = new Set<(row: number) => void>()

  keep(row: number): void {
    if (this.watching.size > 0) for (const watch of this.watching) watch(row)
  }
}

/** Slots by the hash of their key, with linear probing; the keys themselves stay in their owner's columns. */
export class Table {
  /** Slot + 1, or 0 where nothing is. Its length is a power of two and at least 4/3 of what it holds. */
  cells = new Uint32Array(16)
  held = 0

  /** The cell of the slot that fits, or of the first free one: -1 - cell. */
  seek(hash: number, fits: (slot: number) => boolean): number {
    const { cells } = this
    const mask = cells.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const cell = cells[at] as number
      if (cell === 0) return -1 - at
      if (fits(cell - 1)) return at
    }
  }

  /** The slot must not be there yet. */
  add(hash: number, slot: number, hashOf: (slot: number) => number): void {
    if ((this.held + 1) * 4 > this.cells.length * 3) this.resize(this.cells.length * 2, hashOf)
    this.put(hash, slot)
    this.held += 1
  }

  private put(hash: number, slot: number): void {
    const mask = this.cells.length - 1
    let at = hash & mask
    while (this.cells[at] !== 0) at = (at + 1) & mask
    this.cells[at] = slot + 1
  }

  private resize(size: number, hashOf: (slot: number) => number): void {
    const old = this.cells
    this.cells = new Uint32Array(size)
    for (const cell of old) if (cell !== 0) this.put(hashOf(cell - 1), cell - 1)
  }

  /** Room for so many at once, for a table that is about to be filled. */
  reserve(count: number, hashOf: (slot: number) => number): void {
    let size = this.cells.length
    while (count * 4 > size * 3) size *= 2
    if (size > this.cells.length) this.resize(size, hashOf)
  }

  /** Empties a cell, and moves back those behind it that had to make way. */
  remove(cell: number, hashOf: (slot: number) => number): void {
    const { cells } = this
    const mask = cells.length - 1
    let hole = cell
    for (let at = (cell + 1) & mask; cells[at] !== 0; at = (at + 1) & mask) {
      const home = hashOf((cells[at] as number) - 1) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      cells[hole] = cells[at] as number
      hole = at
    }
    cells[hole] = 0
    this.held -= 1
  }
}
