/**
 * Directories that are lent to a session: it alone makes entries in them, and says so afterwards. With them it has
 * inode numbers that nobody else gives out.
 */

import { aheadMax } from "../../../messages/workspace.ts"

export interface Loan {
  readonly session: string
  /** When it was asked for because somebody else wants to change something there: then nothing more is made ahead. */
  recalledAt: number
}

/** Numbers that are not used yet, from the first to before the second. They are used in their order. */
export type InoRange = [next: number, end: number]

interface Borrower {
  readonly ranges: Array<InoRange>
  /** How many directories it has. */
  count: number
}

export class Loans {
  /** By inode number. */
  readonly all = new Map<number, Loan>()
  readonly borrowers = new Map<string, Borrower>()

  private borrower(session: string): Borrower {
    let borrower = this.borrowers.get(session)
    if (borrower === undefined) {
      borrower = { ranges: [], count: 0 }
      this.borrowers.set(session, borrower)
    }
    return borrower
  }

  lend(ino: number, session: string, recalledAt = 0): void {
    if (this.all.has(ino)) return
    this.all.set(ino, { session, recalledAt })
    this.borrower(session).count += 1
  }

  giveBack(ino: number): void {
    const loan = this.all.get(ino)
    if (loan === undefined) return
    this.all.delete(ino)
    this.borrower(loan.session).count -= 1
  }

  end(session: string): void {
    if (!this.borrowers.delete(session)) return
    for (const [ino, loan] of this.all) if (loan.session === session) this.all.delete(ino)
  }

  reserve(session: string, first: number, end: number): void {
    this.borrower(session).ranges.push([first, end])
  }

  /** A number that was set aside is used, and with it those before it. */
  use(ino: number): void {
    for (const { ranges } of this.borrowers.values()) {
      const at = ranges.findIndex(([next, end]) => next <= ino && ino < end)
      if (at < 0) continue
      ranges.splice(0, at)
      const range = ranges[0] as InoRange
      range[0] = ino + 1
      if (range[0] === range[1]) ranges.shift()
      return
    }
  }

  isLentTo(ino: number, session: string): boolean {
    return this.all.get(ino)?.session === session
  }

  /** The number that a session uses next, or 0. */
  nextOf(session: string): number {
    return this.borrowers.get(session)?.ranges[0]?.[0] ?? 0
  }

  /** Whether a number that a session got lies before those that it has left. */
  isUsed(ino: number, session: string): boolean {
    const ranges = this.borrowers.get(session)?.ranges ?? []
    return !ranges.some(([next, end]) => next <= ino && ino < end)
  }

  leftOf(session: string): number {
    let left = 0
    for (const [next, end] of this.borrowers.get(session)?.ranges ?? []) left += end - next
    return left
  }

  /** Entries that others than this one may have made already, or make at any moment. */
  setAside(session: string): number {
    let sessions = 0
    for (const [other, { count }] of this.borrowers) if (other !== session && count > 0) sessions += 1
    return sessions * aheadMax
  }
}
