/** Every schema of every protocol: what it allows crosses the wire as JSON, and is the same on the other side. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { Arbitrary, Effect, Schema } from "effect"
import { describe, expect, it } from "vitest"
import type { AnyProtocol } from "../../actors/decider.ts"
import { Failure } from "../../messages/envelope.ts"
import type { Plain } from "../../messages/protocol.ts"
import { parseSubject, subjectOf } from "../../messages/subjects.ts"

const messages = join(import.meta.dirname, "../../messages")
const samples = 100

const isProtocol = (value: unknown): value is AnyProtocol =>
  typeof value === "object" && value !== null && "kind" in value && "commands" in value && "event" in value

const protocols = (
  await Promise.all(readdirSync(messages).map((file) => import(join(messages, file)) as Promise<object>))
).flatMap((module) => Object.values(module).filter(isProtocol))

const schemasOf = (protocol: AnyProtocol): ReadonlyArray<readonly [string, Plain<unknown>]> => [
  [`${protocol.kind} event`, protocol.event],
  [`${protocol.kind} refusal`, protocol.refusal],
  ...Object.entries({ ...protocol.commands, ...protocol.queries }).flatMap(([name, { input, reply }]) => [
    [`${protocol.kind} ${name}`, input] as const,
    [`${protocol.kind} ${name} reply`, reply] as const
  ])
]

describe("messages", () => {
  it.each([["failure", Failure] as const, ...protocols.flatMap(schemasOf)])(
    "%s is plain JSON",
    async (_name, schema) => {
      const encode = Schema.encodeUnknownSync(schema)
      const decode = Schema.decodeUnknownSync(schema)
      const values = await Effect.runPromise(Arbitrary.sampleEffect(Arbitrary.schema(schema), { count: samples }))
      expect(values).toHaveLength(samples)
      for (const value of values) {
        expect(encode(value)).toEqual(value)
        // Through JSON on both sides, which knows one zero where JavaScript knows two.
        const carried: unknown = JSON.parse(JSON.stringify(value))
        expect(decode(carried)).toEqual(carried)
      }
    }
  )

  it.each(protocols)("of $kind have names that fit a subject and do not collide", ({ kind, commands, queries }) => {
    const names = [...Object.keys(commands), ...Object.keys(queries)]
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) {
      const address = { verb: "do", kind, shard: 0, id: "a", caller: "c", name } as const
      expect(parseSubject(subjectOf(address))).toEqual(address)
    }
  })
})
