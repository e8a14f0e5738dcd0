/** What looks for lost and doubled commands after a crash finds them when they are there. */
import { Context, Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { layer } from "../../adapters/memory/journal.ts"
import type { Entry } from "../../messages/entry.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { Promises, readFor, verdictOf } from "./promises.ts"

const entry = (version: number, cause: string, id: string): Entry => ({
  kind: "account",
  id: "acme",
  version,
  cause,
  caller: "admin",
  at: version,
  due: 0,
  events: "[]",
  reply: JSON.stringify({ workspace: { id } })
})

const looked = (entries: ReadonlyArray<Entry>, promised: ReadonlyArray<readonly [cause: string, id: string]>) =>
  Effect.gen(function* () {
    const journal = Context.get(yield* Layer.build(layer()), Journal)
    const log = yield* journal.claim(3, "test")
    yield* Effect.flatten(log.append(entries))
    const promises = new Promises()
    for (const [cause, id] of promised) promises.note({ org: "acme", cause, verb: "created", name: cause, id })
    return verdictOf(promises, yield* readFor(journal, new Map([["acme", 3]]), promises))
  }).pipe(Effect.scoped, Effect.runPromise)

describe("the checks after a crash", () => {
  it("pass a log that holds what was promised, and more", async () => {
    const told = await looked([entry(1, "a", "acme_1"), entry(2, "b", "acme_2")], [["a", "acme_1"]])
    expect(told).toEqual({ acknowledged: 1, found: 1, duplicates: 0, unanswered: 0, faults: [] })
  })

  it("miss a command that is not there, and one whose effect is another", async () => {
    expect(await looked([entry(1, "a", "acme_1")], [["b", "acme_2"]])).toMatchObject({ acknowledged: 1, found: 0 })
    expect(await looked([entry(1, "a", "acme_1")], [["a", "acme_2"]])).toMatchObject({ acknowledged: 1, found: 0 })
  })

  it("count a command that was applied twice", async () => {
    const told = await looked([entry(1, "a", "acme_1"), entry(2, "a", "acme_2")], [["a", "acme_2"]])
    expect(told).toMatchObject({ acknowledged: 1, found: 1, duplicates: 1 })
  })

  it("name a hole between versions", async () => {
    const told = await looked([entry(1, "a", "acme_1"), entry(3, "b", "acme_3")], [["a", "acme_1"]])
    expect(told.faults).toEqual(["acme: version 3 follows 1"])
  })

  it("measure the longest silence of the organisation that waited longest", async () => {
    const promises = new Promises()
    const from = performance.now()
    const note = (org: string) => promises.note({ org, cause: "a", verb: "created", name: "a", id: "a" })
    note("one")
    note("two")
    await new Promise((resolve) => setTimeout(resolve, 60))
    note("one")
    expect(promises.allSince(from + 50)).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 60))
    note("two")
    const gap = promises.gapMs(from, performance.now())
    expect(gap).toBeGreaterThan(110)
    expect(promises.gapMs(from, from + 10)).toBeLessThan(20)
  })
})
