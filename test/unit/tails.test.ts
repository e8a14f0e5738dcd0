/** The checker of tails is checked itself: what it has to find, and what it has to let pass. */
import { describe, expect, it } from "vitest"
import { type Content, type Op, tailFaults } from "../sim/tails.ts"

const append = (mark: string, start: number, end: number, tail: number | undefined): Op => ({
  ...{ who: `writer of ${mark}`, kind: "append", mark },
  ...{ start, end, tail }
})
const tail = (start: number, end: number, at: number): Op => ({ who: "reader", kind: "tail", start, end, tail: at })
const content: ReadonlyArray<Content> = [
  { mark: "a", end: 10 },
  { mark: "b", end: 20 }
]
const ab = [append("a", 0, 5, 10), append("b", 1, 6, 20)]

describe("histories of tails", () => {
  it("pass when some order explains them", () => {
    expect(tailFaults(ab, content)).toEqual([])
    expect(tailFaults([...ab, tail(2, 3, 0), tail(2, 3, 20), tail(7, 8, 20)], content)).toEqual([])
    const unanswered = append("b", 1, Number.POSITIVE_INFINITY, undefined)
    expect(tailFaults([ab[0] as Op, unanswered], content)).toEqual([])
    expect(tailFaults([ab[0] as Op, unanswered], content.slice(0, 1))).toEqual([])
  })

  it("fail when something was lost, doubled, or told wrongly", () => {
    expect(tailFaults(ab, content.slice(0, 1))).toHaveLength(1)
    expect(tailFaults(ab, [...content, { mark: "a", end: 30 }]).length).toBeGreaterThan(0)
    expect(tailFaults([append("a", 0, 5, 11), ab[1] as Op], content)).toHaveLength(1)
    expect(tailFaults([...ab, tail(2, 3, 15)], content)).toHaveLength(1)
  })

  it("fail when a read is older than what was told before it, or an append stands before what was there", () => {
    expect(tailFaults([...ab, tail(7, 8, 10)], content)).toHaveLength(1)
    expect(tailFaults([...ab, tail(2, 3, 20), tail(4, 5, 10)], content)).toHaveLength(1)
    expect(tailFaults([append("b", 0, 1, 20), append("a", 2, 3, 10)], content)).toHaveLength(1)
    expect(tailFaults([tail(0, 1, 20), append("a", 2, 3, 10), append("b", 2, 3, 20)], content)).toHaveLength(2)
  })
})
