/** How much of a log lies behind: sums that truncation takes from, and where half of it is. */
import { describe, expect, it } from "vitest"
import { LogSize } from "../../runtime/actor/logsize.ts"

describe("the size of a log", () => {
  it("is nothing at first", () => {
    const size = new LogSize()
    expect([size.bytes, size.entries, size.middle]).toEqual([0, 0, 0])
    size.truncated(100)
    expect([size.bytes, size.entries]).toEqual([0, 0])
  })

  it("sums bytes and entries exactly while nothing is truncated", () => {
    const size = new LogSize()
    for (let position = 1; position <= 5_000; position++) size.add(position, 100, 1)
    expect([size.bytes, size.entries]).toEqual([500_000, 5_000])
  })

  it("names a place that has about half of the bytes before it", () => {
    const size = new LogSize()
    for (let position = 1; position <= 100_000; position++) size.add(position, 100, 1)
    expect(size.middle).toBeGreaterThanOrEqual(50_000)
    expect(size.middle).toBeLessThan(52_000)
    const uneven = new LogSize()
    uneven.add(1, 1_000_000, 1)
    for (let position = 2; position <= 100; position++) uneven.add(position, 1, 1)
    expect(uneven.middle).toBe(1)
  })

  it("forgets what was truncated, never what was not", () => {
    const size = new LogSize()
    for (let position = 1; position <= 100_000; position++) size.add(position, 100, 1)
    size.truncated(50_001)
    expect(size.entries).toBeGreaterThanOrEqual(50_000)
    expect(size.entries).toBeLessThan(52_000)
    expect(size.bytes).toBe(size.entries * 100)
    size.truncated(100_000)
    expect(size.entries).toBeGreaterThanOrEqual(1)
    size.truncated(100_001)
    expect([size.bytes, size.entries, size.middle]).toEqual([0, 0, 0])
  })
})
