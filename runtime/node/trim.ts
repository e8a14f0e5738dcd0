/** Gives memory back to the host: a process that was busy keeps what it needed then, and asks for it never again. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Clock, Effect } from "effect"

/** How often it is looked. */
const lookMs = 5_000
/** The loop stands still for a collection: some hundredths of a second, and not more often than this. */
const againMs = 15_000
/**
 * What must have come on top of what there was after the last collection for another one to be worth it. Buffers do not
 * count: most are the states of actors, which somebody has woken and wants, and which give theirs back when they rest.
 */
const worthBytes = 24 * 1024 * 1024
/** Requests mostly come together: who has worked in the last moment is not collected from now. */
const momentMs = 200
const momentShare = 0.05
const momentsMax = 20
/** A node that does more than this is not held up by it: while it works, the engine itself gives back what it can. */
const restShare = 0.1
const busyShare = 0.3

/**
 * By how many percent the heap may grow before it is collected. Left alone, the engine lets that of a quiet node grow
 * by almost nothing; of a busy one it knows better. At rest nothing grows until somebody wakes actors, whose states are
 * most of what comes then: that is not to be taken for garbage, for who wakes them would wait for the collector, too.
 */
const percents = { rest: 300, quiet: 60, busy: 0 } as const

type Manner = keyof typeof percents

const mannerOf = (share: number): Manner => (share > busyShare ? "busy" : share > restShare ? "quiet" : "rest")

const letGrow = (manner: Manner): void => {
  setFlagsFromString(`--heap-growing-percent=${percents[manner]}`)
  // By itself the engine collects whenever there are 64 MB more of buffers than there were, whoever needs them.
  setFlagsFromString(`--${manner === "rest" ? "" : "no-"}external-memory-accounted-in-global-limit`)
}

/** An ordinary collection keeps the pages that it has emptied, for the heap to grow into; the last resort does not. */
const lastResort = { type: "major", execution: "async", flavor: "last-resort" } as const

type Collect = (options: typeof lastResort) => Promise<void>

/** The engine gives pages back when it collects all of its heap, and does so of its own accord only when it grows. */
const collector = (): Collect => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as Collect
}

/** How much of a time its own thread has worked: on a host that others use it is awake while it waits for them, too. */
const shareOf = Effect.fnUntraced(function* (ms: number) {
  const before = yield* Clock.currentTimeMillis
  const since = process.threadCpuUsage()
  yield* Effect.sleep(ms)
  const { user, system } = process.threadCpuUsage(since)
  return (user + system) / 1000 / ((yield* Clock.currentTimeMillis) - before)
})

/** Waits for one in which next to nothing happens; where none comes, one moment is as good as another. */
const quietMoment = Effect.gen(function* () {
  for (let tries = 0; tries < momentsMax; tries++) if ((yield* shareOf(momentMs)) < momentShare) return
})

/** Of the process, without its buffers. */
const occupied = (): number => {
  const { rss, arrayBuffers } = process.memoryUsage()
  return rss - arrayBuffers
}

export const trimming: Effect.Effect<never> = Effect.gen(function* () {
  let collect: Collect | undefined
  let last = 0
  let manner: Manner = "busy"
  /** It has just come to rest: how much its heap may grow then is found out by a collection alone. */
  let isFresh = false
  /** The least that the process has had since the last collection, which gives back for some seconds on. */
  let least = occupied()
  for (;;) {
    const found = mannerOf(yield* shareOf(lookMs))
    const now = yield* Clock.currentTimeMillis
    if (found !== manner) letGrow(found)
    isFresh = found === "rest" && (isFresh || found !== manner)
    manner = found
    const bytes = occupied()
    least = Math.min(least, bytes)
    if (manner !== "rest" || now - last < againMs || !(isFresh || bytes >= least + worthBytes)) continue
    yield* quietMoment
    last = now
    isFresh = false
    least = Number.POSITIVE_INFINITY
    collect ??= collector()
    const begun = collect(lastResort)
    yield* Effect.promise(() => begun)
  }
})
