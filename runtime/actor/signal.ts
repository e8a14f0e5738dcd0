/** Wakes one waiting fibre; a call before the wait is kept, several count as one. */
import { Effect } from "effect"

export class Signal {
  private isSet = false
  private resume: (() => void) | undefined

  readonly set = (): void => {
    const resume = this.resume
    this.resume = undefined
    if (resume === undefined) this.isSet = true
    else resume()
  }

  readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.isSet) {
      this.isSet = false
      resume(Effect.void)
      return
    }
    this.resume = () => resume(Effect.void)
    return Effect.sync(() => {
      this.resume = undefined
    })
  })
}
