/** The slices that files are made of: what is stored, and how many places use it. */
import type { Home } from "../../../messages/slices.ts"
import { grow32, grow64, roomFor, Watched } from "./columns.ts"

const digestDigits = 16

export class Slices extends Watched {
  capacity = 0
  top = 0
  live = 0
  private readonly free: Array<number> = []
  /** 0 in a free slot. */
  id = new Float64Array(0)
  size = new Uint32Array(0)
  /** In how many places of files parts of it are. */
  uses = new Uint32Array(0)
  /** The digest of a slice of one block, which most are; those of others stand in `digests`. */
  digestHigh = new Uint32Array(0)
  digestLow = new Uint32Array(0)
  readonly digests = new Map<number, string>()
  /** Only where the layout names blocks after it. */
  readonly home = new Map<number, Home>()

  /** Not used anywhere yet. */
  add(one: { readonly id: number; readonly size: number; readonly digests?: string }): number {
    const slot = this.free.pop() ?? this.top++
    if (slot >= this.capacity) this.reserve(roomFor(this.capacity))
    this.keep(slot)
    this.id[slot] = one.id
    this.size[slot] = one.size
    this.uses[slot] = 0
    if (one.digests !== undefined) this.setDigests(slot, one.digests)
    this.live += 1
    return slot
  }

  private setDigests(slot: number, digests: string): void {
    if (digests.length !== digestDigits) {
      this.digests.set(slot, digests)
      return
    }
    this.digestHigh[slot] = Number.parseInt(digests.slice(0, 8), 16)
    this.digestLow[slot] = Number.parseInt(digests.slice(8), 16)
  }

  digestsOf(slot: number): string {
    const kept = this.digests.get(slot)
    if (kept !== undefined) return kept
    const high = (this.digestHigh[slot] as number).toString(16).padStart(8, "0")
    return high + (this.digestLow[slot] as number).toString(16).padStart(8, "0")
  }

  /** Gives how many places use it now. */
  use(slot: number, change: 1 | -1): number {
    this.keep(slot)
    const uses = (this.uses[slot] as number) + change
    this.uses[slot] = uses
    return uses
  }

  remove(slot: number): void {
    this.keep(slot)
    this.id[slot] = 0
    this.digests.delete(slot)
    this.home.delete(slot)
    this.free.push(slot)
    this.live -= 1
  }

  reserve(capacity: number): void {
    this.capacity = capacity
    this.id = grow64(this.id, capacity)
    this.size = grow32(this.size, capacity)
    this.uses = grow32(this.uses, capacity)
    this.digestHigh = grow32(this.digestHigh, capacity)
    this.digestLow = grow32(this.digestLow, capacity)
  }
}
