/** Streams in simulated worlds: under faults, every tail that a node told is one, and nothing is lost or doubled. */
import { describe, expect, it } from "vitest"
import { Replicas } from "../../runtime/streams/replicas.ts"
import type { Plan } from "./plan.ts"
import { runStreams, streamPlanOf } from "./streams.ts"

/** Owners that cannot renew their leases, and appends that are long under way meanwhile, are what a fence is for. */
const inDoubt = (plan: Plan): Plan => {
  const forMs = 2_500
  const cuts = Array.from({ length: 8 }, (_, index) => {
    return { atMs: 500 + index * (forMs + 700), forMs, node: index % plan.nodes, service: "registry" as const }
  })
  const journal = { ...plan.faults.journal, delayMsMax: 60, slow: 0.4 }
  return { ...plan, cuts: [...plan.cuts, ...cuts], faults: { ...plan.faults, journal } }
}

describe("streams in simulated worlds", () => {
  it("are linearizable through every node, while they move into segments", { timeout: 120_000 }, () => {
    const reached = new Map<string, number>()
    for (let seed = 1; seed <= 40; seed++) {
      const told = runStreams(streamPlanOf(seed))
      expect(told.faults, `seed ${seed}`).toEqual([])
      expect(told.ops).toBeGreaterThan(50)
      for (const [what, times] of told.reached) reached.set(what, (reached.get(what) ?? 0) + times)
    }
    for (const what of ["killed", "sealed", "merged", "deleted", "bus lost", "objects lost", "journal lostAck"])
      expect(reached.get(what) ?? 0, what).toBeGreaterThan(0)
  })

  it("are not without the fence, so that the checker is known to see", { timeout: 120_000 }, () => {
    const isSeen = (seed: number): boolean => {
      try {
        // In such a world objects are left behind with a fence too, and it need not come to an end.
        return runStreams(inDoubt(streamPlanOf(seed, false))).faults.some((fault) => !fault.endsWith("left behind"))
      } catch {
        return false
      }
    }
    expect(Array.from({ length: 100 }, (_, index) => 1000 + index).some(isSeen)).toBe(true)
  })

  it("are not when a node answers from what it has folded so far, without asking the owner", () => {
    const { refresh } = Replicas.prototype
    Replicas.prototype.refresh = function (partition, done) {
      if (this.state(partition) === undefined) refresh.call(this, partition, done)
      else done(true)
    }
    try {
      const isSeen = (seed: number): boolean => runStreams(streamPlanOf(seed)).faults.length > 0
      expect(Array.from({ length: 40 }, (_, index) => 1 + index).some(isSeen)).toBe(true)
    } finally {
      Replicas.prototype.refresh = refresh
    }
  })
})
