/** The window against a plain list of what was said, within its bounds. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { windowAnswersMax, windowBytesMax } from "../../messages/limits.ts"
import { outboxCaller, outboxId, Window } from "../../runtime/actor/window.ts"

const said = fc.record({
  id: fc.integer({ min: 0, max: 3_000 }).map(String),
  caller: fc.constantFrom("a", "b"),
  // Most answers are short; a few are so long that some of them together are too much.
  size: fc.oneof({ weight: 50, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: fc.constant(windowBytesMax / 5) })
})

describe("the window", () => {
  it("knows what was said last as far as its bounds go, and the first answer to it, also after a snapshot", () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 2_000, size: "max" }), fc.nat({ max: 2_000 }), (steps, savedAt) => {
        let window = new Window()
        const kept: Array<{ readonly key: string; readonly reply: string }> = []
        let bytes = 0
        for (const [index, { id, caller, size }] of steps.entries()) {
          if (index === savedAt) window = Window.load(JSON.parse(JSON.stringify(window.save())))
          const key = `${caller} ${id}`
          const known = kept.find((each) => each.key === key)
          expect(window.find(id, caller)).toBe(known?.reply)
          if (known !== undefined) continue
          const reply = `${index}`.padEnd(size, " ")
          window.remember(id, caller, reply)
          kept.push({ key, reply })
          bytes += key.length + reply.length
          while (kept.length > windowAnswersMax || (bytes > windowBytesMax && kept.length > 1)) {
            const oldest = kept.shift()
            bytes -= (oldest?.key.length ?? 0) + (oldest?.reply.length ?? 0)
          }
        }
        expect(window.save().answers).toEqual(kept.map(({ key, reply }) => [key, reply]))
      }),
      { numRuns: 20 }
    )
  })

  it("takes what an outbox sends in its order once, however often and from wherever it is sent again", () => {
    const place = fc.tuple(
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 2 })
    )
    fc.assert(
      fc.property(fc.array(place), fc.array(fc.nat(), { maxLength: 20 }), (places, restarts) => {
        const order = places.toSorted((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])
        const unique = new Set(order.map((each) => outboxId(...each)))
        let window = new Window()
        const applied: Array<string> = []
        const send = (from: number): void => {
          for (const each of order.slice(from)) {
            const id = outboxId(...each)
            if (window.find(id, outboxCaller) !== undefined) continue
            applied.push(id)
            window.remember(id, outboxCaller, "{}")
          }
        }
        send(0)
        for (const restart of restarts) {
          window = Window.load(window.save())
          send(order.length === 0 ? 0 : restart % order.length)
        }
        expect(applied).toEqual([...unique])
      })
    )
  })
})
