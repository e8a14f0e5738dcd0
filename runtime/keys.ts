/** API keys: how one is made and read, what is kept of it, and who may come in with it. */
import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto"
import { Clock, Effect, Schema, Semaphore } from "effect"
import { KeyInfo, type Role, Verifier } from "../messages/account.ts"
import type { Client, Unanswered } from "./client.ts"

/** 2^15 with blocks of 8 takes about 50 ms and 32 MiB: dear enough for who guesses, cheap enough for who knows. */
const cost = 32_768
const blockSize = 8
const hashBytes = 32
const saltBytes = 16
/** 160 bits, of which nobody can guess any. */
const secretBytes = 20
const keyIdBytes = 8
const memoryMax = 256 * 1024 * 1024

export interface Token {
  readonly org: string
  readonly key: string
  readonly secret: string
}

const pattern = /^art_([a-z0-9][a-z0-9-]{0,62})_([a-z0-9]{8,32})_([0-9a-f]{32,128})$/

/** The parts of a token, or undefined when the text has not its form. */
export const parseToken = (text: string): Token | undefined => {
  const [, org, key, secret] = pattern.exec(text) ?? []
  return org === undefined || key === undefined || secret === undefined ? undefined : { org, key, secret }
}

export const tokenText = ({ org, key, secret }: Token): string => `art_${org}_${key}_${secret}`

export const newToken = (org: string): Token => ({
  org,
  key: randomBytes(keyIdBytes).toString("hex"),
  secret: randomBytes(secretBytes).toString("hex")
})

/** In a thread of the pool, so that the loop does not stand still meanwhile. */
const derive = (secret: string, salt: Buffer, N: number, r: number, length: number): Effect.Effect<Buffer> =>
  Effect.callback<Buffer>((resume) => {
    scrypt(secret, salt, length, { N, r, p: 1, maxmem: memoryMax }, (error, hash) =>
      resume(error === null ? Effect.succeed(hash) : Effect.die(error))
    )
  })

/** What the account keeps of a secret. */
export const verifierOf = Effect.fnUntraced(function* (secret: string) {
  const salt = randomBytes(saltBytes)
  const hash = yield* derive(secret, salt, cost, blockSize, hashBytes)
  const made: Verifier = {
    algorithm: "scrypt",
    cost,
    blockSize,
    salt: salt.toString("hex"),
    hash: hash.toString("hex")
  }
  return made
})

export const matches = Effect.fnUntraced(function* (secret: string, verifier: Verifier) {
  const expected = Buffer.from(verifier.hash, "hex")
  const salt = Buffer.from(verifier.salt, "hex")
  const hash = yield* derive(secret, salt, verifier.cost, verifier.blockSize, expected.length)
  return timingSafeEqual(hash, expected)
})

/** Who came in with a key. */
export interface Bearer {
  readonly org: string
  readonly key: string
  readonly role: Role
  /** As it stands in subjects. */
  readonly caller: string
  readonly expiresAt?: number
}

/** `busy`: too many keys are being checked, so this one was not looked at. */
export type Verdict = { readonly bearer: Bearer } | { readonly why: string } | { readonly busy: true }

/** A revoked key is let in for so long at most by a node that was not told; its account refuses it at once. */
const trustedMs = 5_000
/** A wrong secret is remembered too, so that repeating it costs nobody 50 ms each time. */
const distrustedMs = 2_000
const rememberedMax = 1024
/** So many are worked out at a time: each takes 32 MiB and one of four threads, and the disk needs the others. */
const checksMax = 2
/** What waits longer than a few seconds for its turn is told so at once. */
const waitingMax = 64

const decodeKnown = Schema.decodeUnknownEffect(Schema.Struct({ info: KeyInfo, verifier: Verifier }))

export interface KeyCheck {
  readonly check: (token: string) => Effect.Effect<Verdict, Unanswered>
  /** What is remembered of this key holds no more. */
  readonly forget: (key: string) => void
}

interface Remembered {
  readonly key: string
  readonly verdict: Verdict
  readonly until: number
}

/** How a key stands in subjects. */
export const keyCaller = (key: string): string => `key-${key}`

const standing = (token: Token, info: KeyInfo, now: number): Verdict => {
  if (info.revokedAt !== undefined) return { why: "the key was revoked" }
  if (info.expiresAt !== undefined && info.expiresAt <= now) return { why: "the key has expired" }
  const { org, key } = token
  const expiry = info.expiresAt === undefined ? {} : { expiresAt: info.expiresAt }
  return { bearer: { org, key, role: info.role, caller: keyCaller(key), ...expiry } }
}

/** Asks the account what it keeps of the key, and compares. */
const judge = Effect.fnUntraced(function* (client: Client, token: Token) {
  const answer = yield* client.ask({
    verb: "ask",
    kind: "account",
    id: token.org,
    caller: "node",
    name: "KeyVerifier",
    body: JSON.stringify({ key: token.key })
  })
  if ("refused" in answer) return { why: "no such key" }
  if ("failed" in answer) return { why: `the key cannot be checked: ${answer.failed._tag}` }
  const { info, verifier } = yield* decodeKnown(answer.ok).pipe(Effect.orDie)
  if (!(yield* matches(token.secret, verifier))) return { why: "the secret is wrong" }
  return standing(token, info, yield* Clock.currentTimeMillis)
})

/** Checks keys and remembers the outcome for a moment, by the digest of the token and never by the token itself. */
export const keyCheck = (client: Client): KeyCheck => {
  const remembered = new Map<string, Remembered>()
  const permits = Semaphore.makeUnsafe(checksMax)
  let waiting = 0

  const recall = (digest: string, now: number): Verdict | undefined => {
    const known = remembered.get(digest)
    if (known === undefined || known.until <= now) return undefined
    if ("bearer" in known.verdict && (known.verdict.bearer.expiresAt ?? Number.POSITIVE_INFINITY) <= now)
      return { why: "the key has expired" }
    return known.verdict
  }
  const remember = (digest: string, key: string, verdict: Verdict, now: number): void => {
    if (remembered.size >= rememberedMax) remembered.delete(remembered.keys().next().value as string)
    remembered.delete(digest)
    remembered.set(digest, { key, verdict, until: now + ("bearer" in verdict ? trustedMs : distrustedMs) })
  }
  const work = Effect.fnUntraced(function* (token: Token, digest: string) {
    // Whoever waited here for the same key finds what the first one worked out.
    const known = recall(digest, yield* Clock.currentTimeMillis)
    if (known !== undefined) return known
    const verdict: Verdict = yield* judge(client, token)
    remember(digest, token.key, verdict, yield* Clock.currentTimeMillis)
    return verdict
  })

  return {
    forget: (key) => {
      for (const [digest, known] of remembered) if (known.key === key) remembered.delete(digest)
    },
    check: Effect.fnUntraced(function* (text) {
      const token = parseToken(text)
      if (token === undefined) return { why: "this is not an API key: one begins with art_" }
      const digest = createHash("sha256").update(text).digest("base64")
      const known = recall(digest, yield* Clock.currentTimeMillis)
      if (known !== undefined) return known
      if (waiting >= waitingMax) return { busy: true }
      waiting += 1
      return yield* permits
        .withPermits(1)(work(token, digest))
        .pipe(
          Effect.ensuring(
            Effect.sync(() => {
              waiting -= 1
            })
          )
        )
    })
  }
}
