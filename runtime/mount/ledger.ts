/** Steps that are done ahead and not heard of from the workspace yet, in their order, and who waits for them. */
import { Effect } from "effect"
import { aheadMax, numberOf, type Step } from "../../messages/workspace.ts"
import { inosOf } from "./steps.ts"

/** JSON of what is told at once: a part of what a message and an entry hold. */
const batchTextMax = 256 * 1024

interface Done {
  readonly step: Step
  readonly at: number
  readonly size: number
}

interface Waiter {
  readonly upTo: number
  readonly wake: () => void
}

export class Ledger {
  readonly queue: Array<Done> = []
  private readonly numbers = new Set<number>()
  /** How many steps each inode has here. */
  private readonly inos = new Map<number, number>()
  private waiting: Array<Waiter> = []
  /** Counted from the beginning: what was done, what the workspace has answered for, and what has come back. */
  done = 0
  told = 0
  settled = 0

  get depth(): number {
    return this.done - this.settled
  }

  /** When the oldest was done. */
  get since(): number | undefined {
    return this.queue[0]?.at
  }

  has(number: number): boolean {
    return this.numbers.has(number)
  }

  isAbout(ino: number): boolean {
    return this.inos.has(ino)
  }

  add(done: Done): void {
    this.queue.push(done)
    this.numbers.add(numberOf(done.step))
    for (const ino of inosOf(done.step)) this.inos.set(ino, (this.inos.get(ino) ?? 0) + 1)
    this.done += 1
  }

  /** The oldest is heard of, or stands in the state. */
  shift(): void {
    const first = this.queue.shift()?.step
    if (first === undefined) return
    this.numbers.delete(numberOf(first))
    for (const ino of inosOf(first)) {
      const left = (this.inos.get(ino) ?? 1) - 1
      if (left === 0) this.inos.delete(ino)
      else this.inos.set(ino, left)
    }
    this.settled += 1
    this.told = Math.max(this.told, this.settled)
  }

  /** What is told next, at once. */
  batch(): ReadonlyArray<Step> {
    const batch: Array<Step> = []
    let size = 0
    for (let at = this.told - this.settled; at < this.queue.length && batch.length < aheadMax; at++) {
      const one = this.queue[at] as Done
      size += one.size
      if (size > batchTextMax && batch.length > 0) break
      batch.push(one.step)
    }
    return batch
  }

  get areWaiting(): boolean {
    return this.waiting.length > 0
  }

  /** Waits until so many have come back; `urge` sees to it that they are told soon. */
  reached(upTo: number, urge: () => void): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.settled >= upTo) return resume(Effect.void)
      const waiter = { upTo, wake: () => resume(Effect.void) }
      this.waiting.push(waiter)
      urge()
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== waiter)
      })
    })
  }

  wake(): void {
    if (this.waiting.length === 0) return
    const ready = this.waiting.filter(({ upTo }) => upTo <= this.settled)
    if (ready.length === 0) return
    this.waiting = this.waiting.filter(({ upTo }) => upTo > this.settled)
    for (const { wake } of ready) wake()
  }
}
