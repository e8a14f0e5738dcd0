/**
 * The published conformance suite of the Durable Streams protocol through a node that owns none of the streams;
 * through each of three nodes, one after the other, with `ARTIFACTS_CONFORMANCE_NODE=all`.
 */
import { runConformanceTests } from "@durable-streams/server-conformance-tests"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe } from "vitest"
import type { NodeProcess } from "./node.ts"
import { have } from "./servers.ts"
import { streamNodes } from "./streams-nodes.ts"

const scope = Effect.runSync(Scope.make())
/** 0 is the node that owns nothing; the others own one of the two shards each. */
const asked = process.env["ARTIFACTS_CONFORMANCE_NODE"] ?? "0"
const through = asked === "all" ? [0, 1, 2] : [Number(asked)]
const roles = ["a node that owns nothing", "the owner of one shard", "the owner of the other shard"]

describe.skipIf(!have("test/real/streams-cluster.test.ts", "nats"))("three nodes", () => {
  let nodes: ReadonlyArray<NodeProcess> = []

  beforeAll(async () => {
    const started = streamNodes(["--long-poll-ms", "500"]).pipe(Scope.provide(scope))
    nodes = (await Effect.runPromise(started)).nodes
  }, 120_000)

  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const each of through)
    describe(`through ${roles[each]}`, () => {
      const config = { baseUrl: "", longPollTimeoutMs: 500, subscriptions: true }

      beforeAll(() => {
        config.baseUrl = nodes[each]?.url ?? ""
      })

      runConformanceTests(config)
    })
})
