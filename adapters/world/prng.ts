/** One seed, one stream of choices; a chooser forked by name does not shift the choices of the others. */

export class Prng {
  private state: number

  constructor(seed: number) {
    this.state = (seed ^ 0x5bf03635) | 0
  }

  /** At least 0, less than 1. A counter through a finaliser of two multiplications: every seed has the full period. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) | 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  /** From `low` up to and including `high`. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: ReadonlyArray<T>): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error("there is nothing to pick from")
    return item
  }

  fork(name: string): Prng {
    let hash = this.state
    for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
    return new Prng(hash)
  }
}
