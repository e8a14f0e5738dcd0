/** The queue of what nothing reaches any more, in the order in which it went: a column for each of its facts. */
import type { Garbage, Home } from "../../../messages/slices.ts"
import { grow64, roomFor, Watched } from "./columns.ts"

/** A queue shorter than this is not worth moving. */
const gapMin = 1024

export interface Died {
  readonly id: number
  /** -1 for ids that were reserved and never used; then `count` says how many from `id` on. */
  readonly size: number
  readonly at: number
  readonly version: number
  readonly home?: Home | undefined
  readonly count?: number | undefined
}

/** What is watched are the sequences. */
export class GarbageQueue extends Watched {
  /** The sequence of what stands first in the columns. */
  base = 0
  private start = 0
  private end = 0
  held = 0
  private id = new Float64Array(0)
  private size = new Float64Array(0)
  private at = new Float64Array(0)
  private version = new Float64Array(0)
  private readonly home = new Map<number, Home>()
  private readonly count = new Map<number, number>()

  /** The sequence of what comes next. */
  get next(): number {
    return this.base + this.end
  }

  push(died: Died): void {
    if (this.end === this.id.length) this.makeRoom()
    const place = this.end++
    this.id[place] = died.id
    this.size[place] = died.size
    this.at[place] = died.at
    this.version[place] = died.version
    if (died.home !== undefined) this.home.set(this.base + place, died.home)
    if (died.count !== undefined) this.count.set(this.base + place, died.count)
    this.held += 1
  }

  /** As a snapshot has it: what comes next has this sequence, and what is missing before it was collected. */
  skipTo(next: number): void {
    if (this.held === 0) this.base = next - this.end
    while (this.next < next) {
      this.push({ id: 0, size: 0, at: 0, version: 0 })
      this.held -= 1
    }
  }

  has(sequence: number): boolean {
    const place = sequence - this.base
    return place >= this.start && place < this.end && this.id[place] !== 0
  }

  /** Gone from the store. What is not there any more is left alone. */
  collect(sequence: number): void {
    const place = sequence - this.base
    if (!this.has(sequence)) return
    this.keep(sequence)
    this.id[place] = 0
    this.home.delete(sequence)
    this.count.delete(sequence)
    this.held -= 1
    while (this.start < this.end && this.id[this.start] === 0) this.start += 1
    if (this.start > gapMin && this.start * 2 > this.end) this.close()
  }

  /** Closes the gap of what was collected. */
  private close(): void {
    for (const column of [this.id, this.size, this.at, this.version]) column.copyWithin(0, this.start, this.end)
    this.base += this.start
    this.end -= this.start
    this.start = 0
  }

  private makeRoom(): void {
    const capacity = roomFor(this.id.length)
    this.id = grow64(this.id, capacity)
    this.size = grow64(this.size, capacity)
    this.at = grow64(this.at, capacity)
    this.version = grow64(this.version, capacity)
  }

  /** So many at most, behind a sequence and before another. */
  *list(after: number, limit: number, before = this.next): Generator<Garbage> {
    let left = limit
    const end = Math.min(this.end, before - this.base)
    for (let place = Math.max(this.start, after + 1 - this.base); place < end && left > 0; place++) {
      const id = this.id[place] as number
      if (id === 0) continue
      left -= 1
      const sequence = this.base + place
      const home = this.home.get(sequence)
      const count = this.count.get(sequence)
      yield {
        sequence,
        id,
        size: this.size[place] as number,
        at: this.at[place] as number,
        version: this.version[place] as number,
        ...(home === undefined ? {} : { home }),
        ...(count === undefined ? {} : { count })
      }
    }
  }
}
