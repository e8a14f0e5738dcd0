/** Locks of files in memory, for tests: two families, ranges that split and join, and a queue of those who wait. */
import { Effect } from "effect"
import type { Errno, LockRange } from "../../runtime/ports/mount.ts"

interface Waiter {
  readonly node: number
  readonly wanted: LockRange
  readonly resume: (effect: Effect.Effect<undefined, Errno>) => void
}

export class Locks {
  private readonly held = new Map<number, Array<LockRange>>()
  private waiters: Array<Waiter> = []

  conflict(node: number, wanted: LockRange): LockRange | undefined {
    return this.held
      .get(node)
      ?.find(
        (lock) =>
          lock.flock === wanted.flock &&
          lock.owner !== wanted.owner &&
          lock.start <= wanted.end &&
          wanted.start <= lock.end &&
          (lock.type === "write" || wanted.type === "write")
      )
  }

  set(node: number, wanted: LockRange, wait: boolean): Effect.Effect<undefined, Errno> {
    return Effect.callback((resume) => {
      if (wanted.type === "unlock" || this.conflict(node, wanted) === undefined) {
        this.apply(node, wanted)
        return resume(Effect.void as Effect.Effect<undefined>)
      }
      if (!wait) return resume(Effect.fail("EAGAIN"))
      const waiter: Waiter = { node, wanted, resume }
      this.waiters.push(waiter)
      return Effect.sync(() => {
        this.waiters = this.waiters.filter((other) => other !== waiter)
      })
    })
  }

  /** Ends all locks that an owner has in one family. */
  release(node: number, owner: string, flock: boolean): void {
    const all = { owner, flock, type: "unlock", start: 0, end: Number.MAX_SAFE_INTEGER, holder: 0 } as const
    this.apply(node, all)
  }

  private apply(node: number, wanted: LockRange): void {
    const { end, flock, owner, start, type } = wanted
    const others = (this.held.get(node) ?? []).flatMap((lock) => {
      if (lock.flock !== flock || lock.owner !== owner || lock.end < start || end < lock.start) return [lock]
      const before = lock.start < start ? [{ ...lock, end: start - 1 }] : []
      return lock.end > end ? [...before, { ...lock, start: end + 1 }] : before
    })
    this.held.set(node, type === "unlock" ? others : [...others, wanted])
    this.wake(node)
  }

  private wake(node: number): void {
    for (const waiter of [...this.waiters]) {
      if (waiter.node !== node || this.conflict(node, waiter.wanted) !== undefined) continue
      this.waiters = this.waiters.filter((other) => other !== waiter)
      this.apply(node, waiter.wanted)
      waiter.resume(Effect.void as Effect.Effect<undefined>)
    }
  }
}
