/** What is open: libfuse keeps a small number for each, and forgets the rest. */

export interface Open {
  readonly node: number
  /** What the file system answered. */
  readonly handle: number
  readonly flags: number
}

export class Handles {
  private readonly open: Array<Open | undefined> = [undefined]
  private readonly free: Array<number> = []

  /** Never 0: that is what libfuse has for what was not opened. */
  add(open: Open): number {
    const number = this.free.pop() ?? this.open.length
    this.open[number] = open
    return number
  }

  get(number: number): Open | undefined {
    return this.open[number]
  }

  remove(number: number): void {
    if (this.open[number] === undefined) return
    this.open[number] = undefined
    this.free.push(number)
  }
}
