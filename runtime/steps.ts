/** Long work in plain TypeScript, done in steps between which everybody else has their turn. */
import { Effect } from "effect"

/**
 * The first step is done before this returns, so that what it saw is what the caller sees; the others are done when
 * the effect is run. It dies of what a step throws. Work that is not done to its end is told so, and cleans up.
 */
export const begun = <A>(steps: Generator<void, A>): Effect.Effect<A> => {
  let step: IteratorResult<void, A>
  try {
    step = steps.next()
  } catch (error) {
    return Effect.die(error)
  }
  return Effect.gen(function* () {
    for (; ; step = steps.next()) {
      if (step.done === true) return step.value
      yield* Effect.yieldNow
    }
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => void steps.return(undefined as never))))
}

export const inSteps = <A>(steps: Generator<void, A>): Effect.Effect<A> => Effect.suspend(() => begun(steps))
