/** How often something is done in a second, by so many at once, and how long each takes. */
import { performance } from "node:perf_hooks"

export interface Rate {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  /** Processor time of this process for each. */
  readonly clientUs: number
  /** With those before that do not count. */
  readonly all: number
}

/** What runs cold is compiled beside it, on the same processors, and is quicker again after some tens of thousands. */
export const warmCount = (lanes: number): number => (lanes > 1 ? 60_000 : 1_000)
const warmMsMax = 15_000

const round = (value: number): number => Number(value.toPrecision(4))

/** Each lane does one at a time; `each` of what is counted is done by one call. */
export const rate = async (
  { lanes, ms, each = 1 }: { readonly lanes: number; readonly ms: number; readonly each?: number },
  send: (lane: number) => Promise<void>
): Promise<Rate> => {
  const times: Array<number> = []
  let all = 0
  let most = warmCount(lanes) / each
  const run = async (lane: number, until: number): Promise<void> => {
    while (performance.now() < until && times.length < most) {
      const from = performance.now()
      await send(lane)
      times.push(performance.now() - from)
      all += each
    }
  }
  const runAll = (until: number) => Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane, until)))
  await runAll(performance.now() + warmMsMax)
  times.length = 0
  most = Number.POSITIVE_INFINITY
  const own = process.cpuUsage()
  const from = performance.now()
  await runAll(from + ms)
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(own)
  times.sort((a, b) => a - b)
  const at = (q: number): number => round(times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0)
  const count = times.length * each
  const clientUs = round((user + system) / count)
  return { perSecond: round(count / seconds), p50: at(0.5), p99: at(0.99), clientUs, all }
}
