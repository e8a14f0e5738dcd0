/** The published conformance suite of the Durable Streams protocol through a node that owns none of the streams. */
import { runConformanceTests } from "@durable-streams/server-conformance-tests"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe } from "vitest"
import { have } from "./servers.ts"
import { streamNodes } from "./streams-nodes.ts"

const config = { baseUrl: "", longPollTimeoutMs: 500, subscriptions: true }
const scope = Effect.runSync(Scope.make())
/** 0 is the node that owns nothing; the others own one of the two shards each. */
const through = Number(process.env["ARTIFACTS_CONFORMANCE_NODE"] ?? 0)

describe.skipIf(!have("test/real/streams-cluster.test.ts", "nats"))("through a node that owns nothing", () => {
  beforeAll(async () => {
    const { nodes } = await Effect.runPromise(streamNodes(["--long-poll-ms", "500"]).pipe(Scope.provide(scope)))
    config.baseUrl = nodes[through]?.url ?? ""
  }, 120_000)

  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  runConformanceTests(config)
})
