/** A bounded batch of worlds, and the control in which the fence is off. */
import { describe, expect, it } from "vitest"
import { runBatch, scenarios, unreached } from "./main.ts"

function* upFrom(first: number, count: number): Iterable<number> {
  for (let seed = first; seed < first + count; seed++) yield seed
}

describe("simulated worlds", () => {
  it("hold every invariant, and meet every fault", () => {
    const batch = runBatch(scenarios.actors, upFrom(1, 400), { fence: true, failuresMax: 1 })
    expect(batch.failures).toEqual([])
    expect(unreached(batch)).toEqual([])
  }, 120_000)

  it("fail without the fence, so that the checkers are known to see", () => {
    const batch = runBatch(scenarios.actors, upFrom(1, 200), { fence: false, failuresMax: 1 })
    expect(batch.failures.length).toBe(1)
  }, 120_000)

  it("of files lose nothing that was promised, and meet every fault", () => {
    const batch = runBatch(scenarios.files, upFrom(1, 90), { fence: true, failuresMax: 1 })
    expect(batch.failures).toEqual([])
    expect(unreached(batch)).toEqual([])
  }, 240_000)
})
