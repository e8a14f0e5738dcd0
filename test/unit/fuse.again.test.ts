/** What the kernel did not know when it was told is told again, until it knows it or has surely nothing to forget. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { tellAgain } from "../../adapters/fuse/again.ts"

describe("what the kernel did not know", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("is told three times more, later each time", () => {
    const told: Array<number> = []
    const again = tellAgain((ino) => {
      told.push(ino)
      return false
    })
    again(5)
    again(5)
    expect(told).toEqual([])
    for (const [ms, times] of [
      [20, 1],
      [500, 2],
      [5_000, 3],
      [60_000, 3]
    ] as const) {
      vi.advanceTimersByTime(ms)
      expect(told).toEqual(Array.from({ length: times }, () => 5))
    }
  })

  it("is left alone once it was known", () => {
    const told: Array<number> = []
    const again = tellAgain((ino) => told.push(ino) > 0 && ino === 6)
    again(6)
    again(7)
    vi.advanceTimersByTime(60_000)
    expect(told).toEqual([6, 7, 7, 7])
  })
})
