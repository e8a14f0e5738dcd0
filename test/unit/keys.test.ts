/** API keys: their form, what is kept of them, and how long a verdict is remembered. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { beforeAll, describe, expect, it } from "vitest"
import type { Verifier } from "../../messages/account.ts"
import type { Client } from "../../runtime/client.ts"
import { keyCheck, matches, newToken, parseToken, tokenText, verifierOf } from "../../runtime/keys.ts"

const token = newToken("acme")
let verifier: Verifier
beforeAll(async () => {
  verifier = await Effect.runPromise(verifierOf(token.secret))
})

describe("a token", () => {
  it("is read as it is written", () => {
    expect(parseToken(tokenText(token))).toEqual(token)
    expect(tokenText(token)).toMatch(/^art_acme_[0-9a-f]{16}_[0-9a-f]{40}$/)
    expect(newToken("acme").secret).not.toBe(token.secret)
  })

  it("has one form", () => {
    const { secret } = token
    for (const text of ["", "art_", "acme_k_s", `art_Acme_aaaaaaaa_${secret}`, `art_acme_short_${secret}`])
      expect(parseToken(text)).toBeUndefined()
    for (const text of [`art_acme_aaaaaaaa_${secret} `, `art_acme_aaaaaaaa_${secret.slice(0, 31)}`])
      expect(parseToken(text)).toBeUndefined()
  })
})

describe("a verifier", () => {
  it("knows its secret and no other, and does not hold it", async () => {
    expect(verifier).toMatchObject({ algorithm: "scrypt", cost: 32_768, blockSize: 8 })
    expect(JSON.stringify(verifier)).not.toContain(token.secret)
    expect(await Effect.runPromise(matches(token.secret, verifier))).toBe(true)
    expect(await Effect.runPromise(matches(newToken("acme").secret, verifier))).toBe(false)
  })

  it("is another one each time", async () => {
    const again = await Effect.runPromise(verifierOf(token.secret))
    expect([again.salt === verifier.salt, again.hash === verifier.hash]).toEqual([false, false])
  })
})

interface Account {
  asked: number
  readonly info: Record<string, unknown>
}

/** An account that knows one key. */
const clientOf = (account: Account): Client => ({
  ask: ({ id, caller, name, body }) =>
    Effect.sync(() => {
      account.asked += 1
      expect([id, caller, name]).toEqual(["acme", "node", "KeyVerifier"])
      const { key } = JSON.parse(body) as { key: string }
      if (key !== token.key) return { refused: { _tag: "NoSuchKey", key } }
      const issued = { key, label: "", role: "member", issuedAt: 0, issuedBy: "admin" }
      return { ok: { info: { ...issued, ...account.info }, verifier } }
    })
})

const inTime = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect.pipe(Effect.provide(TestClock.layer())))

describe("a check", () => {
  it("lets a good key in, and asks the account once in five seconds", async () => {
    const account: Account = { asked: 0, info: {} }
    const { check } = keyCheck(clientOf(account))
    await inTime(
      Effect.gen(function* () {
        const bearer = { org: "acme", key: token.key, role: "member", caller: `key-${token.key}` }
        for (let n = 0; n < 3; n++) expect(yield* check(tokenText(token))).toEqual({ bearer })
        expect(account.asked).toBe(1)
        yield* TestClock.adjust("6 seconds")
        account.info["revokedAt"] = 1
        expect(yield* check(tokenText(token))).toEqual({ why: "the key was revoked" })
        expect(account.asked).toBe(2)
      })
    )
  })

  it("ends with the key's own time, remembered or not", async () => {
    const { check } = keyCheck(clientOf({ asked: 0, info: { expiresAt: 3_000 } }))
    await inTime(
      Effect.gen(function* () {
        expect(yield* check(tokenText(token))).toMatchObject({ bearer: { expiresAt: 3_000 } })
        yield* TestClock.adjust("3 seconds")
        expect(yield* check(tokenText(token))).toEqual({ why: "the key has expired" })
        yield* TestClock.adjust("10 seconds")
        expect(yield* check(tokenText(token))).toEqual({ why: "the key has expired" })
      })
    )
  })

  it("refuses a wrong secret, an unknown key and what is no key, and works none of them out twice", async () => {
    const account: Account = { asked: 0, info: {} }
    const { check } = keyCheck(clientOf(account))
    await inTime(
      Effect.gen(function* () {
        const wrong = tokenText({ ...token, secret: newToken("acme").secret })
        for (let n = 0; n < 3; n++) expect(yield* check(wrong)).toEqual({ why: "the secret is wrong" })
        for (let n = 0; n < 3; n++)
          expect(yield* check(tokenText({ ...token, key: "unknown0" }))).toEqual({ why: "no such key" })
        expect(yield* check("password")).toMatchObject({ why: expect.stringContaining("not an API key") })
        expect(account.asked).toBe(2)
      })
    )
  })

  it("works out one key once for many who come at the same moment, and sends away whom it cannot serve", async () => {
    const account: Account = { asked: 0, info: {} }
    const { check } = keyCheck(clientOf(account))
    const verdicts = await Effect.runPromise(
      Effect.forEach(Array.from({ length: 200 }), () => check(tokenText(token)), { concurrency: "unbounded" })
    )
    expect(verdicts.filter((verdict) => "bearer" in verdict)).toHaveLength(64)
    expect(verdicts.filter((verdict) => "busy" in verdict)).toHaveLength(136)
    expect(account.asked).toBeLessThanOrEqual(3)
  })
})
