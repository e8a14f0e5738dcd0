/** When which actor of a shard wants its next `Tick`: a heap by time, in which an actor stands once. */
import { popTimed, pushTimed, type Timed } from "../../actors/heap.ts"

/** A heap with fewer stale elements than this is not worth cleaning. */
const wasteMin = 64

export class Dues {
  /** The truth; the heap may hold what is no longer so, and such an element is passed over. */
  private readonly byKey = new Map<string, number>()
  /** Given out, and neither met nor set since: a checkpoint that left them out would lose them in a crash. */
  private readonly taken = new Map<string, number>()
  private heap: Array<Timed> = []

  /** 0 takes the actor out. */
  set(key: string, at: number): void {
    this.taken.delete(key)
    if (this.byKey.get(key) === at) return
    if (at === 0) {
      this.byKey.delete(key)
      return
    }
    this.byKey.set(key, at)
    // Stale elements behind an earlier one do not come to the top: they would gather for as long as it waits.
    if (this.waste > this.byKey.size + wasteMin) this.rebuild()
    else pushTimed(this.heap, { at, key })
  }

  /** The actor has been told: unless it said another time since, it waits for nothing. */
  met(key: string): void {
    this.taken.delete(key)
  }

  /** The earliest time that anybody waits for. */
  get next(): number | undefined {
    this.skipStale()
    return this.heap[0]?.at
  }

  /** Gives out everybody whose time has come. */
  takeDue(now: number): Array<string> {
    const due: Array<string> = []
    for (let at = this.next; at !== undefined && at <= now; at = this.next) {
      const { key } = popTimed(this.heap)
      this.byKey.delete(key)
      this.taken.set(key, at)
      due.push(key)
    }
    return due
  }

  get size(): number {
    return this.byKey.size
  }

  /** Elements of the heap that stand for nobody any more. */
  get waste(): number {
    return this.heap.length - this.byKey.size
  }

  /** Everybody who waits or has been given out and not been told yet. */
  entries(): Array<readonly [string, number]> {
    return [...this.taken, ...this.byKey]
  }

  private rebuild(): void {
    this.heap = []
    for (const [key, at] of this.byKey) pushTimed(this.heap, { at, key })
  }

  private skipStale(): void {
    while (this.heap.length > 0) {
      const top = this.heap[0] as Timed
      if (this.byKey.get(top.key) === top.at) return
      popTimed(this.heap)
    }
  }
}
