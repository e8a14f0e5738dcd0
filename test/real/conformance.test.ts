/** The published conformance suite of the Durable Streams protocol, all of it, against a node as a process. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runConformanceTests } from "@durable-streams/server-conformance-tests"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import { nodeProcess } from "./node.ts"

const config = { baseUrl: "", longPollTimeoutMs: 500, subscriptions: true }
const scope = Effect.runSync(Scope.make())
const data = mkdtempSync(join(tmpdir(), "artifacts-conformance-"))

beforeAll(async () => {
  const given = process.env["ARTIFACTS_CONFORMANCE_URL"]
  const flags = ["--nats", "127.0.0.1:0", "--long-poll-ms", String(config.longPollTimeoutMs)]
  const node = nodeProcess({ name: "conformance", data, flags }).pipe(
    Effect.tap(({ ready }) => ready),
    Scope.provide(scope)
  )
  config.baseUrl = given ?? (await Effect.runPromise(node)).url
})

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(data, { recursive: true, force: true })
  rmSync(`${data}.log`, { force: true })
})

runConformanceTests(config)
