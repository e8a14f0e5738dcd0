/** The registry in a NATS bucket keeps the promises of the port on real servers, one alone and three in a cluster. */
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Fiber, Layer, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { layer } from "../../adapters/jetstream/registry.ts"
import { Registry } from "../../runtime/ports/registry.ts"
import { registryContract } from "../contract/registry.ts"
import { have, nats, natsCluster } from "./servers.ts"

/** One set of servers for all tests of a suite, each with a bucket of its own. */
const suite = (name: string, replicas: 1 | 3, start: Effect.Effect<ReadonlyArray<string>, unknown, Scope.Scope>) =>
  describe.skipIf(!have("test/real/registry.test.ts", "nats"))(name, () => {
    const scope = Effect.runSync(Scope.make())
    let servers: Array<string> = []
    let buckets = 0
    beforeAll(async () => {
      servers = [...(await Effect.runPromise(Scope.provide(start, scope)))]
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Effect.runSync(Effect.exit(Effect.void)))))
    registryContract(name, {
      make: Effect.sync(() => {
        buckets += 1
        return layer({ bucket: `TEST_${buckets}`, connection: { servers }, replicas })
      }),
      patience: 60
    })
  })

suite(
  "jetstream, one server",
  1,
  Effect.map(nats(), (server) => [server.url])
)
suite(
  "jetstream, three servers",
  3,
  Effect.map(natsCluster(), (cluster) => cluster.urls)
)

describe.skipIf(!have("test/real/registry.test.ts", "nats"))("the registry of a cluster", () => {
  it("never tells a sole writer that somebody else wrote, though the bucket's leader is killed", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const { servers } = yield* natsCluster()
          const options = { bucket: "SOLE", connection: { servers: servers.map((server) => server.url) } }
          const registry = Context.get(yield* Layer.build(layer({ ...options, replicas: 3 })), Registry)
          let revision = 0
          let value = 0
          let stop = false
          const writer = Effect.gen(function* () {
            while (!stop) {
              revision = yield* registry.write("lease", String(value + 1), revision)
              value += 1
            }
          })
          const writing = yield* Effect.forkChild(writer)
          yield* Effect.sleep(1000)
          const leader = yield* Effect.promise(() => leaderOf(options.connection.servers, "KV_SOLE"))
          const before = value
          yield* servers.find((server) => server.name.endsWith(` ${leader}`))?.kill ?? Effect.die(`no server ${leader}`)
          for (let tenths = 0; tenths < 200 && value < before + 50; tenths++) yield* Effect.sleep(100)
          stop = true
          yield* Fiber.join(writing)
          expect(value).toBeGreaterThan(before)
          expect(yield* registry.all).toEqual([{ key: "lease", revision, value: String(value) }])
        })
      )
    ))
})

const leaderOf = async (servers: Array<string>, stream: string): Promise<string | undefined> => {
  const connection = await connect({ servers })
  const answer = await connection.request(`$JS.API.STREAM.INFO.${stream}`)
  await connection.close()
  return answer.json<{ readonly cluster?: { readonly leader?: string } }>().cluster?.leader
}
