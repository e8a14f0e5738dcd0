/**
 * Compiled code is kept for the next process when one ends. Those of a mount go on for long, and may be killed: so they
 * keep it as soon as all is loaded.
 */
import { flushCompileCache } from "node:module"
import { Effect } from "effect"

/** What is loaded last is loaded by then, and nobody waits any more. */
const loadedMs = 1_000

export const keepCompiled = Effect.forkScoped(Effect.andThen(Effect.sleep(loadedMs), Effect.sync(flushCompileCache)))
