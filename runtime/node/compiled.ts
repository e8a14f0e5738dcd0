/**
 * Compiled code is kept for the next process when one ends. Those of a mount go on for long, and may be killed: so they
 * keep it when all is loaded, and as soon as nobody waits for them.
 */
import { flushCompileCache } from "node:module"
import { performance } from "node:perf_hooks"
import { Effect } from "effect"

/** What is loaded last is loaded by then. */
const lookEveryMs = 1_000
/** Keeping it takes some tenths of a second, in which nothing is answered: that is for a second without work. */
const busyMax = 0.02

/** `isNeeded`: there are others who may need an answer at any moment, also when there is no work. */
export const keepCompiled = (isNeeded: () => boolean = () => false) =>
  Effect.gen(function* () {
    for (let since = performance.eventLoopUtilization(); ; ) {
      yield* Effect.sleep(lookEveryMs)
      const { utilization } = performance.eventLoopUtilization(since)
      if (utilization < busyMax && !isNeeded()) break
      since = performance.eventLoopUtilization()
    }
    flushCompileCache()
  }).pipe(Effect.forkScoped)
