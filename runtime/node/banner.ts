/** What `up` prints once it serves: where it is, what its promises are, and what to type next. */
import type { Health } from "../http/health.ts"

export const durabilityText: Readonly<Record<Health["durability"], string>> = {
  memory: "memory: nothing survives this process",
  process: "process: what is acknowledged survives kill -9, not power loss",
  sync: "sync: what is acknowledged survives power loss",
  replicated: "replicated: a majority holds what is acknowledged; power loss of a majority may cost the last minute",
  "replicated-sync": "replicated-sync: a majority holds what is acknowledged, on disk"
}

export interface Shown {
  readonly health: Health
  readonly http: string
  readonly data: string
  /** How the data directory has to be named to the next command, when it is not the usual one. */
  readonly dataFlag: string
  readonly isReady: boolean
  /** What runs this program. */
  readonly command: string
}

export const banner = ({ health, http, data, dataFlag, isReady, command }: Shown): string => {
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["nats", health.bus],
    ["http", http],
    ["data", data],
    ["objects", health.objects],
    ["durability", durabilityText[health.durability]],
    [
      "shards",
      `${health.shards.held.length} of ${health.shards.total} served here${isReady ? "" : " so far: see the log"}`
    ]
  ]
  const lines = rows.map(([name, value]) => `  ${name.padEnd(11)}${value}`)
  return [
    `artifacts ${health.version} is up: node ${health.node}, process ${health.pid}`,
    "",
    ...lines,
    "",
    "Next, in another terminal:",
    `  ${command} workspace create demo${dataFlag}`,
    `  ${command} workspace list${dataFlag}`,
    `  curl ${http}/healthz`,
    ""
  ].join("\n")
}
