/** The entries of many actors on their way into the journal together, and the answers that wait for them. */
import type { Entry, Position } from "../../messages/entry.ts"
import type { Cell } from "./cell.ts"
import type { Delivery } from "./delivery.ts"

interface Answered {
  readonly delivery: Delivery
  readonly text: string
  /** What the text says, where it is at hand. */
  readonly given: unknown
}

export class Batch {
  readonly entries: Array<Entry> = []
  readonly cells: Array<Cell> = []
  /** The events of each entry as they were decided, so that whoever hears of the commit need not read them again. */
  readonly events: Array<ReadonlyArray<unknown>> = []
  /** When the first entry was decided, for the latency that a caller sees. */
  readonly openedAt: number
  bytes = 0
  committed = false
  /** Somebody waits for it who asked over the bus, and not in this process. */
  isForBus = false
  private readonly answers: Array<Answered> = []
  private readonly waiting: Array<() => void> = []

  constructor(openedAt: number) {
    this.openedAt = openedAt
  }

  add(cell: Cell, entry: Entry, made: { readonly bytes: number; readonly events: ReadonlyArray<unknown> }): void {
    this.entries.push(entry)
    this.cells.push(cell)
    this.events.push(made.events)
    this.bytes += made.bytes
    cell.batch = this
  }

  /** Answers are released in the order in which they were given, once the batch is committed. */
  release(delivery: Delivery, text: string, given?: unknown): void {
    if (delivery.command === undefined) this.isForBus = true
    this.answers.push({ delivery, text, given })
  }

  /** Calls back when the batch is committed; never, when the shard is lost before. */
  whenCommitted(callback: () => void): void {
    if (this.committed) callback()
    else this.waiting.push(callback)
  }

  commit(positions: ReadonlyArray<Position>, mayAnswer: boolean, lost: string): void {
    this.committed = true
    for (let index = 0; index < this.cells.length; index++) {
      const cell = this.cells[index] as Cell
      const behind = cell.behindSnapshot
      const entry = this.entries[index] as Entry
      if (behind !== undefined && behind.from === undefined && entry.version > behind.version)
        behind.from = positions[index]
      cell.recent?.add(positions[index] ?? 0, entry)
      if (cell.batch === this) cell.batch = undefined
    }
    for (const { delivery, text, given } of this.answers)
      if (mayAnswer) delivery.answer(text, given)
      else delivery.answer(lost)
    for (const callback of this.waiting) callback()
    this.forget()
  }

  /** The shard was lost: whether the entries are in the log is not known here. */
  abandon(text: string): void {
    for (const { delivery } of this.answers) delivery.answer(text)
    this.forget()
  }

  /** Whoever still holds it, until the next one comes, does not hold the actors too: they may leave memory. */
  private forget(): void {
    for (const all of [this.entries, this.cells, this.events, this.answers, this.waiting]) all.length = 0
  }
}
