/** Kills a node on its own at random moments under load: all that it acknowledged is found, nothing is there twice. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { crashed } from "./embedded.ts"

describe("a node on its own, killed under load", () => {
  for (const durability of ["sync", "process"] as const) {
    it(`keeps what it acknowledged, and applies nothing twice (${durability})`, async () => {
      const { faults, gapsMs, startsMs, stopMs, ...told } = await Effect.runPromise(
        Effect.scoped(crashed({ kills: 3, durability }))
      )
      process.stderr.write(
        `crash, ${durability}: ${told.acknowledged} acknowledged, gaps ${gapsMs.join(", ")} ms,` +
          ` starts ${startsMs.join(", ")} ms, stop ${stopMs} ms\n`
      )
      expect(faults).toEqual([])
      expect(told).toEqual({
        acknowledged: told.acknowledged,
        found: told.acknowledged,
        duplicates: 0,
        unanswered: 0,
        complaints: []
      })
      expect(told.acknowledged).toBeGreaterThan(200)
      expect(stopMs).toBeLessThan(5_000)
    })
  }
})
