/** Subjects: the shard of an actor never changes, and what is written can be read. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type Address,
  callerSubjects,
  eventsSubject,
  everyone,
  logSubject,
  parseSubject,
  seenSubject,
  shardOf,
  shardSubject,
  subjectOf
} from "../../messages/subjects.ts"

const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/)
const address: fc.Arbitrary<Address> = fc.record({
  verb: fc.constantFrom("do", "ask"),
  kind: token,
  shard: fc.integer({ min: 0, max: 99_999 }),
  id: token,
  caller: token,
  name: token
})

/** The function as its authors define it, held against their published vectors. */
const fnv1a64 = (text: string): bigint => {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

describe("shardOf", () => {
  it("is FNV-1a with 64 bits over kind/id", () => {
    expect(fnv1a64("")).toBe(0xcbf29ce484222325n)
    expect(fnv1a64("a")).toBe(0xaf63dc4c8601ec8cn)
    expect(fnv1a64("foobar")).toBe(0x85944171f73967e8n)
    for (const [kind, id] of [
      ["account", "acme"],
      ["workspace", "w-1"],
      ["k", "ü"]
    ] as const) {
      for (const shards of [1, 16, 65_536, 2 ** 53]) {
        expect(shardOf(kind, id, shards)).toBe(Number(fnv1a64(`${kind}/${id}`) % BigInt(shards)))
      }
    }
  })

  it("never moves an actor that exists", () => {
    const found = ["acme", "local", "a-1", "zebra"].map((id) => [
      shardOf("account", id, 16),
      shardOf("workspace", id, 64)
    ])
    expect(found).toEqual([
      [3, 17],
      [12, 10],
      [10, 56],
      [3, 21]
    ])
  })

  it("spreads actors evenly over the shards", () => {
    const counts = new Array<number>(16).fill(0)
    for (let i = 0; i < 16_000; i++) {
      const shard = shardOf("workspace", `w-${i}`, 16)
      counts[shard] = (counts[shard] ?? 0) + 1
    }
    for (const count of counts) expect(count).toBeGreaterThan(850)
    for (const count of counts) expect(count).toBeLessThan(1150)
  })
})

describe("parseSubject", () => {
  it("reads back every address that subjectOf writes", () => {
    fc.assert(
      fc.property(address, (one) => {
        expect(parseSubject(subjectOf(one))).toEqual(one)
      })
    )
  })

  it("never throws, and gives nothing that it would write otherwise", () => {
    const text = fc.oneof(fc.string(), fc.array(fc.oneof(fc.string(), fc.constantFrom("art", "v1", "do", "7"))))
    fc.assert(
      fc.property(text, (made) => {
        const subject = typeof made === "string" ? made : made.join(".")
        const parsed = parseSubject(subject)
        if (parsed !== undefined)
          expect({ ...parsed, shard: 0 }).toEqual(parseSubject(subjectOf({ ...parsed, shard: 0 })))
      })
    )
  })

  it.each([
    ["another root", "arts.v1.do.account.0.acme.admin.CreateWorkspace"],
    ["another version", "art.v2.do.account.0.acme.admin.CreateWorkspace"],
    ["an unknown verb", "art.v1.on.account.0.acme.admin.CreateWorkspace"],
    ["a missing token", "art.v1.do.account.0.acme.admin"],
    ["a token too many", "art.v1.do.account.0.acme.admin.CreateWorkspace.more"],
    ["an empty token", "art.v1.do.account.0..admin.CreateWorkspace"],
    ["a wildcard", "art.v1.do.account.0.*.admin.CreateWorkspace"],
    ["a shard that is no number", "art.v1.do.account.x.acme.admin.CreateWorkspace"],
    ["a negative shard", "art.v1.do.account.-1.acme.admin.CreateWorkspace"],
    ["nothing", ""]
  ])("refuses %s", (_why, subject) => expect(parseSubject(subject)).toBeUndefined())
})

describe("the other subjects", () => {
  it("are as the protocol says", () => {
    expect(shardSubject("do", 3)).toBe("art.v1.do.*.3.>")
    expect(seenSubject("w", everyone, "s")).toBe("art.v1.seen.w.all.s")
    expect(eventsSubject("account", 3, "acme")).toBe("art.v1.on.account.3.acme")
    expect(logSubject(3)).toBe("art.v1.log.3")
    expect(callerSubjects("workspace", "*", "w", "s")).toEqual([
      "art.v1.do.workspace.*.w.s.>",
      "art.v1.ask.workspace.*.w.s.>"
    ])
    expect(callerSubjects("workspace", 3, "w", "s", true)).toEqual(["art.v1.ask.workspace.3.w.s.>"])
  })
})
