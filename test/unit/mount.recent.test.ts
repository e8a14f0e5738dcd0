/** What others changed just now is answered, and not kept by a kernel that may not know it yet. */
import { describe, expect, it } from "vitest"
import { Recent } from "../../runtime/mount/recent.ts"

const unlinked = (parent: number, ino: number) => ({ _tag: "Unlinked", parent, ino, name: "n" }) as never

describe("what others changed", () => {
  it("is recent for a turn at least, and two at most, with the directories that it is in", () => {
    let now = 10_000
    const recent = new Recent(() => now)
    expect(recent.has(7)).toBe(false)
    recent.changed(unlinked(1, 7))
    expect([recent.has(7), recent.has(1), recent.has(8)]).toEqual([true, true, false])
    now += 1_000
    recent.changed(unlinked(2, 8))
    expect([recent.has(7), recent.has(8)]).toEqual([true, true])
    now += 999
    expect(recent.has(7)).toBe(true)
    now += 1
    expect([recent.has(7), recent.has(8), recent.has(2)]).toEqual([false, true, true])
  })

  it("is forgotten when it is told to be", () => {
    const recent = new Recent(() => 10_000)
    recent.changed(unlinked(1, 7))
    recent.forget()
    expect([recent.has(7), recent.has(1)]).toEqual([false, false])
  })

  it("is forgotten where nothing changed for long", () => {
    let now = 0
    const recent = new Recent(() => now)
    recent.changed(unlinked(1, 7))
    now += 5_000
    expect(recent.has(7)).toBe(false)
  })
})
