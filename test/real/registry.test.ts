/** The registry in a NATS bucket keeps the promises of the port on real servers, one alone and three in a cluster. */
import { Effect, Scope } from "effect"
import { afterAll, beforeAll, describe } from "vitest"
import { layer } from "../../adapters/jetstream/registry.ts"
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
