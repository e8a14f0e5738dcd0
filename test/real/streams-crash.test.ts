/** Streams under kill -9 of their owner: what is acknowledged is there, once, and every tail that was told was one. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { have } from "./servers.ts"
import { type Killed, killedAlone, killedInCluster } from "./streams-kills.ts"

const expectKept = (told: Killed): void => {
  process.stderr.write(`streams under kills: ${JSON.stringify(told)}\n`)
  expect(told.faults).toEqual([])
  expect(told.complaints).toEqual([])
  expect(told).toMatchObject({ found: told.acknowledged, duplicates: 0 })
  expect(told.acknowledged).toBeGreaterThan(100)
  expect(told.tailReads).toBeGreaterThan(100)
  expect(told.segments).toBeGreaterThan(0)
}

describe("streams of a node that is killed", () => {
  it("keep what was acknowledged, also while they move into segments", { timeout: 120_000 }, async () => {
    expectKept(await Effect.runPromise(Effect.scoped(killedAlone({ kills: 3, everyMs: 1_500, hotBytes: 5_000 }))))
  })
})

describe.skipIf(!have("test/real/streams-crash.test.ts", "nats"))(
  "streams of a cluster whose owners are killed",
  () => {
    it("keep what was acknowledged, and are told alike by every node", { timeout: 180_000 }, async () => {
      expectKept(await Effect.runPromise(Effect.scoped(killedInCluster({ kills: 2, everyMs: 4_000, hotBytes: 5_000 }))))
    })
  }
)
