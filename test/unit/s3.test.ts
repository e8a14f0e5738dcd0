/** What the S3 adapter makes of a store that fails: asks again, gives up in time, and is never silently wrong. */
import { Cause, Effect, Exit, Logger, Option } from "effect"
import { describe, expect, it } from "vitest"
import type { S3Limits } from "../../adapters/s3/limits.ts"
import { layer } from "../../adapters/s3/objects.ts"
import { parse } from "../../adapters/s3/url.ts"
import { type ObjectConflict, type ObjectMissing, Objects, type StoreFailed } from "../../runtime/ports/objects.ts"
import { probe } from "../../runtime/probe.ts"
import { type Double, double, type Mishap } from "./s3server.ts"

const credentials = {
  accessKeyId: "AKIAOPENSECRET",
  secretAccessKey: "deep-secret-value",
  sessionToken: "token-secret"
}
/** Whatever does not turn on time is given plenty of it: a busy machine is no failing store. */
const limits: Partial<S3Limits> = {
  attemptMs: 5_000,
  stallMs: 5_000,
  connectMs: 5_000,
  attemptsMax: 4,
  waitMsFirst: 2,
  waitMsMax: 10,
  multipartBytes: 1000,
  partBytes: 400
}

/** For stores that say nothing. A good answer may come too late for these on a busy machine, and is asked for again. */
const hasty: Partial<S3Limits> = { attemptMs: 200, stallMs: 100 }
const hastyFor = (mishap: Mishap): Partial<S3Limits> =>
  mishap === "stalled" || String(mishap).startsWith("silence") ? hasty : {}

type Failure = ObjectConflict | ObjectMissing | StoreFailed
type Bench = Double & { readonly store: typeof Objects.Service }

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const urlOf = (endpoint: string): string => `s3://bucket?endpoint=${encodeURIComponent(endpoint)}`

const run = <A, E>(use: (bench: Bench) => Effect.Effect<A, E>, more: Partial<S3Limits> = {}): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* double
        const made = layer(urlOf(server.endpoint), { credentials, limits: { ...limits, ...more } })
        const use2 = Effect.flatMap(Objects, (store) => use(Object.assign(server, { store })))
        return yield* Effect.provide(use2, made)
      })
    )
  )

const failureOf = <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<Failure | undefined> =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  )

const passing: ReadonlyArray<Mishap> = [
  { status: 500, code: "InternalError" },
  { status: 503, code: "SlowDown", headers: { "retry-after": "0" } },
  { status: 502, code: "" },
  { status: 429, code: "TooManyRequests" },
  { status: 400, code: "RequestTimeout" },
  { status: 400, code: "BadDigest" },
  { status: 409, code: "ConditionalRequestConflict" },
  "reset",
  "reset, done",
  "silence"
]
const shown = (mishap: Mishap): string => (typeof mishap === "string" ? mishap : `${mishap.status} ${mishap.code}`)

describe("a put", () => {
  for (const mishap of passing) {
    it(`is asked again after ${shown(mishap)}`, () =>
      run(
        ({ kept, mishaps, requests, store }) =>
          Effect.gen(function* () {
            mishaps.push(mishap)
            const etag = yield* store.put("a/b", text("bytes"))
            expect(kept.get("a/b")).toMatchObject({ etag, bytes: Buffer.from("bytes") })
            expect(requests.slice(0, 2)).toEqual(["PUT /bucket/a/b", "PUT /bucket/a/b"])
            if (mishap !== "silence") expect(requests.length).toBe(2)
          }),
        hastyFor(mishap)
      ))
  }

  it("gives up after the last attempt, and says why", () =>
    run(({ mishaps, requests, store }) =>
      Effect.gen(function* () {
        mishaps.push(...Array<Mishap>(10).fill({ status: 503, code: "SlowDown", message: "less, please" }))
        const failure = yield* failureOf(store.put("a/b", text("bytes")))
        expect(failure).toMatchObject({ _tag: "StoreDown", operation: "put", key: "a/b" })
        expect(failure).toHaveProperty("why", "SlowDown (503): less, please (after 4 attempts)")
        expect(requests.length).toBe(4)
      })
    ))

  it("gives up when its time is over", () =>
    run(
      ({ mishaps, store }) =>
        Effect.gen(function* () {
          mishaps.push(...Array<Mishap>(10).fill("silence"))
          const before = performance.now()
          const failure = yield* failureOf(store.put("a/b", text("bytes")))
          expect(failure).toHaveProperty("why", expect.stringContaining("no whole answer within 101 ms"))
          expect(performance.now() - before).toBeLessThan(5_000)
        }),
      { attemptMs: 100, attemptsMax: 100, patienceMs: 400 }
    ))

  for (const [status, code] of [
    [403, "AccessDenied"],
    [403, "SignatureDoesNotMatch"],
    [403, "RequestTimeTooSkewed"],
    [404, "NoSuchBucket"],
    [400, "InvalidRequest"],
    [301, "PermanentRedirect"],
    [501, "NotImplemented"]
  ] as const) {
    it(`is refused at once after ${status} ${code}`, () =>
      run(({ mishaps, requests, store }) =>
        Effect.gen(function* () {
          mishaps.push({ status, code, headers: { "x-amz-bucket-region": "eu-west-9" } })
          const failure = yield* failureOf(store.put("a/b", text("bytes")))
          expect(failure).toMatchObject({ _tag: "StoreRefused", operation: "put", key: "a/b" })
          expect(failure).toHaveProperty("why", expect.stringContaining(code))
          if (status === 301) expect(failure).toHaveProperty("why", expect.stringContaining("eu-west-9"))
          expect(requests.length).toBe(1)
        })
      ))
  }

  it("is over when its fiber is interrupted, and its connection too", () =>
    run(({ deserted, mishaps, store }) =>
      Effect.gen(function* () {
        mishaps.push("silence")
        const before = performance.now()
        yield* Effect.timeoutOption(store.put("a/b", text("bytes")), "30 millis")
        expect(performance.now() - before).toBeLessThan(2_500)
        yield* store.put("a/c", text("bytes"))
        for (let wait = 0; wait < 500 && deserted() === 0; wait++) yield* Effect.sleep(10)
        expect(deserted()).toBe(1)
      })
    ))
})

describe("a conditional put whose answer was lost", () => {
  for (const mishap of ["reset, done", "silence, done", "500, done"] as const) {
    it(`knows its own object again after ${mishap}`, () =>
      run(
        ({ kept, mishaps, requests, store }) =>
          Effect.gen(function* () {
            mishaps.push(mishap)
            const etag = yield* store.putIf("k", text("mine"), { absent: true })
            expect(kept.get("k")?.etag).toBe(etag)
            const asked = mishap === "silence, done" ? [...new Set(requests)] : requests.slice(1)
            expect(asked).toEqual(["PUT /bucket/k", "HEAD /bucket/k"])
            mishaps.push(mishap)
            const next = yield* store.putIf("k", text("mine again"), { etag })
            expect(kept.get("k")).toMatchObject({ etag: next, bytes: Buffer.from("mine again") })
          }),
        hastyFor(mishap)
      ))
  }

  it("knows it too when a later attempt fails in another way", () =>
    run(({ kept, mishaps, store }) =>
      Effect.gen(function* () {
        mishaps.push("reset, done", { status: 429, code: "SlowDown" })
        const etag = yield* store.putIf("k", text("mine"), { absent: true })
        expect(kept.get("k")?.etag).toBe(etag)
      })
    ))

  it("tells an equal object of another writer from its own", () =>
    run(({ mishaps, put, store }) =>
      Effect.gen(function* () {
        put("k", text("same bytes"), "another writer's mark")
        mishaps.push("reset")
        const failure = yield* failureOf(store.putIf("k", text("same bytes"), { absent: true }))
        expect(failure).toMatchObject({ _tag: "ObjectConflict", key: "k" })
      })
    ))

  it("does not claim to know when another object has come after the one it replaced", () =>
    run((bench) =>
      Effect.gen(function* () {
        const etag = yield* bench.store.put("k", text("old"))
        bench.mishaps.push("reset, done")
        let puts = 0
        bench.before = (method) => {
          if (method === "PUT" && ++puts === 2) bench.put("k", text("a third writer's"), "third")
        }
        const failure = yield* failureOf(bench.store.putIf("k", text("mine"), { etag }))
        expect(failure).toMatchObject({ _tag: "StoreDown", key: "k" })
        expect(failure).toHaveProperty("why", expect.stringContaining("not known"))
        expect(puts).toBe(2)
      })
    ))

  it("is a plain conflict when nothing was lost", () =>
    run(({ mishaps, put, requests, store }) =>
      Effect.gen(function* () {
        put("k", text("theirs"))
        mishaps.push({ status: 429, code: "SlowDown" })
        expect(yield* failureOf(store.putIf("k", text("mine"), { absent: true }))).toMatchObject({
          _tag: "ObjectConflict"
        })
        expect(requests).toEqual(["PUT /bucket/k", "PUT /bucket/k"])
      })
    ))
})

describe("a get", () => {
  const spoiled: ReadonlyArray<Mishap> = [
    "truncated",
    "stalled",
    "corrupt",
    "reset",
    "silence",
    { status: 500, code: "" }
  ]
  for (const mishap of spoiled) {
    it(`never gives what came with ${shown(mishap)}`, () =>
      run(
        ({ mishaps, put, requests, store }) =>
          Effect.gen(function* () {
            const bytes = Buffer.alloc(50_000, "some bytes ")
            put("k", bytes)
            mishaps.push(mishap)
            expect(Buffer.compare(yield* store.get("k"), bytes)).toBe(0)
            if (hastyFor(mishap) === hasty) expect(requests.length).toBeGreaterThan(1)
            else expect(requests.length).toBe(2)
            mishaps.push(...Array<Mishap>(4).fill(mishap))
            expect(yield* failureOf(store.get("k"))).toMatchObject({ _tag: "StoreDown", operation: "get", key: "k" })
          }),
        hastyFor(mishap)
      ))
  }

  for (const mishap of ["truncated", "another range"] as const) {
    it(`of a part never gives what came with ${mishap}`, () =>
      run(({ mishaps, put, store }) =>
        Effect.gen(function* () {
          const bytes = Buffer.from(Array.from({ length: 5000 }, (_, at) => at))
          put("k", bytes)
          mishaps.push(mishap)
          const part = yield* store.get("k", { offset: 100, length: 900 })
          expect(Buffer.compare(part, bytes.subarray(100, 1000))).toBe(0)
        })
      ))
  }

  it("takes a missing bucket for what it is", () =>
    run(({ mishaps, store }) =>
      Effect.gen(function* () {
        mishaps.push({ status: 404, code: "NoSuchBucket" })
        const failure = yield* failureOf(store.get("k"))
        expect(failure).toMatchObject({ _tag: "StoreRefused" })
        expect(failure).toHaveProperty("why", expect.stringContaining("the bucket does not exist"))
      })
    ))
})

describe("an upload in parts", () => {
  const bytes = Buffer.from(Array.from({ length: 1500 }, (_, at) => at * 7))

  it("survives mishaps of every one of its requests", () =>
    run(({ kept, mishaps, openUploads, store }) =>
      Effect.gen(function* () {
        for (let at = 0; at < 6; at++) {
          for (const mishap of [{ status: 503, code: "SlowDown" }, "reset", "500, done"] as const) {
            mishaps.push(...Array<Mishap>(at).fill("none"), mishap)
            const etag = yield* store.put(`big/${at}`, bytes)
            mishaps.length = 0
            expect(kept.get(`big/${at}`)).toMatchObject({ etag, bytes })
          }
        }
        // A beginning whose answer was lost leaves an upload that nobody knows: only the bucket's own rule ends it.
        expect(openUploads()).toBe(1)
      })
    ))

  it("knows after a lost answer that its parts were joined", () =>
    run(({ kept, mishaps, store }) =>
      Effect.gen(function* () {
        mishaps.push("none", "none", "none", "none", "none", "reset, done")
        const etag = yield* store.putIf("big", bytes, { absent: true })
        expect(kept.get("big")).toMatchObject({ etag, bytes })
      })
    ))

  it("is aborted when it fails, and nothing is there", () =>
    run(({ kept, mishaps, openUploads, store }) =>
      Effect.gen(function* () {
        mishaps.push("none", "none", { status: 403, code: "AccessDenied" })
        expect(yield* failureOf(store.put("big", bytes))).toMatchObject({ _tag: "StoreRefused", key: "big" })
        expect(kept.size).toBe(0)
        expect(openUploads()).toBe(0)
      })
    ))
})

describe("credentials", () => {
  it("are in no error and no log line, not even when the store says them", () =>
    run(({ mishaps, store }) =>
      Effect.gen(function* () {
        const said: Array<unknown> = []
        const message = Object.values(credentials).join(" ")
        const listen = Logger.layer([Logger.make((options) => void said.push(options.message, String(options.cause)))])
        const asks = [
          store.put("k", text("x")),
          store.get("k"),
          store.remove(["k"]),
          store.put("k", Buffer.alloc(2000))
        ]
        for (const ask of asks) {
          mishaps.push({ status: 403, code: "AccessDenied", message }, { status: 403, code: "AccessDenied", message })
          const exit = yield* Effect.provide(Effect.exit(ask as Effect.Effect<unknown, Failure>), listen)
          expect(Exit.isFailure(exit)).toBe(true)
          said.push(JSON.stringify(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
          mishaps.length = 0
        }
        for (const secret of Object.values(credentials)) expect(JSON.stringify(said)).not.toContain(secret)
      })
    ))

  it("are refused in the URL without being repeated", async () => {
    const refused = await Effect.runPromise(
      Effect.flip(parse("s3://AKIAOPENSECRET:deep-secret-value@bucket/a?region=x"))
    )
    expect(JSON.stringify(refused)).not.toMatch(/AKIA|deep-secret/)
    expect(refused.why).toContain("credentials do not belong")
  })
})

describe("a bucket's URL", () => {
  it("says which part of it is wrong", async () => {
    const wrong: ReadonlyArray<readonly [string, string]> = [
      ["http://bucket", "s3://"],
      ["s3://", "bucket"],
      ["s3://UPPER_CASE", "bucket's name"],
      ["s3://bucket:9000/x", "endpoint"],
      ["s3://bucket?endpoint=127.0.0.1:9000", "endpoint"],
      ["s3://bucket?endpoint=ftp://host", "http://"],
      ["s3://bucket?endpoint=http://host/path", "without a path"],
      ["s3://bucket?endpoint=http://a:b@host", "credentials"],
      ["s3://bucket?regoin=x", "no parameter regoin"],
      ["s3://bucket?region=x&region=y", "more than once"],
      ["s3://bucket?region=Über", "region"],
      ["s3://bucket?pathStyle=yes", "pathStyle is either"],
      ["s3://bucket/a//b", "prefix"],
      ["s3://bucket/%ff", "percent-encoded"],
      [`s3://bucket/${"x".repeat(200)}`, "120 bytes"]
    ]
    for (const [url, why] of wrong) {
      expect((await Effect.runPromise(Effect.flip(parse(url)))).why, url).toContain(why)
    }
  })

  it("is read with its defaults", async () => {
    expect(await Effect.runPromise(parse("s3://bucket/a%20b/c/?region=eu-west-1"))).toEqual({
      bucket: "bucket",
      prefix: "a b/c/",
      endpoint: undefined,
      region: "eu-west-1",
      pathStyle: false,
      signPayload: false,
      checksum: true
    })
    const local = await Effect.runPromise(parse("s3://bucket?endpoint=http://127.0.0.1:9000/"))
    expect(local).toMatchObject({ endpoint: "http://127.0.0.1:9000", pathStyle: true, signPayload: true, prefix: "" })
  })
})

describe("a store that is not there", () => {
  it("is said to be away, by every operation", async () => {
    const made = layer("s3://bucket?endpoint=http://127.0.0.1:9", { credentials, limits })
    const failures = await Effect.runPromise(
      Effect.provide(
        Effect.flatMap(Objects, (store) =>
          Effect.all([failureOf(store.put("k", text("x"))), failureOf(store.remove(["k"])), failureOf(probe(store))])
        ),
        made
      )
    )
    for (const failure of failures) {
      expect(failure).toMatchObject({ _tag: "StoreDown" })
      expect(failure).toHaveProperty("why", expect.stringContaining("ECONNREFUSED"))
    }
  })
})
