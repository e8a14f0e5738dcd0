/** Streams in simulated worlds: under faults, every tail that a node told is one, and nothing is lost or doubled. */
import { describe, expect, it } from "vitest"
import { runStreams, streamPlanOf } from "./streams.ts"

describe("streams in simulated worlds", () => {
  it("are linearizable through every node, while they move into segments", { timeout: 120_000 }, () => {
    const reached = new Map<string, number>()
    for (let seed = 1; seed <= 40; seed++) {
      const told = runStreams(streamPlanOf(seed))
      expect(told.faults, `seed ${seed}`).toEqual([])
      expect(told.ops).toBeGreaterThan(50)
      for (const [what, times] of told.reached) reached.set(what, (reached.get(what) ?? 0) + times)
    }
    for (const what of ["killed", "sealed", "bus lost", "objects lost", "journal lostAck"])
      expect(reached.get(what) ?? 0, what).toBeGreaterThan(0)
  })
})
