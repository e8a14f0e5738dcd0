/** The slice ids that were given out and are not used yet: each may be used once, and by its holder alone. */

export interface Reservation {
  readonly holder: string
  readonly first: number
  readonly count: number
  /** When they were given out. */
  readonly at: number
  /** One bit for each id, set when it is used. */
  readonly used: Uint8Array
  left: number
}

export class Reservations {
  /** In the order of their ids. */
  readonly list: Array<Reservation> = []
  /** Ids begin at 1: 0 is the hole. */
  next = 1

  add(one: Pick<Reservation, "holder" | "first" | "count" | "at">): void {
    const { holder, first, count, at } = one
    this.list.push({ holder, first, count, at, used: new Uint8Array(Math.ceil(count / 8)), left: count })
    this.next = Math.max(this.next, first + count)
  }

  /** As a snapshot has it: the bits in base64. */
  restore(one: Pick<Reservation, "holder" | "first" | "count" | "at">, bits: string): void {
    const used = Uint8Array.from(Buffer.from(bits, "base64"))
    let left = one.count
    for (const byte of used) for (let rest = byte; rest !== 0; rest &= rest - 1) left -= 1
    this.list.push({ ...one, used, left })
  }

  private find(id: number): number {
    let low = 0
    let high = this.list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const one = this.list[middle] as Reservation
      if (one.first + one.count <= id) low = middle + 1
      else high = middle
    }
    const found = this.list[low]
    return found !== undefined && found.first <= id ? low : -1
  }

  /** Who may use an id, or undefined when nobody may. */
  holderOf(id: number): string | undefined {
    const one = this.list[this.find(id)]
    if (one === undefined) return undefined
    const at = id - one.first
    return ((one.used[at >>> 3] as number) & (1 << (at & 7))) === 0 ? one.holder : undefined
  }

  use(id: number): void {
    if (this.holderOf(id) === undefined) return
    const index = this.find(id)
    const one = this.list[index] as Reservation
    const at = id - one.first
    one.used[at >>> 3] = (one.used[at >>> 3] as number) | (1 << (at & 7))
    one.left -= 1
    if (one.left === 0) this.list.splice(index, 1)
  }

  /** Takes back what was not used of some reservations: runs of ids. */
  *abandon(which: (one: Reservation) => boolean): Generator<{ readonly first: number; readonly count: number }> {
    const taken = this.list.filter(which)
    if (taken.length === 0) return
    const others = this.list.filter((one) => !taken.includes(one))
    this.list.length = 0
    this.list.push(...others)
    for (const { first, count, used } of taken) {
      let start = -1
      for (let at = 0; at <= count; at++) {
        const isUnused = at < count && ((used[at >>> 3] as number) & (1 << (at & 7))) === 0
        if (isUnused && start < 0) start = at
        if (isUnused || start < 0) continue
        yield { first: first + start, count: at - start }
        start = -1
      }
    }
  }
}
