/** Keys, credentials, headers and permissions, each by itself. */
import { randomBytes } from "node:crypto"
import { fromPublic, fromSeed } from "@nats-io/nkeys"
import { credsAuthenticator } from "@nats-io/transport-node"
import { describe, expect, it } from "vitest"
import { Access, forbidden, invalid, passes } from "../../adapters/nats/broker/access.ts"
import { admit } from "../../adapters/nats/broker/admission.ts"
import { credsFile, parseCreds, readUserJwt, userJwt } from "../../adapters/nats/credentials.ts"
import { decodeHeaders, encodeHeaders, isHeaderBlock } from "../../adapters/nats/headers.ts"
import { isSignedBy, nkeyOf, nkeyOfSeed, publicKeyKind } from "../../adapters/nats/nkey.ts"
import { callerPermissions, fromClaims, toClaims } from "../../adapters/nats/permissions.ts"

const kinds = ["operator", "account", "user"] as const

describe("keys", () => {
  it("are those of the official package", () => {
    const message = Buffer.from("a message")
    for (const kind of kinds) {
      const own = nkeyOf(kind, randomBytes(32))
      const theirs = fromSeed(Buffer.from(own.seed))
      expect(theirs.getPublicKey()).toBe(own.publicKey)
      expect(own.publicKey[0]).toBe(kind[0]?.toUpperCase())
      expect(publicKeyKind(own.publicKey)).toBe(kind)
      expect(nkeyOfSeed(own.seed)?.publicKey).toBe(own.publicKey)
      expect(isSignedBy(own.publicKey, message, theirs.sign(message))).toBe(true)
      expect(fromPublic(own.publicKey).verify(message, own.sign(message))).toBe(true)
      expect(isSignedBy(own.publicKey, Buffer.from("another"), own.sign(message))).toBe(false)
    }
  })

  it("are refused when a letter is wrong, or when it is another sort of key", () => {
    const { publicKey, seed } = nkeyOf("user", randomBytes(32))
    for (let at = 0; at < publicKey.length; at++) {
      const letter = publicKey[at] === "A" ? "B" : "A"
      expect(publicKeyKind(publicKey.slice(0, at) + letter + publicKey.slice(at + 1)), `letter ${at}`).toBeUndefined()
    }
    for (const text of ["", "U", seed, `${publicKey}A`, publicKey.toLowerCase(), "A".repeat(1_000_000)])
      expect(publicKeyKind(text)).toBeUndefined()
    expect(nkeyOfSeed(publicKey)).toBeUndefined()
    expect(isSignedBy("nobody", Buffer.from(""), Buffer.alloc(64))).toBe(false)
    expect(isSignedBy(publicKey, Buffer.from(""), Buffer.alloc(3))).toBe(false)
  })
})

describe("credentials", () => {
  const account = nkeyOf("account", randomBytes(32))
  const user = nkeyOf("user", randomBytes(32))
  const permissions = { publish: { allow: ["a.>"], deny: ["a.b"] }, responses: { max: 2, ttlMs: 1500 } }

  it("go through the file and the JWT unchanged", () => {
    const validity = { issuedAt: 1_700_000_000.9, expiresAt: 1_800_000_000 }
    const jwt = userJwt(account, user.publicKey, { name: "me", permissions }, validity)
    const file = credsFile(jwt, user.seed)
    expect(parseCreds(file)).toEqual({ jwt, seed: user.seed })
    expect(parseCreds(file.replaceAll("\n", "\r\n"))).toEqual({ jwt, seed: user.seed })
    expect(parseCreds(jwt)).toBeUndefined()
    const claims = readUserJwt(jwt)
    expect(claims).toMatchObject({ sub: user.publicKey, iss: account.publicKey, exp: 1_800_000_000, name: "me" })
    expect(fromClaims(claims?.nats ?? {})).toEqual(permissions)
    // The same input makes the same JWT: nothing in it comes from a clock or from chance.
    expect(userJwt(account, user.publicKey, { name: "me", permissions }, validity)).toBe(jwt)
  })

  it("are read by the official client", () => {
    const jwt = userJwt(account, user.publicKey, { name: "me", permissions: {} }, { issuedAt: 1 })
    const auth = credsAuthenticator(Buffer.from(credsFile(jwt, user.seed)))("nonce") as { jwt: string; sig: string }
    expect(auth.jwt).toBe(jwt)
    expect(isSignedBy(user.publicKey, Buffer.from("nonce"), Buffer.from(auth.sig, "base64"))).toBe(true)
  })

  it("are refused when one byte of the JWT is changed", () => {
    const jwt = userJwt(account, user.publicKey, { name: "me", permissions: {} }, { issuedAt: 1 })
    const [head = "", body = "", signature = ""] = jwt.split(".")
    const claims = Buffer.from(body, "base64url").toString()
    const forged = Buffer.from(claims.replace('"name":"me"', '"name":"us"')).toString("base64url")
    const none = Buffer.from('{"typ":"JWT","alg":"none"}').toString("base64url")
    for (const bad of [
      `${head}.${forged}.${signature}`,
      `${none}.${body}.`,
      `${head}.${body}`,
      `${jwt}.x`,
      "",
      "a.b.c"
    ])
      expect(readUserJwt(bad), bad).toBeUndefined()
    expect(readUserJwt(jwt)).toBeDefined()
  })

  it("count from their start until their end, and only under a trusted issuer", () => {
    const validity = { issuedAt: 100, expiresAt: 200 }
    const jwt = userJwt(account, user.publicKey, { name: "me", permissions: {}, bearer: true }, validity)
    const ask = (issuers: ReadonlyArray<string>, seconds: number) => admit({ issuers }, { jwt }, "", seconds * 1000)
    expect(ask([account.publicKey], 150)).toMatchObject({ user: user.publicKey, expiresAt: 200_000 })
    expect(ask([account.publicKey], 200)).toBeUndefined()
    expect(ask([], 150)).toBeUndefined()
    expect(ask([user.publicKey], 150)).toBeUndefined()
    expect(admit({ issuers: [account.publicKey] }, {}, "", 0)).toBeUndefined()
  })

  it("mean by an empty list what a NATS server means by it", () => {
    expect(fromClaims({ pub: { allow: [] }, sub: {} })).toEqual({})
    expect(fromClaims({ resp: {} })).toEqual({ publish: { allow: [] }, responses: { max: 1, ttlMs: 120_000 } })
    expect(toClaims({})).toEqual({ pub: {}, sub: {} })
  })
})

describe("permissions", () => {
  const access = (permissions: ConstructorParameters<typeof Access>[0], now = () => 0) => new Access(permissions, now)

  it("of a caller are its own subjects and its own inbox", () => {
    const target = { kind: "workspace", shard: 3, id: "w", events: true }
    const own = access(callerPermissions("ann", "ann-1", [target]))
    expect(own.publish("art.v1.do.workspace.3.w.ann.Write")).toBe(passes)
    expect(own.publish("art.v1.ask.workspace.3.w.ann.Read")).toBe(passes)
    for (const other of [
      "art.v1.do.workspace.3.w.bob.Write",
      "art.v1.do.workspace.3.v.ann.Write",
      "art.v1.do.workspace.3.w.ann",
      "art.v1.log.3",
      "_INBOX.ann-1.x"
    ])
      expect(own.publish(other), other).toBe(forbidden)
    expect(own.publish("art.v1.do.*.3.w.ann.Write")).toBe(invalid)
    expect(own.subscribe("_INBOX.ann-1.a.*", undefined)).toBe("all")
    expect(own.subscribe("art.v1.on.workspace.3.w", undefined)).toBe("all")
    for (const other of ["_INBOX.>", "_INBOX.ann-1", "_INBOX.*.x", ">", "_INBOX.ann-2.x", "art.v1.on.>"])
      expect(own.subscribe(other, undefined), other).toBe("none")
    expect(own.publish("art.v1.seen.w.bob.ann")).toBe(forbidden)
    expect(own.subscribe("art.v1.seen.w.ann.*", undefined)).toBe("none")
    const reader = access(callerPermissions("ann", "ann-1", [{ ...target, readOnly: true }]))
    expect(reader.publish("art.v1.do.workspace.3.w.ann.Write")).toBe(forbidden)
    expect(reader.publish("art.v1.ask.workspace.3.w.ann.Read")).toBe(passes)
  })

  it("of who shows a workspace are what it says in its own name to others who do, and what they say to it", () => {
    const target = { kind: "workspace", shard: 3, id: "w", events: true, shows: true, readOnly: true }
    const own = access(callerPermissions("ann", "ann-1", [target]))
    for (const to of ["bob", "all"]) expect(own.publish(`art.v1.seen.w.${to}.ann`), to).toBe(passes)
    for (const other of [
      "art.v1.seen.w.ann.bob",
      "art.v1.seen.v.bob.ann",
      "art.v1.seen.w.ann",
      "art.v1.seen.w.b.ann.x"
    ])
      expect(own.publish(other), other).toBe(forbidden)
    for (const subject of ["art.v1.seen.w.ann.*", "art.v1.seen.w.all.*"])
      expect(own.subscribe(subject, undefined), subject).toBe("all")
    for (const other of ["art.v1.seen.w.bob.*", "art.v1.seen.w.*.ann", "art.v1.seen.v.all.*", "art.v1.seen.>"])
      expect(own.subscribe(other, undefined), other).toBe("none")
  })

  it("may hold for a queue group alone", () => {
    const member = access({ subscribe: { allow: ["jobs.* workers", "free"] } })
    expect(member.subscribe("jobs.a", "workers")).toBe("all")
    expect(member.subscribe("jobs.a", "others")).toBe("none")
    expect(member.subscribe("jobs.a", undefined)).toBe("none")
    expect(member.subscribe("free", "any")).toBe("all")
  })

  it("allow an answer so often and so long", () => {
    let now = 0
    const one = access({ publish: { allow: [] }, responses: { max: 2, ttlMs: 100 } }, () => now)
    expect(one.publish("in.1")).toBe(forbidden)
    one.owe("in.1")
    one.owe("in.2")
    expect([one.publish("in.1"), one.publish("in.1"), one.publish("in.1")]).toEqual([passes, passes, forbidden])
    now = 101
    expect(one.publish("in.2")).toBe(forbidden)
    const endless = access({ publish: { allow: [] }, responses: { max: -1, ttlMs: -1 } })
    endless.owe("in.3")
    for (let n = 0; n < 10; n++) expect(endless.publish("in.3")).toBe(passes)
    for (let n = 0; n < 70_000; n++) endless.owe(`in.x${n}`)
    expect(endless.publish("in.3")).toBe(forbidden)
    expect(endless.publish("in.x69999")).toBe(passes)
  })

  it("remember no more verdicts than they may, and still tell them apart", () => {
    const one = access({ publish: { allow: ["a.*"] } })
    for (let n = 0; n < 5000; n++) {
      expect(one.publish(`a.${n}`)).toBe(passes)
      expect(one.publish(`b.${n}`)).toBe(forbidden)
    }
  })
})

describe("headers", () => {
  it("come back as they went, and refuse what would break out of them", () => {
    const headers = { "Art-Id": "1:2:3", Empty: "", Wide: "ä b" }
    const block = encodeHeaders(headers)
    expect(isHeaderBlock(block, 0, block.length)).toBe(true)
    expect({ ...decodeHeaders(block) }).toEqual(headers)
    for (const bad of [{ "a b": "" }, { "": "" }, { "a:b": "" }, { a: "x\r\nB: c" }, { a: "x\n" }, { "a\r\n": "" }])
      expect(() => encodeHeaders(bad)).toThrow()
    expect({ ...decodeHeaders(Buffer.from("NATS/1.0\r\nnonsense\r\n: x\r\nA: 1\r\nA: 2\r\n\r\n")) }).toEqual({ A: "1" })
    expect(decodeHeaders(Buffer.from("NATS/1.0\r\n__proto__: x\r\n\r\n"))["polluted"]).toBeUndefined()
  })
})
