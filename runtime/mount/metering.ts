/** How many requests there were of each kind, how long those took that had to wait, and a line for each of those. */
import { Effect, Exit } from "effect"
import type { Answer, AsyncFiles, Errno, Request } from "../ports/mount.ts"
import { accessLine } from "./accessline.ts"
import type { Own } from "./own.ts"
import type { FromReplica } from "./telling.ts"
import { isVirtual } from "./virtual.ts"

/** Times are told by powers of two of a microsecond; the last one is more than an hour. */
const bucketsMax = 33

class Times {
  count = 0
  failed = 0
  sumUs = 0
  maxUs = 0
  private readonly buckets = new Uint32Array(bucketsMax)

  add(us: number, isFailed: boolean): void {
    this.count += 1
    if (isFailed) this.failed += 1
    this.sumUs += us
    this.maxUs = Math.max(this.maxUs, us)
    const at = us < 1 ? 0 : Math.min(bucketsMax - 1, Math.ceil(Math.log2(us)))
    this.buckets[at] = (this.buckets[at] as number) + 1
  }

  /** So many of them took no longer than this, to the next power of two. */
  quantile(share: number): number {
    let left = Math.ceil(this.count * share)
    for (let at = 0; at < bucketsMax; at++) {
      left -= this.buckets[at] as number
      if (left <= 0) return Math.min(2 ** at, Math.round(this.maxUs))
    }
    return 0
  }
}

export class Metering {
  private readonly late = new Map<string, Times>()
  private atOnce: Readonly<Record<string, number>> = {}

  answered(counts: Readonly<Record<string, number>>): void {
    this.atOnce = counts
  }

  timed(op: string, us: number, isFailed: boolean): void {
    let times = this.late.get(op)
    if (times === undefined) {
      times = new Times()
      this.late.set(op, times)
    }
    times.add(us, isFailed)
  }

  /** Names and numbers: of each kind all requests, and of those that waited for something how long that was. */
  get told(): Readonly<Record<string, number>> {
    const told: Record<string, number> = {}
    let total = 0
    for (const [op, count] of Object.entries(this.atOnce)) {
      if (count > 0) told[`ops_${op}`] = count
      total += count
    }
    for (const [op, times] of this.late) {
      told[`ops_${op}_late`] = times.count
      if (times.failed > 0) told[`ops_${op}_late_failed`] = times.failed
      told[`ops_${op}_late_us_mean`] = Math.round(times.sumUs / times.count)
      told[`ops_${op}_late_us_p50`] = times.quantile(0.5)
      told[`ops_${op}_late_us_p99`] = times.quantile(0.99)
      told[`ops_${op}_late_us_max`] = Math.round(times.maxUs)
    }
    return { ops: total, ...told }
  }
}

type Handler = (request: Request, later: unknown) => Effect.Effect<Answer, Errno>

/** The file system with everything that it answers measured, and told while somebody reads `.accesslog`. */
export const metered = (
  { heard, ...handlers }: AsyncFiles,
  to: { readonly metering: Metering; readonly own: Own; readonly nowMs: () => number }
): AsyncFiles => {
  const { metering, nowMs, own } = to
  const ended = (request: Request, since: number, exit: Exit.Exit<Answer, Errno>): void => {
    const until = nowMs()
    metering.timed(request.op, (until - since) * 1000, Exit.isFailure(exit))
    if (!own.isListening) return
    const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
    const failure = Exit.isFailure(exit) ? (reason?._tag === "Fail" ? reason.error : "EINTR") : undefined
    const answer = Exit.isSuccess(exit) ? exit.value : undefined
    own.line(accessLine(request, { answer, failure }, [since, until]))
  }
  const all = Object.entries(handlers).map(([op, each]) => {
    const handler = each as unknown as Handler
    const timed = (request: Request, later: unknown) => {
      if (isVirtual(request.node)) return handler(request, later)
      const since = nowMs()
      return Effect.onExit(handler(request, later), (exit) => Effect.sync(() => ended(request, since, exit)))
    }
    return [op, timed] as const
  })
  return {
    ...(Object.fromEntries(all) as AsyncFiles),
    heard: (message) => {
      const told = message as FromReplica
      if (told.kind === "answered") metering.answered(told.counts)
      else if (told.kind === "line") own.line(told.line)
      else heard?.(message)
    }
  }
}
