/** What a node makes of the registry: who lives, which shards are free, and how many are its share. */
import { describe, expect, it } from "vitest"
import { type NodeRecord, nodeKey, Sightings, shardKey, shareOf, viewOf } from "../../runtime/placement/view.ts"
import type { Record } from "../../runtime/ports/registry.ts"

const node = (name: string, revision: number, incarnation = "i", ttlMs = 100): Record => {
  const value: NodeRecord = { node: name, incarnation, ttlMs, beat: revision }
  return { key: nodeKey(name), value: JSON.stringify(value), revision }
}

const shard = (number: number, holder: string, revision = 1, incarnation = "i"): Record => ({
  key: shardKey(number),
  value: JSON.stringify({ node: holder, incarnation }),
  revision
})

const me = { node: "n1", incarnation: "i" }

describe("a share", () => {
  it.each([
    [16, 1, 16],
    [16, 2, 8],
    [16, 3, 6],
    [16, 16, 1],
    [16, 20, 1],
    [1, 3, 1],
    [16, 0, 16]
  ])("of %i shards among %i nodes is %i", (shards, nodes, share) => {
    expect(shareOf(shards, nodes)).toBe(share)
    expect(share * Math.max(1, nodes)).toBeGreaterThanOrEqual(shards)
  })
})

describe("a view", () => {
  it("of an empty registry has every shard free, at the revision that a new record needs", () => {
    expect(viewOf([], 3, me)).toEqual({
      live: [],
      free: [0, 1, 2].map((number) => ({ shard: number, revision: 0 })),
      mine: new Map()
    })
  })

  it("tells mine, another's and free ones apart", () => {
    const records = [node("n1", 5), node("n2", 6), shard(0, "n1", 7), shard(1, "n2", 8), shard(2, "gone", 9)]
    const { live, free, mine } = viewOf(records, 4, me)
    expect(live.map((each) => each.node)).toEqual(["n1", "n2"])
    expect([...mine]).toEqual([[0, 7]])
    expect(free).toEqual([
      { shard: 2, revision: 9 },
      { shard: 3, revision: 0 }
    ])
  })

  it("takes what an earlier life of a node held for free, its own included", () => {
    const records = [node("n1", 5), node("n2", 6, "second"), shard(0, "n1", 7, "first"), shard(1, "n2", 8, "first")]
    const { free, mine } = viewOf(records, 2, me)
    expect(mine.size).toBe(0)
    expect(free.map((each) => each.shard)).toEqual([0, 1])
  })

  it("counts nothing as its own before it has joined", () => {
    const { free, mine } = viewOf([shard(0, "n1")], 1, me)
    expect(mine.size).toBe(0)
    expect(free).toEqual([{ shard: 0, revision: 1 }])
  })

  it("does not look at shards beyond those of the installation", () => {
    expect(viewOf([node("n1", 1), shard(7, "n1")], 4, me).mine.size).toBe(0)
  })
})

describe("sightings", () => {
  const expired = (sightings: Sightings, now: number, ...records: ReadonlyArray<Record>) =>
    sightings.expired(records, now).map(({ key }) => key)

  it("expire who stood still for longer than promised, by the observer's clock", () => {
    const sightings = new Sightings()
    expect(expired(sightings, 1_000, node("n2", 1))).toEqual([])
    expect(expired(sightings, 1_100, node("n2", 1))).toEqual([])
    expect(expired(sightings, 1_101, node("n2", 1))).toEqual([nodeKey("n2")])
  })

  it("let everybody live whose record moves, however slowly it began", () => {
    const sightings = new Sightings()
    for (let beat = 0; beat < 10; beat++)
      expect(expired(sightings, beat * 90, node("n2", beat), shard(0, "n2"))).toEqual([])
  })

  it("go by each node's own promise", () => {
    const sightings = new Sightings()
    const records = [node("quick", 1, "i", 10), node("slow", 1, "i", 1_000)]
    expect(expired(sightings, 0, ...records)).toEqual([])
    expect(expired(sightings, 500, ...records)).toEqual([nodeKey("quick")])
  })

  it("know when the next one may expire", () => {
    const sightings = new Sightings()
    expect(sightings.nextAt).toBe(Number.POSITIVE_INFINITY)
    const records = (beat: number) => [node("n1", beat, "i", 400), node("n2", 1, "i", 1_000)]
    expired(sightings, 0, ...records(1))
    expect(sightings.nextAt).toBe(401)
    expired(sightings, 300, ...records(2))
    expect(sightings.nextAt).toBe(701)
    expired(sightings, 650, ...records(3))
    expect(sightings.nextAt).toBe(1_001)
    sightings.forget()
    expect(sightings.nextAt).toBe(Number.POSITIVE_INFINITY)
  })

  it("begin anew after an outage, in which nobody could show a sign of life", () => {
    const sightings = new Sightings()
    expired(sightings, 0, node("n2", 1))
    sightings.forget()
    expect(expired(sightings, 10_000, node("n2", 1))).toEqual([])
    expect(expired(sightings, 10_101, node("n2", 1))).toEqual([nodeKey("n2")])
  })

  it("forget who has gone, so that one who comes back has its whole time", () => {
    const sightings = new Sightings()
    expired(sightings, 0, node("n2", 1))
    expired(sightings, 50)
    expect(expired(sightings, 10_000, node("n2", 1))).toEqual([])
  })
})
