/** Nodes on three nats-servers under load: killed, stopped, frozen, and one of the servers killed under them. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { harmed } from "./cluster.ts"
import { have } from "./servers.ts"

describe.skipIf(!have("test/real/cluster.test.ts", "nats"))("nodes on a NATS cluster", () => {
  it("lose nothing and apply nothing twice, whoever dies", async () => {
    const list = ["node stop", "node kill", "node freeze", "nats kill"] as const
    const told = await Effect.runPromise(Effect.scoped(harmed(list, 2, () => {})))
    const gaps = told.harmed.map(({ harm, gapMs, returnGapMs }) => `${harm} ${gapMs} (back: ${returnGapMs})`)
    process.stderr.write(`cluster: ${told.acknowledged} acknowledged; longest gaps in ms: ${gaps.join(", ")}\n`)
    expect(told.faults).toEqual([])
    expect(told.complaints).toEqual([])
    expect(told).toMatchObject({ found: told.acknowledged, duplicates: 0, unanswered: 0 })
    expect(told.acknowledged).toBeGreaterThan(1_000)
    const end = told.harmed.find(({ harm }) => harm === "node stop")?.endMs
    expect(end).toBeLessThan(5_000)
  })
})
