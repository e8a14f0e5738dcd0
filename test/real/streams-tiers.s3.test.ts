/** Streams whose segments and large bodies lie in a bucket: written, read by range, found after kill -9. */
import { join } from "node:path"
import { Effect, Layer, Stream } from "effect"
import { describe, expect, it } from "vitest"
import { layer } from "../../adapters/s3/objects.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { directory } from "./child.ts"
import { nodeProcess } from "./node.ts"
import { have, s3 } from "./servers.ts"

const file = "test/real/streams-tiers.s3.test.ts"
const streams = 4
const rounds = 60
const flags = ["--nats", "127.0.0.1:0", "--shards", "2", "--stream-hot-bytes", "50000", "--durability", "process"]

const plain = { "content-type": "text/plain" }
const lineOf = (stream: number, round: number): string => `${stream}:${round}:${"abcdefgh".repeat(100)}\n`
const large = "a large body ".repeat(20_000)

const post = async (url: string, body: string, method = "POST"): Promise<void> => {
  const { status } = await fetch(url, { method, headers: plain, body })
  if (status !== (method === "PUT" ? 201 : 204)) throw new Error(`${method} ${url}: ${status}`)
}

const fill = async (url: string): Promise<void> => {
  for (let stream = 0; stream < streams; stream++) await post(`${url}/ds/test/s${stream}`, large, "PUT")
  for (let round = 0; round < rounds; round++)
    for (let stream = 0; stream < streams; stream++) await post(`${url}/ds/test/s${stream}`, lineOf(stream, round))
}

const expectAll = async (url: string): Promise<void> => {
  for (let stream = 0; stream < streams; stream++) {
    const lines = Array.from({ length: rounds }, (_, round) => lineOf(stream, round))
    expect(await (await fetch(`${url}/ds/test/s${stream}`)).text()).toBe(large + lines.join(""))
  }
}

const tiers = (which: "moto" | "versitygw") =>
  Effect.gen(function* () {
    const { accessKeyId, secretAccessKey, url } = yield* s3(which)
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
    const context = yield* Layer.build(layer(url, { credentials: { accessKeyId, secretAccessKey } }))
    const objects = yield* Effect.provide(
      Effect.map(Objects, (one) => one),
      context
    )
    const kept = Effect.map(Stream.runCollect(objects.list("streams/")), (pages) => pages.flat().map(({ key }) => key))
    const data = join(yield* directory("tiers-s3"), "data")
    const node = yield* nodeProcess({ name: "tiers-s3", data, flags: [...flags, "--objects", url] })
    yield* node.ready
    yield* Effect.promise(() => fill(node.url))
    for (let tries = 0; !(yield* kept).some((key) => key.includes("/segments/")); tries++) {
      if (tries > 200) throw new Error("nothing moves into the bucket")
      yield* Effect.sleep(200)
    }
    yield* Effect.promise(() => expectAll(node.url))
    yield* node.kill
    yield* node.start
    yield* node.ready
    yield* Effect.promise(() => expectAll(node.url))
    const keys = yield* kept
    expect(keys.filter((key) => !key.includes("/segments/"))).toHaveLength(streams)
  })

for (const which of ["moto", "versitygw"] as const)
  describe.skipIf(!have(file, which))(`streams in a bucket of ${which}`, () => {
    it("are read as if all of them were in memory", { timeout: 120_000 }, async () => {
      await Effect.runPromise(Effect.scoped(tiers(which)))
    })
  })
