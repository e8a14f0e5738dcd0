/** How much of a shard's log lies behind a position: an estimate in marks of a few kilobytes. */
import type { Position } from "../../messages/entry.ts"

const markBytes = 64 * 1024

interface Mark {
  position: Position
  bytes: number
  entries: number
}

export class LogSize {
  private marks: Array<Mark> = []
  bytes = 0
  entries = 0
  /** Of all entries that ever were, since this began. */
  total = 0

  add(position: Position, bytes: number, entries: number): void {
    this.bytes += bytes
    this.entries += entries
    this.total += entries
    const last = this.marks.at(-1)
    if (last === undefined || last.bytes >= markBytes || last.entries >= 1000) {
      this.marks.push({ position, bytes, entries })
      return
    }
    last.position = position
    last.bytes += bytes
    last.entries += entries
  }

  /** The log was truncated before this position. */
  truncated(before: Position): void {
    const kept = this.marks.findIndex((mark) => mark.position >= before)
    const gone = this.marks.splice(0, kept === -1 ? this.marks.length : kept)
    for (const mark of gone) {
      this.bytes -= mark.bytes
      this.entries -= mark.entries
    }
  }

  /** Where half of the log lies behind. */
  get middle(): Position {
    let bytes = 0
    for (const mark of this.marks) {
      bytes += mark.bytes
      if (bytes * 2 >= this.bytes) return mark.position
    }
    return 0
  }
}
