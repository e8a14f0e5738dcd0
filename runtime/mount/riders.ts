/** What is sent to the workspace right behind the telling of what was made, so that both travel together. */
import { Effect } from "effect"
import type { Errno } from "../ports/mount.ts"

interface Rider {
  readonly upTo: number
  readonly until: number
  readonly wake: (why?: Errno) => void
}

export class Riders {
  private waiting: Array<Rider> = []
  /** The telling of all up to here is on its way, or over. */
  private gone = 0

  get areWaiting(): boolean {
    return this.waiting.length > 0
  }

  /** Waits until the telling of all up to there is on its way; `urge` sees to it that it is soon. */
  behind(upTo: number, until: number, urge: () => void): Effect.Effect<void, Errno> {
    return Effect.callback<void, Errno>((resume) => {
      if (this.gone >= upTo) return resume(Effect.void)
      const wake = (why?: Errno) => resume(why === undefined ? Effect.void : Effect.fail(why))
      const rider: Rider = { upTo, until, wake }
      this.waiting.push(rider)
      urge()
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== rider)
      })
    })
  }

  /** They leave within the same turn, and so in the same piece to the bus. */
  go(upTo: number): void {
    this.gone = Math.max(this.gone, upTo)
    const ready = this.waiting.filter((rider) => rider.upTo <= this.gone)
    this.waiting = this.waiting.filter((rider) => rider.upTo > this.gone)
    for (const { wake } of ready) wake()
  }

  /** Those who have waited for too long. A timer for each of them would cost more than all of the rest. */
  dismiss(now: number): void {
    const late = this.waiting.filter(({ until }) => until <= now)
    if (late.length === 0) return
    this.waiting = this.waiting.filter(({ until }) => until > now)
    for (const { wake } of late) wake("EIO")
  }
}
