/** Tells many listeners some at a time: between them others have their turn, and each hears everything in its order. */
import { hand } from "./guard.ts"
import type { Listener, News } from "./live.ts"

/** A millisecond or so: whoever appended, and who waits for other streams, is not held up by thousands of listeners. */
const atOnce = 128

/** Runs it when others have had their turn. */
export type Later = (work: () => void) => void

interface Turn {
  readonly news: News
  readonly listeners: ReadonlySet<Listener>
  /** Those who listened when it was committed. */
  readonly told: ReadonlyArray<Listener>
  next: number
}

export class Telling {
  private readonly later: Later | undefined
  /** What is being told of a stream, and what is to be told behind it. */
  private readonly turns = new Map<string, Array<Turn>>()

  /** Without a way to come back to it everybody is told at once. */
  constructor(later: Later | undefined) {
    this.later = later
  }

  tell(news: News, listeners: ReadonlySet<Listener>): void {
    const turn: Turn = { news, listeners, told: [...listeners], next: 0 }
    const before = this.turns.get(news.key)
    if (before !== undefined) before.push(turn)
    else if (!this.some(turn)) {
      this.turns.set(news.key, [turn])
      this.goOn(news.key)
    }
  }

  /** Whether some who listen to it do not know yet what was committed. */
  isUnderWay(key: string): boolean {
    return this.turns.has(key)
  }

  /** True when all have been told. Whoever hears may go, or come, meanwhile. */
  private some(turn: Turn): boolean {
    const { news, listeners, told } = turn
    const end = this.later === undefined ? told.length : Math.min(told.length, turn.next + atOnce)
    for (; turn.next < end; turn.next++) {
      const listener = told[turn.next] as Listener
      if (listeners.has(listener)) hand(listener, news)
    }
    return end === told.length
  }

  private goOn(key: string): void {
    this.later?.(() => {
      const turns = this.turns.get(key) ?? []
      const [first] = turns
      if (first !== undefined && this.some(first)) turns.shift()
      if (turns.length === 0) this.turns.delete(key)
      else this.goOn(key)
    })
  }
}
