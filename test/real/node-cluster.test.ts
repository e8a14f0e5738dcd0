/** Nodes on real NATS servers that were configured by `nats-config`: one installation, two nodes, and a death. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { answers, directory, freePorts, launched } from "./child.ts"
import { cleanUp, freshPath, kill, run, stop, up } from "./command.ts"
import { find, have } from "./servers.ts"

afterAll(cleanUp)

const file = "test/real/node-cluster.test.ts"

/** One server with the configuration that the command prints, and a port to ask for its health. */
const server = (data: string) =>
  Effect.gen(function* () {
    const home = yield* directory("nats-config")
    const [port = 0, monitor = 0] = yield* freePorts(2)
    const place = ["--store", join(home, "js"), "--listen", `127.0.0.1:${port}`]
    const config = yield* Effect.promise(() => run("--data", data, "nats-config", "--shards", "8", ...place))
    expect(config.code).toBe(0)
    writeFileSync(join(home, "nats.conf"), `${config.stdout}\nhttp: "127.0.0.1:${monitor}"\n`)
    const child = yield* launched({
      name: "nats-server",
      command: find("nats") ?? "",
      args: ["-c", join(home, "nats.conf")],
      log: join(home, "nats.log"),
      ready: () => answers(`http://127.0.0.1:${monitor}/healthz`)
    })
    yield* child.ready
    return `nats://127.0.0.1:${port}`
  })

const twoNodes = Effect.fnUntraced(function* () {
  const first = freshPath()
  const second = freshPath()
  const url = yield* server(first)
  const objects = `file://${yield* directory("shared")}`
  const flags = ["--nats-url", url, "--objects", objects, "--replicas", "1", "--http", "127.0.0.1:0"]
  yield* Effect.promise(async () => {
    const stranger = await run("up", "--data", freshPath(), ...flags)
    expect(stranger).toMatchObject({ code: 1, stdout: "" })
    expect(stranger.stderr).toContain("whether the servers trust this installation: artifacts nats-config")
    const alone = await run("up", "--data", first, "--nats-url", url, "--http", "127.0.0.1:0")
    expect(alone.stderr).toContain("the nodes of a cluster share one object store, and none was named")

    const a = await up(first, ...flags, "--node", "a")
    expect(a.told().stdout).toContain("process: what is acknowledged survives kill -9, not power loss")
    expect(a.told().stderr).toContain("sync_interval: always")
    mkdirSync(second)
    for (const name of readdirSync(first).filter((each) => /\.(seed|creds)$/.test(each)))
      cpSync(join(first, name), join(second, name))
    const third = freshPath()
    cpSync(second, third, { recursive: true })
    const other = await run("up", "--data", third, ...flags, "--shards", "4")
    expect(other.stderr).toContain(`the cluster has 8 shards, and ${third} was made with 4`)
    const b = await up(second, ...flags, "--node", "b", "--durability", "sync")
    expect(b.told().stdout).toContain("sync: what is acknowledged survives power loss")
    expect(b.told().stdout).toContain("4 of 8 served here")

    expect(await a.run("workspace", "create", "one")).toMatchObject({ code: 0 })
    expect(await b.json("workspace", "list")).toMatchObject([{ name: "one" }])
    const admin = readFileSync(join(second, "admin.token"), "utf8").trim()
    expect(await run("--server", b.http, "--token", admin, "workspace", "show", "one")).toMatchObject({ code: 0 })
    const byCreds = ["--server", url, "--creds", join(first, "admin.creds")]
    expect(await run(...byCreds, "workspace", "show", "one")).toMatchObject({ code: 0 })
    await kill(a)
    const began = performance.now()
    expect(await b.run("workspace", "create", "two")).toMatchObject({ code: 0 })
    expect(performance.now() - began).toBeLessThan(20_000)
    const again = await up(first, ...flags, "--node", "a")
    expect(await again.json("workspace", "list")).toMatchObject([{ name: "one" }, { name: "two" }])
    for (const node of [again, b]) expect(await stop(node)).toMatchObject({ code: 0 })
  })
})

describe.skipIf(!have(file, "nats"))("two nodes on a NATS server", () => {
  it("share an installation by its credentials, and outlive each other", async () => {
    await Effect.runPromise(Effect.scoped(twoNodes()))
  })
})
