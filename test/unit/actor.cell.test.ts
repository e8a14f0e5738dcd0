/** One actor in memory: entries in their order, and a snapshot that gives back all of it. */
import { describe, expect, it } from "vitest"
import type { Entry } from "../../messages/entry.ts"
import { Cell } from "../../runtime/actor/cell.ts"
import { bankLike } from "./hosted.ts"

const entry = (version: number, events: ReadonlyArray<unknown>, rest: Partial<Entry> = {}): Entry => ({
  kind: "bank",
  id: "a",
  version,
  cause: `cause-${version}`,
  caller: "c",
  at: 1_000 + version,
  due: 0,
  events: JSON.stringify(events),
  reply: `{"n":${version}}`,
  ...rest
})

const deposited = { _tag: "Deposited", amount: 5 }

const cellOf = (kind = bankLike()): Cell => {
  const cell = new Cell(kind, "a", "bank/a")
  cell.reset()
  return cell
}

const atOnce = <A>(steps: Generator<void, A>): A => {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
const saved = (cell: Cell): Uint8Array => Buffer.concat(atOnce(cell.saving()))
const loaded = (cell: Cell, bytes: Uint8Array): boolean => atOnce(cell.loading(bytes))

describe("a cell", () => {
  it("applies entries one after another, and remembers their answers, their time and what is due", () => {
    const cell = cellOf()
    cell.apply(entry(1, [deposited]))
    cell.apply(entry(2, [deposited, deposited], { due: 77 }))
    expect(cell.state).toEqual({ moves: 3, balance: 15, saved: 0, until: 0 })
    expect([cell.version, cell.at, cell.due]).toEqual([2, 1_002, 77])
    expect(cell.window.find("cause-1", "c")).toBe('{"n":1}')
  })

  it("takes a version that does not follow for a gap, and says between which", () => {
    const cell = cellOf()
    cell.apply(entry(1, [deposited]))
    expect(() => cell.apply(entry(3, [deposited]))).toThrow("version 3 follows version 1: something between is missing")
    expect(() => cell.apply(entry(1, [deposited]))).toThrow("version 1 follows version 1")
  })

  it("names an event that does not decode, or has a field too many", () => {
    const cell = cellOf()
    expect(() => cell.apply(entry(1, [{ _tag: "Lost" }]))).toThrow("an event of bank does not decode")
    expect(() => cell.apply(entry(1, [{ ...deposited, extra: 1 }]))).toThrow("extra")
    expect(cell.version).toBe(0)
  })

  it("gives all of itself to a snapshot and takes it back", () => {
    const cell = cellOf()
    cell.apply(entry(1, [deposited], { due: 88 }))
    const bytes = saved(cell)
    const other = cellOf()
    // What a store gives back may lie anywhere in a larger piece of memory.
    const within = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)]).subarray(3, 3 + bytes.length)
    expect(loaded(other, within)).toBe(true)
    expect(other.state).toEqual(cell.state)
    expect([other.version, other.at, other.due]).toEqual([1, 1_001, 88])
    expect(other.window.find("cause-1", "c")).toBe('{"n":1}')
    other.apply(entry(2, [deposited]))
    expect(other.version).toBe(2)
  })

  it("leaves a snapshot of another form alone", () => {
    const cell = cellOf()
    cell.apply(entry(1, [deposited]))
    const newer = cellOf(bankLike({ snapshotVersion: 2 }))
    expect(loaded(newer, saved(cell))).toBe(false)
    expect(newer.version).toBe(0)
  })

  it("goes back to nothing for a replay", () => {
    const cell = cellOf()
    cell.apply(entry(1, [deposited], { due: 5 }))
    cell.reset()
    expect([cell.stage, cell.version, cell.at, cell.due]).toEqual(["waking", 0, 0, 0])
    expect(cell.state).toEqual({ moves: 0, balance: 0, saved: 0, until: 0 })
    expect(cell.window.find("cause-1", "c")).toBeUndefined()
  })
})
