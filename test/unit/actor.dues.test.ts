/** Dues by themselves: the earliest first, rescheduled, taken out, and under way until they are met. */
import { describe, expect, it } from "vitest"
import { Dues } from "../../runtime/actor/dues.ts"

const dues = (...entries: ReadonlyArray<readonly [string, number]>): Dues => {
  const made = new Dues()
  for (const [key, at] of entries) made.set(key, at)
  return made
}

describe("dues", () => {
  it("name the earliest time, and nothing when nobody waits", () => {
    expect(new Dues().next).toBeUndefined()
    expect(dues(["a", 5], ["b", 3], ["c", 9]).next).toBe(3)
  })

  it("give out in the order of time whoever's time has come", () => {
    const some = dues(["a", 5], ["b", 3], ["c", 9], ["d", 5])
    expect(some.takeDue(2)).toEqual([])
    const [first, ...rest] = some.takeDue(5)
    expect(first).toBe("b")
    expect(rest.sort()).toEqual(["a", "d"])
    expect(some.next).toBe(9)
    expect(some.takeDue(100)).toEqual(["c"])
    expect(some.next).toBeUndefined()
    expect(some.takeDue(100)).toEqual([])
  })

  it("let an actor stand once, at the time it said last", () => {
    const some = dues(["a", 5], ["b", 7], ["a", 9], ["b", 2], ["c", 4], ["c", 0])
    expect(some.size).toBe(2)
    expect(some.next).toBe(2)
    expect(some.takeDue(8)).toEqual(["b"])
    expect(some.takeDue(9)).toEqual(["a"])
    some.set("a", 9)
    some.set("a", 0)
    some.set("a", 9)
    expect(some.takeDue(9)).toEqual(["a"])
    expect(some.takeDue(9)).toEqual([])
  })

  it("name one that was given out until it is met or says another time: a checkpoint taken meanwhile needs it", () => {
    const some = dues(["a", 5], ["b", 6])
    expect(some.takeDue(5)).toEqual(["a"])
    expect(some.entries().toSorted()).toEqual([
      ["a", 5],
      ["b", 6]
    ])
    some.met("a")
    expect(some.entries()).toEqual([["b", 6]])
    expect(some.takeDue(6)).toEqual(["b"])
    some.set("b", 8)
    expect(some.entries()).toEqual([["b", 8]])
    expect(some.takeDue(8)).toEqual(["b"])
    some.set("b", 0)
    expect(some.entries()).toEqual([])
  })

  it("do not grow when one actor changes its mind behind an earlier one for ever", () => {
    const some = dues(["early", 1])
    for (let at = 2; at < 50_000; at++) some.set("late", at)
    expect(some.size).toBe(2)
    expect(some.waste).toBeLessThan(1_000)
    expect(some.takeDue(49_998)).toEqual(["early"])
    expect(some.takeDue(49_999)).toEqual(["late"])
  })
})
