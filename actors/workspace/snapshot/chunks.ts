/** The rows of one store as they are at one moment, taken chunk by chunk while the store goes on changing. */
import type { Watched } from "../tree/columns.ts"

/** Rows that are taken at once: a fraction of a millisecond. */
export const chunkRows = 4096

export class Chunks<T> {
  private readonly taken: Array<T | undefined>
  private readonly store: Watched
  private readonly first: number
  private readonly end: number
  private readonly size: number
  private readonly take: (from: number, to: number) => T

  constructor(
    store: Watched,
    rows: { readonly first?: number; readonly end: number; readonly size: number },
    take: (from: number, to: number) => T
  ) {
    this.store = store
    this.first = rows.first ?? 0
    this.end = rows.end
    this.size = rows.size
    this.take = take
    this.taken = new Array(Math.max(1, Math.ceil((this.end - this.first) / this.size))).fill(undefined)
    store.watching.add(this.keep)
  }

  /** A row is about to change: its chunk is taken as it was, unless it is already. What is newer is not of interest. */
  private readonly keep = (row: number): void => {
    if (row >= this.first && row < this.end) this.takeChunk(Math.floor((row - this.first) / this.size))
  }

  private takeChunk(at: number): boolean {
    if (this.taken[at] !== undefined) return false
    const from = this.first + at * this.size
    this.taken[at] = this.take(from, Math.min(this.end, from + this.size))
    return true
  }

  /** Takes one after the other, and yields after each. */
  *steps(): Generator<void> {
    for (let at = 0; at < this.taken.length; at++) if (this.takeChunk(at)) yield
    this.release()
  }

  release(): void {
    this.store.watching.delete(this.keep)
  }

  /** All of them, once every step is done. */
  get all(): ReadonlyArray<T> {
    return this.taken as ReadonlyArray<T>
  }
}
