/** Accounts against a plain model of them: any commands by anybody, with snapshots and replays between. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { accountDecider } from "../../actors/account/account.ts"
import type { State } from "../../actors/account/state.ts"
import type { Account, Workspace } from "../../messages/account.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import { kindOf } from "../../runtime/actor/kind.ts"

const { initial, decide, evolve, answer, save, load } = accountDecider
const kind = kindOf(accountDecider)

const verifier = { algorithm: "scrypt", cost: 16_384, blockSize: 8, salt: "ab".repeat(16), hash: "cd".repeat(32) }
const name = fc.constantFrom("a", "b", "C", "d-1")
const keyId = fc.constantFrom("keykey01", "keykey02", "keykey03")
const caller = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("admin", "node") },
  { weight: 2, arbitrary: keyId.map((key) => `key-${key}`) }
)

const command = fc.oneof(
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("FoundOrganisation" as const) }) },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("CreateWorkspace" as const), name }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("DeleteWorkspace" as const), name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("IssueKey" as const),
      key: keyId,
      label: fc.constant(""),
      role: fc.constantFrom("admin", "member"),
      verifier: fc.constant(verifier),
      expiresAt: fc.integer({ min: 0, max: 80 })
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("RevokeKey" as const), key: keyId }) }
)

type Asked = typeof command extends fc.Arbitrary<infer A> ? A : never

/** What one would say of an account without having read it. */
class Model {
  isFounded = false
  made = 0
  readonly living = new Map<string, string>()
  readonly dead: Array<string> = []
  readonly keys = new Map<string, { readonly isAdmin: boolean; readonly expiresAt: number; isRevoked: boolean }>()

  /** The refusal to expect, or nothing; then the model has changed as the account has to. */
  take(asked: Asked, by: string, at: number): string | undefined {
    const key = by.startsWith("key-") ? this.keys.get(by.slice(4)) : undefined
    if (asked._tag === "FoundOrganisation") {
      if (this.isFounded) return "AlreadyFounded"
      if (by.startsWith("key-")) return "NotAllowed"
      this.isFounded = true
      return undefined
    }
    if (!this.isFounded) return "NotFounded"
    if (by.startsWith("key-") && (key === undefined || key.isRevoked || key.expiresAt <= at)) return "NotAllowed"
    if (asked._tag === "CreateWorkspace") {
      if (this.living.has(asked.name)) return "NameTaken"
      this.made += 1
      this.living.set(asked.name, `acme_${this.made}`)
      return undefined
    }
    if (asked._tag === "DeleteWorkspace") {
      const id = this.living.get(asked.name)
      if (id === undefined) return "NoSuchWorkspace"
      this.living.delete(asked.name)
      this.dead.push(id)
      return undefined
    }
    if (key !== undefined && !key.isAdmin) return "NotAllowed"
    const there = this.keys.get(asked.key)
    if (asked._tag === "RevokeKey") {
      if (there === undefined) return "NoSuchKey"
      there.isRevoked = true
      return undefined
    }
    if (there !== undefined) return "KeyTaken"
    this.keys.set(asked.key, { isAdmin: asked.role === "admin", expiresAt: asked.expiresAt, isRevoked: false })
    return undefined
  }
}

const listOf = (state: State, deleted: boolean): ReadonlyArray<Workspace> => {
  const context = { id: "acme", caller: "admin", at: 0, version: 0 }
  const answered = answer(state, { _tag: "ListWorkspaces", deleted }, context)
  return "reply" in answered ? (answered.reply as { workspaces: ReadonlyArray<Workspace> }).workspaces : []
}

describe("an account", () => {
  it("does what its model does, and is the same after a replay or a snapshot", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(command, caller), { maxLength: 120 }), fc.nat({ max: 120 }), (steps, savedAt) => {
        const model = new Model()
        const log: Array<readonly [string, number]> = []
        let state = initial("acme")
        for (const [at, [asked, by]] of steps.entries()) {
          if (at === savedAt) state = load(save(state), "acme")
          const context = { id: "acme", caller: by, commandId: String(at), at, version: log.length }
          const before = Buffer.from(save(state)).toString()
          const decision = decide(state, asked as CommandOf<Account>, context)
          expect(Buffer.from(save(state)).toString()).toBe(before)
          const expected = model.take(asked, by, at)
          expect("refused" in decision ? decision.refused._tag : undefined).toBe(expected)
          if ("refused" in decision || decision.events.length === 0) continue
          log.push([JSON.stringify(decision.events), at])
          for (const event of decision.events) state = evolve(state, event, at)
        }
        expect(new Map(listOf(state, false).map((each) => [each.name as string, each.id as string]))).toEqual(
          model.living
        )
        expect(
          listOf(state, true)
            .map((each) => each.id as string)
            .toSorted()
        ).toEqual(model.dead.toSorted())
        // What crossed the journal as text makes the same state.
        let replayed = initial("acme")
        for (const [events, at] of log)
          for (const event of kind.readEvents(events) as ReadonlyArray<EventOf<Account>>)
            replayed = evolve(replayed, event, at)
        expect(replayed).toEqual(state)
        expect(load(save(replayed), "acme")).toEqual(state)
      }),
      { numRuns: 300 }
    )
  })
})
