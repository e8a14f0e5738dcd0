/** Ids and envelope: what is let through, what is refused, and what a caller may send again. */
import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Failure, isRetryable } from "../../messages/envelope.ts"
import { ActorId, Caller, CommandId, Millis, OrgId, WorkspaceName } from "../../messages/ids.ts"

const accepts = (schema: Schema.Codec<unknown, unknown>) => {
  const is = Schema.is(schema)
  return (value: unknown) => is(value)
}

describe("ids", () => {
  it.each([
    { name: "ActorId", schema: ActorId, good: ["a", "A_b-9", "x".repeat(128)], bad: ["", "a.b", "*", ">", "a b", "ü"] },
    { name: "Caller", schema: Caller, good: ["admin", "S-1"], bad: ["", "a.b", "x".repeat(129), "a\n"] },
    {
      name: "CommandId",
      schema: CommandId,
      good: ["s.1:2:3", "~"],
      bad: ["", " ", "a b", "é", "x".repeat(201), "a\r\n"]
    },
    { name: "OrgId", schema: OrgId, good: ["acme", "0-a"], bad: ["", "Acme", "-a", "a_b", "x".repeat(64)] },
    {
      name: "WorkspaceName",
      schema: WorkspaceName,
      good: ["a", "My_ws-2"],
      bad: ["", "_a", "-a", "a/b", "x".repeat(64)]
    },
    { name: "Millis", schema: Millis, good: [0, 1_790_000_000_000], bad: [-1, 1.5, Number.NaN, "1"] }
  ])("$name takes what fits a subject and nothing else", ({ schema, good, bad }) => {
    const ok = accepts(schema as Schema.Codec<unknown, unknown>)
    for (const value of good) expect(ok(value), JSON.stringify(value)).toBe(true)
    for (const value of [...bad, null, undefined, {}]) expect(ok(value), JSON.stringify(value)).toBe(false)
  })

  it("are single subject tokens, whatever is tried", () => {
    const ok = accepts(ActorId)
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (ok(text)) expect(text).not.toMatch(/[.*>\s]/)
      })
    )
  })
})

const failures: ReadonlyArray<Failure> = [
  { _tag: "Busy", retryAfterMs: 100 },
  { _tag: "Late", deadline: 1 },
  { _tag: "Unavailable", why: "the shard is not served here" },
  { _tag: "Malformed", why: "the body is not JSON" },
  { _tag: "TooLarge", bytes: 2, bytesMax: 1 },
  { _tag: "Corrupt", log: "shard 3", position: 7, why: "checksum" },
  { _tag: "Defect", why: "a bug" },
  { _tag: "Forbidden", why: "this key may read only" }
]

describe("failures", () => {
  it("cross the wire as they are: plain JSON, decoded to the same value", () => {
    const decode = Schema.decodeUnknownSync(Failure)
    for (const failure of failures) expect(decode(JSON.parse(JSON.stringify(failure)))).toEqual(failure)
    expect(() => decode({ _tag: "Busy" })).toThrow()
    expect(() => decode({ _tag: "Unheard" })).toThrow()
  })

  it("may be retried only where nothing, or the same thing again, would be done", () => {
    expect(failures.filter(isRetryable).map((failure) => failure._tag)).toEqual(["Busy", "Unavailable"])
  })
})
