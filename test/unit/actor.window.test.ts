/** The window of answers: what a retry is answered from, within which bounds, and per sender. */
import { describe, expect, it } from "vitest"
import { windowAnswersMax, windowBytesMax } from "../../messages/limits.ts"
import { outboxCaller, outboxId, Window } from "../../runtime/actor/window.ts"

describe("the window", () => {
  it("gives a command's first answer again, also after it was saved and loaded", () => {
    const window = new Window()
    expect(window.find("1", "c")).toBeUndefined()
    window.remember("1", "c", '{"a":1}')
    expect(window.find("1", "c")).toBe('{"a":1}')
    const loaded = Window.load(JSON.parse(JSON.stringify(window.save())))
    expect(loaded.find("1", "c")).toBe('{"a":1}')
    expect(loaded.find("2", "c")).toBeUndefined()
    expect(loaded.save()).toEqual(window.save())
  })

  it("keeps callers apart: nobody hears or takes away another's answer by choosing the same id", () => {
    const window = new Window()
    window.remember("1", "mallory", '"bad"')
    expect(window.find("1", "alice")).toBeUndefined()
    window.remember("1", "alice", '"good"')
    expect(window.find("1", "alice")).toBe('"good"')
    expect(Window.load(window.save()).find("1", "mallory")).toBe('"bad"')
  })

  it("forgets the oldest answer when there are too many", () => {
    const window = new Window()
    for (let id = 0; id <= windowAnswersMax; id++) window.remember(String(id), "c", "{}")
    expect(window.find("0", "c")).toBeUndefined()
    expect(window.find("1", "c")).toBe("{}")
    expect(window.find(String(windowAnswersMax), "c")).toBe("{}")
    expect(window.save().answers).toHaveLength(windowAnswersMax)
  })

  it("forgets the oldest answers when they are too large together, and keeps one that is alone too large", () => {
    const window = new Window()
    const third = "x".repeat(windowBytesMax / 3)
    for (const id of ["1", "2", "3"]) window.remember(id, "c", third)
    expect(window.find("1", "c")).toBeUndefined()
    expect(window.find("2", "c")).toBe(third)
    window.remember("4", "c", "y".repeat(2 * windowBytesMax))
    expect(window.find("3", "c")).toBeUndefined()
    expect(window.find("4", "c")).toHaveLength(2 * windowBytesMax)
    window.remember("5", "c", "{}")
    expect(window.find("4", "c")).toBeUndefined()
    expect(window.find("5", "c")).toBe("{}")
  })

  it("counts an answer once that is given again", () => {
    const window = new Window()
    const half = "x".repeat(windowBytesMax / 2 - 100)
    window.remember("1", "c", half)
    for (let time = 0; time < 10; time++) window.remember("2", "c", half)
    expect(window.find("1", "c")).toBe(half)
    expect(window.find("2", "c")).toBe(half)
  })

  it("knows of each outbox the last place alone, and everything before it as done", () => {
    const window = new Window()
    expect(window.find(outboxId(3, 10, 0), outboxCaller)).toBeUndefined()
    window.remember(outboxId(3, 10, 1), outboxCaller, "{}")
    for (const [position, index, isOld] of [
      [9, 5, true],
      [10, 0, true],
      [10, 1, true],
      [10, 2, false],
      [11, 0, false]
    ] as const) {
      const found = window.find(outboxId(3, position, index), outboxCaller)
      expect(found, `${position}.${index}`).toBe(isOld ? "{}" : undefined)
    }
    expect(window.find(outboxId(4, 9, 0), outboxCaller)).toBeUndefined()
    expect(window.save()).toEqual({ answers: [], sources: [["3", 10, 1]] })
    expect(Window.load(window.save()).find(outboxId(3, 10, 1), outboxCaller)).toBe("{}")
  })

  it("does not take an id that looks like an outbox's from anybody else for one", () => {
    const window = new Window()
    window.remember(outboxId(3, 10, 1), "c", '"mine"')
    expect(window.find(outboxId(3, 10, 1), outboxCaller)).toBeUndefined()
    expect(window.find(outboxId(3, 10, 1), "c")).toBe('"mine"')
    window.remember("not from an outbox", outboxCaller, "{}")
    expect(window.find("not from an outbox", outboxCaller)).toBeUndefined()
  })
})
