/** What followers may ask for again: the last committed entries of an actor, within bounds, and its state in parts. */
import { describe, expect, it } from "vitest"
import type { Entry } from "../../messages/entry.ts"
import { Recent } from "../../runtime/actor/recent.ts"

const entry = (version: number, bytes = 0): Entry => ({
  kind: "bank",
  id: "a",
  version,
  cause: "x",
  caller: "c",
  at: 1,
  due: 0,
  events: JSON.stringify(["e".repeat(bytes)]),
  reply: "{}"
})

const versions = (text: string | undefined): ReadonlyArray<number> | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as ReadonlyArray<Entry>).map(({ version }) => version)

const message = 1024 * 1024

describe("recent entries", () => {
  it("are those behind a version, from the one on at which the actor came into memory", () => {
    const recent = new Recent(5)
    expect(recent.last).toBe(5)
    expect(versions(recent.since(5, message))).toEqual([])
    expect(versions(recent.since(4, message))).toBeUndefined()
    for (const version of [6, 7, 8]) recent.add(version * 10, entry(version))
    expect(recent.last).toBe(8)
    expect(versions(recent.since(5, message))).toEqual([6, 7, 8])
    expect(versions(recent.since(7, message))).toEqual([8])
    expect(versions(recent.since(8, message))).toEqual([])
    expect(versions(recent.since(99, message))).toEqual([])
    expect(versions(recent.since(4, message))).toBeUndefined()
  })

  it("come as many as fit, one at least", () => {
    const recent = new Recent(0)
    for (const version of [1, 2, 3]) recent.add(version, entry(version, 1_000))
    expect(versions(recent.since(0, 2_500))).toEqual([1, 2])
    expect(versions(recent.since(2, 10))).toEqual([3])
  })

  it("fit by their bytes, not by their characters", () => {
    const recent = new Recent(0)
    for (const version of [1, 2, 3])
      recent.add(version, { ...entry(version), events: JSON.stringify(["ü".repeat(message / 3)]) })
    const text = recent.since(0, message) ?? ""
    expect(versions(text)).toEqual([1])
    expect(Buffer.byteLength(text)).toBeLessThan(message)
  })

  it.each([
    ["many", 30_000, 0],
    ["large", 40, 1024 * 1024]
  ])("are forgotten from the oldest on when they are too %s, and the rest stays dense", (_what, count, bytes) => {
    const recent = new Recent(0)
    for (let version = 1; version <= count; version++) recent.add(version, entry(version, bytes))
    expect(recent.last).toBe(count)
    expect(recent.from).toBeGreaterThan(1)
    expect(recent.since(recent.from - 2, message)).toBeUndefined()
    const kept = versions(recent.since(recent.from - 1, Number.POSITIVE_INFINITY)) ?? []
    expect(kept[0]).toBe(recent.from)
    expect(kept.at(-1)).toBe(count)
    expect(kept).toHaveLength(count - recent.from + 1)
  })
})
