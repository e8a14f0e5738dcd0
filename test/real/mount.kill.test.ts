/** The process that serves a mount is killed in the middle of reads and writes, and nobody loses anything. */
import { describe, expect, it } from "vitest"
import { killed } from "./files-kills.ts"
import { noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`kills under a mount are not tested: ${why}`)

describe.skipIf(why !== undefined)("a mount whose process is killed", () => {
  it("pauses, and keeps what was accepted and what was flushed", { timeout: 240_000 }, async () => {
    const told = await killed({ kills: 6, pauseMs: 1_500, applications: 2 })
    expect(told.errors).toEqual([])
    expect(told.wrong).toEqual([])
    expect(told.operations).toBeGreaterThan(500)
    expect(told.longestPauseMs).toBeLessThan(60_000)
  })
})
