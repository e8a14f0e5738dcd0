/** A node's life from its first start on, as the command line sees it. */
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, kill, run, start, stop, type Up, up } from "./command.ts"

afterAll(cleanUp)

describe("a node on its own", () => {
  const data = freshPath()
  let node: Up
  beforeAll(async () => {
    node = await up(data)
  })

  it("makes its directory for its owner alone, with all that a command needs", () => {
    const names = ["admin.creds", "admin.token", "node.creds", "node.json", "operator.seed", "account.seed", "version"]
    expect(readdirSync(data)).toEqual(expect.arrayContaining([...names, "journal.sqlite", "lock", "objects", "shards"]))
    expect(statSync(data).mode & 0o777).toBe(0o700)
    const open = readdirSync(data).filter((name) => statSync(join(data, name)).mode & 0o077)
    expect(open).toEqual([])
    expect(readFileSync(join(data, "version"), "utf8")).toBe("1\n")
  })

  it("says where it is, what it promises, and what to type next", () => {
    const { stdout } = node.told()
    expect(stdout).toContain(`is up: node `)
    expect(stdout).toContain(node.nats)
    expect(stdout).toContain(node.http)
    expect(stdout).toContain("sync: what is acknowledged survives power loss")
    expect(stdout).toContain("16 of 16 served here")
    expect(stdout).toContain(`artifacts workspace create demo --data ${data}`)
  })

  it("has workspaces made, listed, shown and deleted", async () => {
    expect(await node.run("workspace", "list")).toMatchObject({ code: 0, stdout: "no workspaces yet\n" })
    const made = await node.run("workspace", "create", "demo", "--layout", "generations")
    expect(made).toMatchObject({ code: 0, stdout: "workspace demo created (local_1)\n", stderr: "" })
    const byo = [
      "--backend",
      "byo",
      "--bucket",
      "my-bucket",
      "--endpoint",
      "https://s3.example.com",
      "--region",
      "eu-1"
    ]
    expect(await node.json("workspace", "create", "mine", ...byo)).toMatchObject({
      name: "mine",
      storage: { _tag: "Byo", bucket: "my-bucket", endpoint: "https://s3.example.com", region: "eu-1" }
    })
    const { stdout } = await node.run("workspace", "ls")
    expect(stdout.split("\n")[0]).toBe("NAME  ID       LAYOUT       STORAGE                           CREATED")
    expect(stdout).toContain("demo  local_1  generations  managed")
    expect((await node.run("workspace", "show", "demo")).stdout).toMatch(/^name {5}demo\nid {7}local_1\n/)
    expect(await node.run("workspace", "delete", "demo")).toMatchObject({
      stdout: "workspace demo deleted (local_1)\n"
    })
    expect(await node.json("workspace", "list", "--deleted")).toMatchObject([{ name: "demo", deletedBy: "admin" }])
  })

  it("refuses in one line, with what to try next, and in JSON for machines", async () => {
    expect(await node.run("workspace", "create", "mine")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "artifacts: there is a workspace mine already\n  look at it with: artifacts workspace show mine\n"
    })
    expect(await node.json("workspace", "show", "nope")).toMatchObject({
      error: { code: "NoSuchWorkspace", message: "there is no workspace nope", details: { name: "nope" } }
    })
    expect(await node.run("workspace", "create", "no/slash")).toMatchObject({ code: 2 })
    expect(await node.run("workspace", "create")).toMatchObject({
      code: 2,
      stderr: "artifacts: Missing required argument: NAME\n  see artifacts workspace create --help\n"
    })
    expect(await node.run("workspace", "create", "x", "--bucket", "b")).toMatchObject({
      code: 2,
      stderr: "artifacts: --bucket is for --backend byo\n"
    })
    expect(await node.run("--org", "other", "workspace", "list")).toMatchObject({
      code: 1,
      stderr: "artifacts: there is no organisation other\n  make it with: artifacts org create --org other\n"
    })
  })

  it("makes organisations, and speaks to any actor", async () => {
    expect(await node.run("org", "create", "--org", "acme", "--title", "Acme")).toMatchObject({
      stdout: "organisation acme created\n"
    })
    expect(await node.json("--org", "acme", "org", "show")).toMatchObject({ org: "acme", title: "Acme" })
    const twice = ["do", "account", "acme", "CreateWorkspace", '{"name":"w"}', "--id", "once"]
    const first = await node.run(...twice)
    expect(await node.run(...twice)).toEqual(first)
    const asked = await start(["--data", data, "ask", "account", "acme", "ShowWorkspace", "-"], '{"name":"w"}').ended
    expect(JSON.parse(asked.stdout)).toMatchObject({ workspace: { id: "acme_1", createdBy: "admin" } })
    expect(await node.run("do", "account", "acme", "Fly")).toMatchObject({ code: 1, stdout: "" })
    const { commands } = (await node.json("subject", "account", "acme")) as { commands: string }
    expect(commands).toMatch(/^art\.v1\.do\.account\.\d+\.acme\.admin\.COMMAND$/)
  })

  it("refuses a second node on the directory, and names the process that has it", async () => {
    const second = await run("up", "--data", data)
    expect(second).toMatchObject({ code: 1, stdout: "" })
    expect(second.stderr).toContain(`the data directory ${data} is in use by the process ${node.pid}`)
    expect(await node.run("workspace", "list")).toMatchObject({ code: 0 })
  })

  it("keeps everything over kill -9, and says meanwhile that it is gone", async () => {
    const before = await node.json("workspace", "list")
    await kill(node)
    const gone = await node.run("workspace", "list")
    expect(gone).toMatchObject({ code: 1 })
    expect(gone.stderr).toContain(`the node that ran in ${data} (process ${node.pid}) does not answer`)
    expect(gone.stderr).toContain(`start one with: artifacts up --data ${data}`)
    node = await up(data)
    expect(await node.json("workspace", "list")).toEqual(before)
    expect(await node.json("key", "list")).toHaveLength(1)
  })

  it("ends within five seconds of SIGTERM, with success and without a trace", async () => {
    const ended = await stop(node)
    expect(ended).toMatchObject({ code: 0, signal: null })
    expect(ended.ms).toBeLessThan(5_000)
    expect(existsSync(join(data, "node.json"))).toBe(false)
    const after = await node.run("workspace", "list")
    expect(after.stderr).toContain(`artifacts: no node is running in ${data}\n  start one with: artifacts up --data`)
    for (const line of ended.stderr.trim().split("\n")) expect(JSON.parse(line)).toMatchObject({ level: "info" })
  })

  it("makes lost credentials again, and nothing else that is lost", async () => {
    rmSync(join(data, "admin.creds"))
    rmSync(join(data, "admin.token"))
    node = await up(data, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process")
    expect(node.told().stdout).toContain("process: what is acknowledged survives kill -9, not power loss")
    expect(await node.json("key", "list")).toHaveLength(2)
    // A request that never ends holds up the stop; the second signal does not wait for it.
    const authorization = `Bearer ${readFileSync(join(data, "admin.token"), "utf8").trim()}`
    const headers = { authorization, "content-length": "9", expect: "100-continue" }
    const held = request(`${node.http}/v1/ask/account/local/X`, { method: "POST", headers })
    held.on("error", () => {})
    held.write("{")
    await once(held, "continue")
    node.child.kill("SIGTERM")
    await expect.poll(() => node.told().stderr).toContain("stopping")
    expect(await stop(node)).toMatchObject({ code: 143, signal: null })
    rmSync(join(data, "account.seed"))
    const refused = await run("up", "--data", data)
    expect(refused).toMatchObject({ code: 1 })
    expect(refused.stderr).toContain(`${join(data, "account.seed")} is missing`)
  })
})
