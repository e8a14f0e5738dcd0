/** What a node counts and measures, as Prometheus scrapes it. */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, type Scope } from "effect"
import { format } from "effect/observability/PrometheusMetrics"
import type { Placement } from "../placement/hosting.ts"
import { sendText } from "./exchange.ts"
import type { Route } from "./router.ts"

export interface Gauge {
  readonly name: string
  readonly help: string
  /** A counter only grows while the process lives. */
  readonly type: "gauge" | "counter"
  readonly value: number
}

const gauge = (name: string, help: string, value: number): Gauge => ({ name, help, type: "gauge", value })

const sum = <T>(all: ReadonlyArray<T>, of: (each: T) => number): number =>
  all.reduce((total, each) => total + of(each), 0)

const ofShards = (placement: Placement): ReadonlyArray<Gauge> => {
  const held = placement.held()
  return [
    gauge(
      "artifacts_mailbox_depth",
      "Commands and queries that wait for their actor",
      sum(held, (each) => each.waiting)
    ),
    gauge(
      "artifacts_actors",
      "Actors in memory",
      sum(held, (each) => each.actors)
    ),
    gauge("artifacts_shards_held", "Shards that this node serves", held.length),
    gauge(
      "artifacts_log_bytes",
      "Bytes of the logs that no snapshot covers yet",
      sum(held, (each) => each.logBytes)
    ),
    gauge("artifacts_ready", "1 while every shard that should be served here is", placement.isReady() ? 1 : 0)
  ]
}

const ofProcess = (lagMs: number): ReadonlyArray<Gauge> => {
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return [
    gauge("process_resident_memory_bytes", "Resident memory", rss),
    gauge("nodejs_heap_used_bytes", "Heap in use", heapUsed),
    gauge("nodejs_external_memory_bytes", "Memory of buffers outside of the heap", external),
    gauge(
      "nodejs_eventloop_lag_seconds",
      "The 99th percentile of how late the event loop was, since the last scrape",
      lagMs / 1000
    ),
    gauge("process_start_time_seconds", "When the process started", Math.round(Date.now() / 1000 - process.uptime())),
    { name: "process_cpu_seconds_total", help: "Processor time", type: "counter", value: (user + system) / 1e6 }
  ]
}

const written = ({ name, help, type, value }: Gauge): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`

/** Nanoseconds of its own timer's period are in what the monitor measures. */
const resolutionMs = 20

export const metrics = (
  placement: Placement,
  more: () => ReadonlyArray<Gauge>
): Effect.Effect<Route, never, Scope.Scope> =>
  Effect.gen(function* () {
    const loop = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const monitor = monitorEventLoopDelay({ resolution: resolutionMs })
        monitor.enable()
        return monitor
      }),
      (monitor) => Effect.sync(() => monitor.disable())
    )
    const scrape = Effect.gen(function* () {
      const counted = yield* format()
      const lagMs = Math.max(0, loop.percentile(99) / 1e6 - resolutionMs)
      loop.reset()
      return counted + [...ofShards(placement), ...more(), ...ofProcess(lagMs)].map(written).join("")
    })
    return {
      path: "/metrics",
      methods: {
        GET: (exchange) =>
          Effect.map(scrape, (text) => sendText(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", text))
      }
    }
  })
