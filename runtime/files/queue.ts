/** Writers that wait for room, in the order in which they came. */
import { Effect } from "effect"

/** One that waits looks for room again after this, whether it was called or not. */
const waitMsMax = 1_000

export class WriterQueue {
  /** Each says whether it has found room and need not wait any more. */
  private waiters: Array<() => boolean> = []
  private looking = false

  get isEmpty(): boolean {
    return this.waiters.length === 0
  }

  /** There may be room. What the first one sets off may call this while it is looking. */
  look(): void {
    if (this.looking) return
    this.looking = true
    while (this.waiters[0]?.()) this.waiters.shift()
    this.looking = false
  }

  /** Waits until `take` finds room, and then for what it gives. */
  wait<E>(take: () => Effect.Effect<void, E> | undefined): Effect.Effect<void, E> {
    const waiting = Effect.callback<void, E>((resume) => {
      const waiter = () => {
        const taken = take()
        if (taken !== undefined) resume(taken)
        return taken !== undefined
      }
      this.waiters.push(waiter)
      this.look()
      return Effect.sync(() => {
        this.waiters = this.waiters.filter((one) => one !== waiter)
        this.look()
      })
    })
    return Effect.raceFirst(
      waiting,
      Effect.forever(
        Effect.delay(
          Effect.sync(() => this.look()),
          waitMsMax
        )
      )
    )
  }
}
