/** Appends under claims in simulated worlds: no worker's land once another one's claim was answered. */
import { describe, expect, it } from "vitest"
import { runClaims } from "./claims.ts"
import { streamPlanOf } from "./streams.ts"

describe("claims in simulated worlds", () => {
  it("end the appends of whoever had claimed before", { timeout: 120_000 }, () => {
    const sums = { claims: 0, landed: 0, refused: 0 }
    for (let seed = 1; seed <= 30; seed++) {
      const told = runClaims(streamPlanOf(seed))
      expect(told.faults, `seed ${seed}`).toEqual([])
      for (const name of ["claims", "landed", "refused"] as const) sums[name] += told[name]
    }
    expect(sums.claims).toBeGreaterThan(60)
    expect(sums.landed).toBeGreaterThan(300)
    expect(sums.refused).toBeGreaterThan(60)
  })

  it("do not where partitions are not told, so that the checker is known to see", { timeout: 120_000 }, () => {
    const isSeen = (seed: number): boolean => runClaims(streamPlanOf(seed), false).faults.length > 0
    expect(Array.from({ length: 60 }, (_, index) => 100 + index).some(isSeen)).toBe(true)
  })
})
