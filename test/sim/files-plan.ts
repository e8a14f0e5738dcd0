/** Everything that a seed decides before a world of files begins. */
import { Prng } from "../../adapters/world/prng.ts"
import { chunkBytes } from "../../messages/chunks.ts"
import { type Plan, planOf } from "./plan.ts"

export interface FilesPlan extends Plan {
  /** What each program does, in steps. */
  readonly steps: number
  readonly base: number
  readonly flock: boolean
  /** Which of the mounts have nothing to suffer from but that another one says nothing: they wait for it, and go on. */
  readonly isServed: ReadonlyArray<boolean>
  /** Which of the mounts hold no replica. */
  readonly bounded: ReadonlyArray<boolean>
  /** The processes that serve the mounts are killed. */
  readonly kills: ReadonlyArray<{ readonly step: number; readonly mount: number; readonly torn: boolean }>
  /** Whole hosts go down, and their disks are there again, or are not. */
  readonly falls: ReadonlyArray<{
    readonly atMs: number
    readonly mount: number
    readonly downMs: number
    readonly disk: boolean
  }>
  /** Mounts are cut off, some for longer than their session lives. */
  readonly lonely: ReadonlyArray<{
    readonly atMs: number
    readonly forMs: number
    readonly node: number
    readonly service: "bus" | "objects"
  }>
  readonly limits: ReadonlyArray<{
    readonly atMs: number
    readonly forMs: number
    readonly bytesMax: number
    readonly entriesMax: number
  }>
}

export const mounts = 2
/** Longer than a session lives without a sign of life. */
const longMs = { least: 62_000, most: 95_000 }

export const filesPlanOf = (seed: number, fence = true): FilesPlan => {
  const plan = usualPlanOf(seed, fence)
  const prng = new Prng(seed).fork("a host that says nothing")
  if (!prng.chance(0.08)) return plan
  const forMs = prng.between(longMs.least, longMs.most)
  const away = { atMs: prng.between(300, 6_000), forMs, node: 0, service: "bus" } as const
  const fine = { crashes: [], cuts: [], kills: [], falls: [], limits: [] }
  return { ...plan, ...fine, lonely: [away], bounded: plan.bounded.map(() => false), isServed: [false, true] }
}

const usualPlanOf = (seed: number, fence: boolean): FilesPlan => {
  const plan = planOf(seed, fence)
  const prng = new Prng(seed).fork("files plan")
  const modes = new Prng(seed).fork("modes of mounts")
  const isCalm = prng.chance(0.1)
  const some = (most: number): ReadonlyArray<undefined> => Array.from({ length: isCalm ? 0 : prng.below(most + 1) })
  const hasLong = prng.chance(0.4)
  return {
    ...plan,
    clients: [],
    nodes: 2,
    wipe: false,
    // Minutes pass here: what nodes do all the time they do less often.
    settings: {
      ...plan.settings,
      checkpointEveryMs: prng.between(200, 900),
      idleMs: prng.between(500, 20_000),
      outboxRecordMs: prng.between(50, 500)
    },
    crashes: some(2).map(() => ({ step: prng.between(300, 9_000), node: prng.below(2), downMs: prng.below(6_000) })),
    cuts: some(2).map(() => ({
      atMs: prng.below(12_000),
      forMs: prng.between(100, 9_000),
      node: prng.below(2),
      service: prng.pick(["bus", "journal", "objects", "registry"] as const)
    })),
    steps: prng.between(8, 24),
    base: prng.chance(0.5) ? 0 : chunkBytes - 160,
    flock: prng.chance(0.5),
    isServed: Array.from({ length: mounts }, () => false),
    bounded: Array.from({ length: mounts }, () => modes.chance(0.3)),
    kills: some(5).map(() => ({ step: prng.between(200, 9_000), mount: prng.below(mounts), torn: prng.chance(0.5) })),
    falls: some(1).map(() => ({
      atMs: prng.between(500, 9_000),
      mount: prng.below(mounts),
      downMs: prng.between(1_500, 8_000),
      disk: prng.chance(0.5)
    })),
    lonely: some(2).map((_, index) => ({
      atMs: prng.below(9_000),
      forMs: hasLong && index === 0 ? prng.between(longMs.least, longMs.most) : prng.between(100, 12_000),
      node: prng.below(mounts),
      service: prng.chance(0.6) || (hasLong && index === 0) ? "bus" : "objects"
    })),
    limits: some(1).map(() => ({
      atMs: prng.below(8_000),
      forMs: prng.between(500, 12_000),
      bytesMax: prng.between(1, 2_000),
      entriesMax: prng.between(1, 20)
    }))
  }
}
