/** The objects contract against real S3 servers, and snapshots kept in one. */
import { Effect, Fiber, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { layer } from "../../adapters/s3/objects.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { probe } from "../../runtime/probe.ts"
import { layer as snapshots } from "../../runtime/snapshots.ts"
import { objectsContract } from "../contract/objects.ts"
import { snapshotsContract } from "../contract/snapshots.ts"
import { have, s3 } from "./servers.ts"

const file = "test/real/objects.test.ts"

/** Parts as small as stores take them, so that 12 MiB go up in three. */
const limits = { multipartBytes: 8 * 1024 * 1024, partBytes: 5 * 1024 * 1024 }

const store = (which: "moto" | "versitygw", path = "") =>
  Layer.unwrap(
    Effect.map(s3(which), ({ accessKeyId, secretAccessKey, url }) =>
      layer(url.replace("?", `${path}?`), { credentials: { accessKeyId, secretAccessKey }, limits })
    )
  )

for (const which of ["moto", "versitygw"] as const) {
  describe.skipIf(!have(file, which))(which, () => {
    objectsContract(`s3 on ${which}`, store(which), { timeoutMs: 60_000 })
    objectsContract(`s3 on ${which}, below a prefix`, store(which, "/some/pre fix"), {
      timeoutMs: 60_000,
      manyKeys: 1001
    })
    snapshotsContract(`over s3 on ${which}`, Layer.provideMerge(snapshots(), store(which)), "")
  })
}

describe.skipIf(!have(file, "versitygw"))("a server that is killed under way", () => {
  it("is waited for, and has every object that it acknowledged", { timeout: 60_000 }, () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* s3("versitygw")
          const patient = { attemptsMax: 100, waitMsMax: 500 }
          const made = layer(server.url, { credentials: server, limits: patient })
          const store = yield* Effect.provide(
            Effect.map(Objects, (one) => one),
            yield* Layer.build(made)
          )
          const keys = Array.from({ length: 300 }, (_, at) => `killed/${at}`)
          const puts = Effect.forEach(keys, (key) => store.putIf(key, Buffer.from(key), { absent: true }), {
            concurrency: 4
          })
          const writer = yield* Effect.forkChild(puts, { startImmediately: true })
          for (let round = 0; round < 3; round++) {
            yield* Effect.sleep(60)
            yield* server.kill
            yield* Effect.sleep(200)
            yield* server.start
          }
          const etags = yield* Fiber.join(writer)
          for (const [at, key] of keys.entries()) {
            expect(Buffer.from(yield* store.get(key)).toString()).toBe(key)
            expect((yield* store.head(key)).etag).toBe(etags[at])
          }
        })
      )
    )
  )
})

describe.skipIf(!have(file, "versitygw"))("the probe", () => {
  const refusal = (change: { readonly bucket?: string; readonly secretAccessKey?: string }) =>
    Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(s3("versitygw"), (server) => {
          const { accessKeyId, secretAccessKey } = { ...server, ...change }
          const url = server.url.replace("artifacts?", `${change.bucket ?? server.bucket}?`)
          const made = layer(url, { credentials: { accessKeyId, secretAccessKey } })
          return Effect.provide(Effect.flip(Effect.flatMap(Objects, probe)), made)
        })
      )
    )

  it("says that the bucket does not exist", async () => {
    const refused = await refusal({ bucket: "another" })
    expect(refused._tag).toBe("StoreRefused")
    expect(refused.why).toContain("the bucket does not exist")
  })

  it("says that the secret is wrong", async () => {
    const refused = await refusal({ secretAccessKey: "not-the-secret" })
    expect(refused._tag).toBe("StoreRefused")
    expect(refused.why).toContain("the secret key is wrong")
  })
})
