/** Appends look at the subscriptions that follow their stream, and at no others. */
import { describe, expect, it } from "vitest"
import type { Subscriber } from "../../actors/stream-partition/subscriber.ts"
import { Followed } from "../../runtime/streams/followed.ts"
import { Interest } from "../../runtime/streams/interest.ts"

const subscriber = (id: string, pattern: string | undefined): Subscriber => ({
  id,
  config: { type: "pull-wake", streams: [], leaseMs: 1000, base: "", ...(pattern !== undefined && { pattern }) },
  createdAt: 0,
  links: new Map(),
  generation: 0,
  failures: 0,
  retryAt: 0,
  wake: undefined,
  tokens: []
})

/** Counts how often it is asked whether it follows a stream. */
class Counting extends Followed {
  asked = 0

  override matches(path: string): boolean {
    this.asked += 1
    return super.matches(path)
  }
}

describe("the interest in streams", () => {
  const made = (...patterns: ReadonlyArray<string | undefined>) => {
    const all = new Map(
      patterns.map((pattern, at) => [`s${at}`, new Counting(subscriber(`s${at}`, pattern), 0, [])] as const)
    )
    const interest = new Interest(all)
    const of = (path: string) => interest.in(path).map(([id]) => id)
    return { all, interest, of }
  }

  it("is of those whose pattern matches, and is found out once", () => {
    const { all, of } = made("runs/*", "logs/**", "runs/1")
    for (let again = 0; again < 5; again++) expect(of("runs/1")).toEqual(["s0", "s2"])
    expect(of("logs/a/b")).toEqual(["s1"])
    expect(of("other")).toEqual([])
    for (const followed of all.values()) expect(followed.asked).toBe(3)
  })

  it("is found out anew when a subscription has changed, come or gone", () => {
    const { all, interest, of } = made("runs/*", undefined)
    expect(of("logs/1")).toEqual([])
    all.get("s1")?.subscriber.links.set("logs/1", { link: "explicit", acked: -1 })
    interest.changed()
    expect(of("logs/1")).toEqual(["s1"])
    all.delete("s1")
    interest.changed()
    expect(of("logs/1")).toEqual([])
  })

  it("is remembered for so many streams at most", () => {
    const { all, of } = made("runs/*")
    for (let at = 0; at < 20_001; at++) expect(of(`runs/${at}`)).toHaveLength(1)
    const asked = all.get("s0")?.asked
    expect(of("runs/20000")).toEqual(["s0"])
    expect(all.get("s0")?.asked).toBe(asked)
  })
})
