/** How the mounts of this host are: a mount is asked for its own counters, and whoever waits is not held up by one. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { Effect } from "effect"
import { type Found, type MountRecord, mounts } from "../node/place.ts"

/** What the table says of each, worst first. */
const texts = {
  lost: "lost: its process is gone",
  silent: "silent: it does not answer",
  unstored: "unstored: what is written cannot be stored for now",
  behind: "behind: the node is out of reach",
  mounted: "mounted"
}
export type MountHealth = keyof typeof texts

export interface Seen extends MountRecord {
  readonly health: MountHealth
}

/** A mount in order answers within a millisecond; one whose process is being replaced within a second or two. */
const patienceMs = 3_000

/**
 * Or `silent`, or `secret` where another user may not read them. Read by another process, which can be ended: a thread
 * of this one that asks a mount could not be.
 */
const statsOf = (directory: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const options = { timeout: patienceMs, killSignal: "SIGKILL" } as const
    const reader = execFile("cat", [join(directory, ".stats")], options, (failed, text) =>
      resume(Effect.succeed(failed === null ? text : failed.killed === true ? "silent" : "secret"))
    )
    return Effect.sync(() => reader.kill("SIGKILL"))
  })

const counter = (stats: string, name: string): number | undefined => {
  const line = stats.split("\n").find((line) => line.startsWith(`artifacts_${name} `))
  return line === undefined ? undefined : Number(line.slice(line.indexOf(" ")))
}

const healthOf = (stats: string): MountHealth => {
  if (stats === "silent") return "silent"
  if (counter(stats, "data_storing_fails") === 1) return "unstored"
  return counter(stats, "replica_live") === 0 ? "behind" : "mounted"
}

/** Counters that another user's mount keeps to itself leave it at being mounted. */
const seen = (found: Found): Effect.Effect<Seen> =>
  found.health === "lost"
    ? Effect.succeed({ ...found, health: "lost" })
    : Effect.map(statsOf(found.directory), (stats) => ({ ...found, health: healthOf(stats) }))

export const seenMounts = (env: Readonly<Record<string, string | undefined>>): Effect.Effect<ReadonlyArray<Seen>> =>
  Effect.forEach(mounts(env), seen, { concurrency: 16 })

export const healthText = ({ health, log }: Seen): string =>
  health === "mounted" || log === undefined ? texts[health] : `${texts[health]} (${log})`
