/** The small laws of what belongs to whom: keys and subjects of organisations, and limits. */
import { describe, expect, it } from "vitest"
import {
  keyFault,
  keyIn,
  orgOf,
  ownKey,
  partitionOf,
  pathOfKey,
  tailSubject,
  tailsSubject
} from "../../messages/stream.ts"
import { listenedTo } from "../../runtime/http/streams/listeners.ts"
import { idIn, orgOfToken, ownId, ownPath, pathIn, tokenOf } from "../../runtime/http/streams/organisation.ts"
import { bucketOf, Quotas } from "../../runtime/http/streams/quota.ts"
import { matcherOf } from "../../runtime/streams/glob.ts"
import type { Outcome, Partitions } from "../../runtime/streams/partitions.ts"

describe("keys of organisations", () => {
  it("are the operator's as they are written, and others' behind their name", () => {
    for (const [org, key] of [
      ["local", "runs/42"],
      ["acme", "@acme/runs/42"]
    ] as const) {
      expect(keyIn(org, "runs/42")).toBe(key)
      expect(ownKey(key)).toBe("runs/42")
      expect(orgOf(key)).toBe(org)
      expect(keyFault(key)).toBeUndefined()
      expect(bucketOf(key)).toBe("runs")
    }
    for (const key of ["@acme/runs", "@Acme/runs/x", "@/runs/x", "@acme/@b/x", "@acme/__ds/x", "acme@x/y/z"])
      expect(keyFault(key), key).toBeDefined()
    // A name may begin so: what stands before it is a bucket.
    expect(orgOf("_default/@acme")).toBe("local")
  })

  it("spread an organisation's buckets over the partitions, and keep together what has its first segment", () => {
    const of = (key: string) => partitionOf(key, 64)
    expect(of("@acme/runs/42/events")).toBe(of("@acme/runs/42/state"))
    expect(new Set([...Array(40).keys()].map((n) => of(`@acme/runs/${n}/events`))).size).toBeGreaterThan(20)
  })

  it("are named by their own paths alone", () => {
    expect(pathIn("acme", "single")).toBe("@acme/_default/single")
    expect(ownPath(pathIn("acme", "single") ?? "")).toBe("single")
    expect(pathIn("local", "/runs/42")).toBe("runs/42")
    for (const org of ["local", "zeta"]) expect(pathIn(org, "@acme/runs/42")).toBeUndefined()
    expect([ownId(idIn("acme", "s")), ownId(idIn("local", "s")), idIn("local", "s")]).toEqual(["s", "s", "s"])
    for (const org of ["local", "acme"]) expect(orgOfToken(tokenOf(org, "secret"))).toBe(org)
  })

  it("are matched by their own patterns alone", () => {
    const paths = ["runs/1", "@acme/runs/1", "@acme/_default/x", "x"].map((path) => pathOfKey(path))
    const matched = (org?: string) => paths.filter(matcherOf({ pattern: "**", ...(org !== undefined && { org }) }))
    expect(matched()).toEqual(["runs/1", "x"])
    expect(matched("acme")).toEqual(["@acme/runs/1", "@acme/_default/x"])
    expect(paths.filter(matcherOf({ pattern: "**", wakeStream: "x" }))).toEqual(["runs/1"])
    expect(paths.filter(matcherOf({ pattern: "@acme/**" }))).toEqual([])
    expect(paths.filter(matcherOf({ pattern: "*", org: "acme" }))).toEqual(["@acme/_default/x"])
  })
})

describe("subjects of streams", () => {
  it("are one token for a segment, whatever is in it", () => {
    expect(tailSubject("@acme/runs/4.2/a b*>ü")).toBe("art.v1.tail.acme.runs.4%2E2.a%20b%2A%3E%C3%BC")
    expect(tailSubject("_default/x")).toBe("art.v1.tail.local._default.x")
    for (const key of ["a/b.c", "a/*", "a/>", "a/b c/~!'()"])
      expect(tailSubject(key)).toMatch(/^art\.v1\.tail\.local\.a(\.[\w%-]+)+$/)
  })

  it("are listened to below a bucket or a stream, and not across organisations", () => {
    expect(listenedTo("acme", undefined)).toEqual([tailsSubject("acme")])
    expect(listenedTo("acme", "runs")).toEqual(["art.v1.tail.acme.runs.>"])
    expect(listenedTo("acme", "runs/4")).toEqual(["art.v1.tail.acme.runs.4", "art.v1.tail.acme.runs.4.>"])
    for (const under of [">", "*", "@zeta/x", "runs/..", "a b", "runs/"])
      expect(listenedTo("acme", under)).toBeUndefined()
  })
})

describe("limits", () => {
  it("hold although what there is is counted now and then, and let through what was made room for", () => {
    let now = 1_000_000
    let there = 0
    let counts = 0
    const ask = (_: number, __: object, ___: string, done: (outcome: Outcome) => void): void => {
      counts += 1
      const usage = { streams: 0, bytes: there }
      done({ ok: { organisation: usage, bucket: usage } })
    }
    const partitions = { ids: ["p0"], now: () => now, ask } as unknown as Partitions
    const quotas = new Quotas({ organisation: { bytes: 10_000 }, bucket: { appends: 100 } }, partitions)
    const append = (bytes: number): string => {
      let told = "waits"
      quotas.admit({ org: "acme", bucket: "b" }, { streams: 0, appends: 1, bytes }, (exceeded) => {
        told = exceeded === undefined ? "done" : exceeded.what
      })
      if (told === "done") there += bytes
      return told
    }
    for (let n = 0; n < 80; n++) expect(append(100)).toBe("done")
    expect(counts).toBeLessThan(3)
    for (let n = 0; n < 20; n++) expect(append(100)).toBe("done")
    expect(append(1)).toBe("appends")
    now += 1_000
    expect(append(1)).toBe("bytes")
    there = 0
    now += 100
    expect(append(9_000)).toBe("done")
    expect(append(2_000)).toBe("bytes")
  })
})
