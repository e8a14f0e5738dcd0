/**
 * Compiled code is kept for the next process when one ends. Those of a mount go on for long, and may be killed: so they
 * keep it when all is loaded, and as soon as nobody waits for them.
 */
import { flushCompileCache } from "node:module"
import { performance } from "node:perf_hooks"
import { Effect } from "effect"

const lookEveryMs = 1_000
/** Keeping it takes up to a second, in which nothing is answered: that is for a while in which nobody does anything. */
const quietLooks = 5
const busyMax = 0.02

/** `isNeeded`: there are others who may need an answer at any moment, also when there is no work. */
export const keepCompiled = (isNeeded: () => boolean = () => false) =>
  Effect.gen(function* () {
    let since = performance.eventLoopUtilization()
    for (let quiet = 0; quiet < quietLooks; ) {
      yield* Effect.sleep(lookEveryMs)
      const { utilization } = performance.eventLoopUtilization(since)
      since = performance.eventLoopUtilization()
      quiet = utilization < busyMax && !isNeeded() ? quiet + 1 : 0
    }
    flushCompileCache()
  }).pipe(Effect.forkScoped)
