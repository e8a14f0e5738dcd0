/** Gives memory back to the host: a process that was busy keeps what it needed then, and asks for it never again. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Clock, Effect } from "effect"

/** How often it is looked. */
const lookMs = 5_000
/** The loop stands still for a collection: a twentieth of a second, and not more often than this. */
const againMs = 15_000
/** What must have come behind the last collection for another one to be worth it. */
const worthBytes = 48 * 1024 * 1024
/** What a process takes besides its heap and its buffers, and what need not be given back. */
const slackBytes = 176 * 1024 * 1024
/** A node that has more to do than this is not held up by it. */
const busyShare = 0.3

/**
 * By how many percent the heap of a quiet node may grow before it is collected. Left alone, the engine lets it grow by
 * almost nothing then, and whoever wakes an actor waits for a collection; of a busy node it knows better.
 */
const quietPercent = 60
const ownPercent = 0

const letGrow = (percent: number): void => setFlagsFromString(`--heap-growing-percent=${percent}`)

type Collect = (options: { readonly type: "major"; readonly execution: "async" }) => Promise<void>

/** The engine gives pages back when it collects all of its heap, and does so of its own accord only when it grows. */
const collector = (): Collect => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as Collect
}

const slackNow = (): number => {
  const { rss, heapUsed, external } = process.memoryUsage()
  return rss - heapUsed - external
}

export const trimming: Effect.Effect<never> = Effect.gen(function* () {
  let collect: Collect | undefined
  let last = 0
  let wasBusy = true
  /** What the last collection has not given back: more than this is needed, or lies in pieces. */
  let left = 0
  for (let before = yield* Clock.currentTimeMillis; ; before = yield* Clock.currentTimeMillis) {
    // The time of the loop's own thread: on a host that others use it is also awake while it has to wait for them.
    const since = process.threadCpuUsage()
    yield* Effect.sleep(lookMs)
    const { user, system } = process.threadCpuUsage(since)
    const now = yield* Clock.currentTimeMillis
    const isBusy = user + system > busyShare * 1000 * (now - before)
    if (isBusy !== wasBusy) letGrow(isBusy ? ownPercent : quietPercent)
    wasBusy = isBusy
    if (isBusy || now - last < againMs || slackNow() < Math.max(slackBytes, left + worthBytes)) continue
    last = now
    collect ??= collector()
    const begun = collect({ type: "major", execution: "async" })
    yield* Effect.promise(() => begun)
    left = slackNow()
  }
})
