/** The locks of one family on one inode: who holds, who waits, and who is next. Pure: each change gives a new list. */
import type { Lock } from "../../../messages/lock.ts"

export interface Locks {
  readonly held: ReadonlyArray<Lock>
  /** In the order of their tickets. */
  readonly queue: ReadonlyArray<Lock>
}

export const noLocks: Locks = { held: [], queue: [] }

interface Owner {
  readonly session: string
  readonly owner: string
}
interface Span {
  readonly start: number
  readonly end: number
}

export const isOwn = (a: Owner, b: Owner): boolean => a.session === b.session && a.owner === b.owner
const overlaps = (a: Span, b: Span): boolean => a.start <= b.end && b.start <= a.end

/** Whether two locks cannot be held at once. */
const clash = (a: Lock, b: Lock): boolean =>
  !isOwn(a, b) && overlaps(a, b) && (a.type === "write" || b.type === "write")

/** Those that stand in the way of a lock. */
export const blockers = (locks: Locks, wanted: Lock): ReadonlyArray<Lock> =>
  locks.held.filter((held) => clash(held, wanted))

/**
 * Whether it may be granted now. Whoever came before goes first, unless the one that asks holds something here already:
 * the others may be waiting for just that one, and would for ever.
 */
export const isFree = (locks: Locks, wanted: Lock): boolean => {
  if (locks.held.some((held) => clash(held, wanted))) return false
  if (locks.held.some((held) => isOwn(held, wanted))) return true
  return !locks.queue.some((earlier) => earlier.token < wanted.token && clash(earlier, wanted))
}

/** An owner's locks without what lies in the span. */
export const release = (locks: Locks, owner: Owner, span: Span): Locks => ({
  queue: locks.queue,
  held: locks.held.flatMap((held) => {
    if (!isOwn(held, owner) || !overlaps(held, span)) return [held]
    const left = held.start < span.start ? [{ ...held, end: span.start - 1 }] : []
    return held.end > span.end ? [...left, { ...held, start: span.end + 1 }] : left
  })
})

export const grant = (locks: Locks, lock: Lock, ticket: number | undefined): Locks => ({
  held: [...release(locks, lock, lock).held, lock],
  queue: ticket === undefined ? locks.queue : locks.queue.filter((waiting) => waiting.token !== ticket)
})

/** The first waiter that may have its lock now. */
export const next = (locks: Locks): Lock | undefined => locks.queue.find((waiting) => isFree(locks, waiting))

/** Without anything of a session. */
export const forget = (locks: Locks, session: string): Locks => ({
  held: locks.held.filter((lock) => lock.session !== session),
  queue: locks.queue.filter((lock) => lock.session !== session)
})
