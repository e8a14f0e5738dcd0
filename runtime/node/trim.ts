/** Gives memory back to the host: a process that was busy keeps what it needed then, and asks for it never again. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Clock, Effect } from "effect"

/** How often it is looked. */
const lookMs = 5_000
/** The loop stands still for a collection: some hundredths of a second, and not more often than this. */
const againMs = 15_000
/** What must have come on top of what there was after the last collection for another one to be worth it. */
const worthBytes = 24 * 1024 * 1024
/** A node that does more than this is not held up by it: while it works, the engine itself gives back what it can. */
const restShare = 0.03
const busyShare = 0.3

/**
 * By how many percent the heap of a quiet node may grow before it is collected. Left alone, the engine lets it grow by
 * almost nothing then, and whoever wakes an actor waits for a collection; of a busy node it knows better.
 */
const quietPercent = 60
const ownPercent = 0

const letGrow = (percent: number): void => setFlagsFromString(`--heap-growing-percent=${percent}`)

/** An ordinary collection keeps the pages that it has emptied, for the heap to grow into; the last resort does not. */
const manner = { type: "major", execution: "async", flavor: "last-resort" } as const

type Collect = (options: typeof manner) => Promise<void>

/** The engine gives pages back when it collects all of its heap, and does so of its own accord only when it grows. */
const collector = (): Collect => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as Collect
}

export const trimming: Effect.Effect<never> = Effect.gen(function* () {
  let collect: Collect | undefined
  let last = 0
  let wasBusy = true
  /** The least that the process has had since the last collection, which gives back for some seconds on. */
  let least = process.memoryUsage.rss()
  for (let before = yield* Clock.currentTimeMillis; ; before = yield* Clock.currentTimeMillis) {
    // The time of the loop's own thread: on a host that others use it is also awake while it has to wait for them.
    const since = process.threadCpuUsage()
    yield* Effect.sleep(lookMs)
    const { user, system } = process.threadCpuUsage(since)
    const now = yield* Clock.currentTimeMillis
    const share = (user + system) / 1000 / (now - before)
    const isBusy = share > busyShare
    if (isBusy !== wasBusy) letGrow(isBusy ? ownPercent : quietPercent)
    wasBusy = isBusy
    const rss = process.memoryUsage.rss()
    least = Math.min(least, rss)
    if (share > restShare || now - last < againMs || rss < least + worthBytes) continue
    last = now
    least = Number.POSITIVE_INFINITY
    collect ??= collector()
    const begun = collect(manner)
    yield* Effect.promise(() => begun)
  }
})
