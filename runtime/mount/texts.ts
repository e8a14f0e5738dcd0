/** What a mount tells of itself: its counters as lines of a name and a number, and its settings as JSON. */
import type { Meters } from "../files/data.ts"
import type { Metering } from "./metering.ts"
import type { Others } from "./others.ts"
import type { SidecarOptions } from "./sidecar.ts"
import type { View } from "./view.ts"

interface Told {
  readonly view: View
  readonly others: Others
  readonly meters: Meters
  readonly metering: Metering
  readonly lagMs: number
  readonly upMs: number
}

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Reads that were answered from memory or disk, of all; 1 when there was none. */
const hitShare = ({ memoryHits, diskHits, storeReads }: Meters): number => {
  const hits = memoryHits + diskHits
  return hits + storeReads === 0 ? 1 : Math.round((hits / (hits + storeReads)) * 10_000) / 10_000
}

/** What is made before the workspace has heard of it. */
const aheadOf = ({ ahead }: View): Readonly<Record<string, number>> => {
  if (ahead === undefined) return {}
  const { depth, loans, counts } = ahead
  const told = Object.entries(counts).map(([name, value]) => [`ahead_${snake(name)}`, value] as const)
  return { loans, ahead_depth: depth, ...Object.fromEntries(told) }
}

export const statsText = ({ view, others, meters, metering, lagMs, upMs }: Told): string => {
  const { inodes } = view.tree
  const { user, system } = process.cpuUsage()
  const told: Readonly<Record<string, number>> = {
    up_ms: upMs,
    replica_version: view.version,
    replica_live: view.isLive ? 1 : 0,
    replica_lag_ms: lagMs,
    replica_inodes: inodes.live,
    replica_bytes: view.tree.bytes,
    replica_entries: view.entries,
    kernel_invalidations: view.invalidations,
    files_pending: view.pending.size,
    locks: view.tree.locks.size,
    sessions: view.tree.sessions.size,
    hosts: others.size,
    deaf: others.deaf,
    unseen: others.unseen,
    ...aheadOf(view),
    cache_hit_share: hitShare(meters),
    process_rss_bytes: process.memoryUsage.rss(),
    process_cpu_ms: Math.round((user + system) / 1000),
    ...metering.told
  }
  const counted = Object.entries(meters).map(([name, value]) => [`data_${snake(name)}`, value as number] as const)
  return `${[...Object.entries(told), ...counted].map(([name, value]) => `artifacts_${name} ${value}`).join("\n")}\n`
}

export const configText = ({ place, name, readOnly, storesLate = false, resumed, shown }: SidecarOptions): string =>
  `${JSON.stringify({ name, ...place, readOnly, writeback: storesLate, resumed, ...shown }, null, 2)}\n`
