/** Gives memory back to the host: a process that was busy keeps what it needed then, and asks for it never again. */
import { performance } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Clock, Effect } from "effect"

/** How often it is looked. */
const lookMs = 5_000
/** Behind a collection there is nothing more to be had for a while. */
const againMs = 60_000
/** What a process takes besides its heap and its buffers, and what need not be given back. */
const slackBytes = 176 * 1024 * 1024
/** A node that has more to do than this is not held up by it. */
const busyShare = 0.3

type Collect = (options: { readonly type: "major"; readonly execution: "async" }) => Promise<void>

/** The engine gives pages back when it collects all of its heap, and does so of its own accord only when it grows. */
const collector = (): Collect => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as Collect
}

const isSlack = (): boolean => {
  const { rss, heapUsed, external } = process.memoryUsage()
  return rss - heapUsed - external > slackBytes
}

export const trimming: Effect.Effect<never> = Effect.gen(function* () {
  let collect: Collect | undefined
  let last = 0
  for (let before = performance.eventLoopUtilization(); ; before = performance.eventLoopUtilization()) {
    yield* Effect.sleep(lookMs)
    const { utilization } = performance.eventLoopUtilization(before)
    const now = yield* Clock.currentTimeMillis
    if (utilization > busyShare || now - last < againMs || !isSlack()) continue
    last = now
    collect ??= collector()
    const begun = collect({ type: "major", execution: "async" })
    yield* Effect.promise(() => begun)
  }
})
