/** Dues against a list that is sorted each time: whatever is set, taken back and given out. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Dues } from "../../runtime/actor/dues.ts"

const key = fc.integer({ min: 0, max: 8 }).map((n) => `bank/${n}`)
const time = fc.integer({ min: 0, max: 60 })

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("set" as const), key, at: time }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("take" as const), at: time }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("met" as const), key }) }
)

describe("dues", () => {
  it("agree with a sorted list", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const dues = new Dues()
        const model = new Map<string, number>()
        const taken = new Map<string, number>()
        for (const each of steps) {
          if (each.do === "set") {
            dues.set(each.key, each.at)
            taken.delete(each.key)
            if (each.at === 0) model.delete(each.key)
            else model.set(each.key, each.at)
          } else if (each.do === "met") {
            dues.met(each.key)
            taken.delete(each.key)
          } else {
            const sorted = [...model].filter(([, at]) => at <= each.at).sort(([, a], [, b]) => a - b)
            const given = dues.takeDue(each.at)
            expect(given.toSorted()).toEqual(sorted.map(([name]) => name).sort())
            expect(given.map((name) => model.get(name))).toEqual(sorted.map(([, at]) => at))
            for (const [name, at] of sorted) {
              model.delete(name)
              taken.set(name, at)
            }
          }
          expect(dues.size).toBe(model.size)
          expect(dues.next).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
          // Whoever is under way and due again counts for the later word: it stands last.
          expect(new Map(dues.entries())).toEqual(new Map([...taken, ...model]))
          expect(dues.waste).toBeLessThanOrEqual(model.size + 65)
        }
      })
    )
  })
})
