/** The banner: every address, the promise, and commands that can be typed as they stand there. */
import { describe, expect, it } from "vitest"
import type { Health } from "../../runtime/http/health.ts"
import { banner, durabilityText } from "../../runtime/node/banner.ts"

const health: Health = {
  status: "ok",
  ready: true,
  version: "1.2.3",
  node: "n1",
  pid: 42,
  startedAt: 0,
  mode: "standalone",
  durability: "sync",
  bus: "nats://127.0.0.1:4222",
  journal: "/data/journal.sqlite",
  objects: "/data/objects",
  shards: {
    total: 2,
    held: [
      { shard: 0, epoch: 1 },
      { shard: 1, epoch: 1 }
    ]
  }
}
const shown = {
  health,
  http: "http://127.0.0.1:8080",
  data: "/data",
  dataFlag: "",
  isReady: true,
  command: "artifacts"
}

describe("the banner", () => {
  it("tells where the node is and what to type", () => {
    expect(banner(shown)).toBe(`artifacts 1.2.3 is up: node n1, process 42

  nats       nats://127.0.0.1:4222
  http       http://127.0.0.1:8080
  data       /data
  objects    /data/objects
  durability sync: what is acknowledged survives power loss
  shards     2 of 2 served here

Next, in another terminal:
  artifacts workspace create demo
  artifacts workspace list
  curl http://127.0.0.1:8080/healthz
`)
  })

  it("says so when shards are missing, and names a data directory that is not the usual one", () => {
    const text = banner({ ...shown, isReady: false, dataFlag: " --data /data" })
    expect(text).toContain("2 of 2 served here so far: see the log")
    expect(text).toContain("artifacts workspace create demo --data /data\n")
  })

  it("has words for every durability", () => {
    for (const [mode, text] of Object.entries(durabilityText)) expect(text.startsWith(`${mode}: `)).toBe(true)
  })
})
