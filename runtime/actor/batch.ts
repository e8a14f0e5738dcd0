/** The entries of many actors on their way into the journal together, and the answers that wait for them. */
import type { Entry, Position } from "../../messages/entry.ts"
import type { Cell } from "./cell.ts"
import type { Delivery } from "./delivery.ts"

export class Batch {
  readonly entries: Array<Entry> = []
  readonly cells: Array<Cell> = []
  /** The events of each entry as they were decided, so that whoever hears of the commit need not read them again. */
  readonly events: Array<ReadonlyArray<unknown>> = []
  /** When the first entry was decided, for the latency that a caller sees. */
  readonly openedAt: number
  bytes = 0
  committed = false
  private readonly answers: Array<{ readonly delivery: Delivery; readonly text: string }> = []
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
  release(delivery: Delivery, text: string): void {
    this.answers.push({ delivery, text })
  }

  /** Calls back when the batch is committed; never, when the shard is lost before. */
  whenCommitted(callback: () => void): void {
    if (this.committed) callback()
    else this.waiting.push(callback)
  }

  commit(positions: ReadonlyArray<Position>, mayAnswer: boolean, lost: string): void {
    this.committed = true
    for (const [index, cell] of this.cells.entries()) {
      const behind = cell.behindSnapshot
      const entry = this.entries[index] as Entry
      if (behind !== undefined && behind.from === undefined && entry.version > behind.version)
        behind.from = positions[index]
      cell.recent?.add(positions[index] ?? 0, entry)
      if (cell.batch === this) cell.batch = undefined
    }
    for (const { delivery, text } of this.answers) delivery.answer(mayAnswer ? text : lost)
    for (const callback of this.waiting) callback()
  }

  /** The shard was lost: whether the entries are in the log is not known here. */
  abandon(text: string): void {
    for (const { delivery } of this.answers) delivery.answer(text)
  }
}
