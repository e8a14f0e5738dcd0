/** When which actor of a shard wants its next `Tick`: a heap by time, in which an actor stands once. */

interface Due {
  readonly at: number
  readonly key: string
}

/** A heap with fewer stale elements than this is not worth cleaning. */
const wasteMin = 64

export class Dues {
  /** The truth; the heap may hold what is no longer so, and such an element is passed over. */
  private readonly byKey = new Map<string, number>()
  /** Given out, and neither met nor set since: a checkpoint that left them out would lose them in a crash. */
  private readonly taken = new Map<string, number>()
  private heap: Array<Due> = []

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
    else this.push({ at, key })
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
      const { key } = this.pop()
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
    for (const [key, at] of this.byKey) this.push({ at, key })
  }

  private skipStale(): void {
    while (this.heap.length > 0) {
      const top = this.heap[0] as Due
      if (this.byKey.get(top.key) === top.at) return
      this.pop()
    }
  }

  private push(due: Due): void {
    const { heap } = this
    let index = heap.push(due) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if ((heap[parent] as Due).at <= due.at) break
      heap[index] = heap[parent] as Due
      index = parent
    }
    heap[index] = due
  }

  private pop(): Due {
    const { heap } = this
    const top = heap[0] as Due
    const last = heap.pop() as Due
    if (heap.length === 0) return top
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] as Due).at < (heap[child] as Due).at) child += 1
      if ((heap[child] as Due).at >= last.at) break
      heap[index] = heap[child] as Due
      index = child
    }
    heap[index] = last
    return top
  }
}
