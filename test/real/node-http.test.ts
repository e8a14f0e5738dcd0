/** A node over HTTP: health, metrics and the gateway, with keys that are good, wrong, revoked and of others. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { connect } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, run, stop, type Up, up } from "./command.ts"

afterAll(cleanUp)

describe("a node over HTTP", () => {
  const data = freshPath()
  let node: Up
  let admin = ""
  beforeAll(async () => {
    node = await up(data)
    admin = readFileSync(join(data, "admin.token"), "utf8").trim()
  })

  const post = async (path: string, body: string, headers: Readonly<Record<string, string>> = {}) => {
    const authorization = `Bearer ${admin}`
    const response = await fetch(`${node.http}${path}`, {
      method: "POST",
      body,
      headers: { authorization, ...headers }
    })
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>
    }
  }

  it("tells its health", async () => {
    const response = await fetch(`${node.http}/healthz`)
    expect(response.status).toBe(200)
    const held = Array.from({ length: 16 }, (_, shard) => ({ shard, epoch: 1 }))
    expect(await response.json()).toMatchObject({
      status: "ok",
      ready: true,
      version: "0.1.0",
      mode: "standalone",
      durability: "sync",
      bus: node.nats,
      journal: join(data, "journal.sqlite"),
      objects: join(data, "objects"),
      shards: { total: 16, held }
    })
    expect((await fetch(`${node.http}/healthz`, { method: "HEAD" })).status).toBe(200)
  })

  it("tells what it counts", async () => {
    let scraped = ""
    const of = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(scraped)?.[1])
    // A node that has just begun is still reading its partitions: what it asks of them may be waiting for a moment.
    const depth = async () => {
      const response = await fetch(`${node.http}/metrics`)
      expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
      scraped = await response.text()
      return of("artifacts_mailbox_depth")
    }
    await expect.poll(depth).toBe(0)
    expect(of("artifacts_entries_total")).toBeGreaterThanOrEqual(2)
    expect(of("artifacts_shards_held")).toBe(16)
    expect(of("artifacts_actors")).toBeGreaterThanOrEqual(1)
    expect(of("artifacts_log_bytes")).toBeGreaterThan(0)
    expect(of("artifacts_broker_messages_in_total")).toBeGreaterThan(0)
    expect(of("process_resident_memory_bytes")).toBeGreaterThan(0)
    expect(of("nodejs_eventloop_lag_seconds")).toBeGreaterThanOrEqual(0)
    expect(scraped).toContain('artifacts_append_milliseconds_bucket{le="1"}')
    for (const line of scraped.trim().split("\n"))
      expect(line).toMatch(/^(# (HELP|TYPE) |[a-z_]+(\{[^}]*\})? -?[0-9.e+-]+$)/)
  })

  it("does and asks in the name of the key, once for each id", async () => {
    const make = () => post("/v1/do/account/local/CreateWorkspace", '{"name":"web"}', { "art-id": "make-web" })
    const first = await make()
    expect(first).toMatchObject({ status: 200, body: { ok: { workspace: { id: "local_1", name: "web" } } } })
    expect((await make()).body).toEqual(first.body)
    expect(await post("/v1/do/account/local/CreateWorkspace", '{"name":"web"}')).toMatchObject({
      status: 409,
      body: { code: "NameTaken", refused: { _tag: "NameTaken", name: "web" } }
    })
    expect(await post("/v1/ask/account/local/ShowWorkspace", '{"name":"none"}')).toMatchObject({
      status: 404,
      body: { code: "NoSuchWorkspace", message: "NoSuchWorkspace: name none" }
    })
    expect(await post("/v1/ask/account/local/ShowOrganisation", "")).toMatchObject({ status: 200 })
  })

  it("refuses what is malformed, and says what it is", async () => {
    const show = "/v1/ask/account/local/ShowWorkspace"
    expect(await post(show, "{")).toMatchObject({ status: 400, body: { code: "Malformed" } })
    expect(await post(show, '{"nam":1}')).toMatchObject({ status: 400, body: { failed: { _tag: "Malformed" } } })
    expect(await post("/v1/do/account/local/Fly", "{}")).toMatchObject({ status: 400 })
    expect(await post("/v1/do/planet/local/Fly", "{}")).toMatchObject({ status: 404, body: { code: "NoSuchKind" } })
    expect(await post("/v1/do/account/lo%2Ecal/Fly", "{}")).toMatchObject({ status: 400 })
    expect(await post(show, "{}", { "art-id": "a b" })).toMatchObject({ status: 400 })
    expect(await post(show, "{}", { "art-deadline": "soon" })).toMatchObject({ status: 400 })
    expect(await post(show, "{}", { "art-deadline": "1000" })).toMatchObject({ status: 504, body: { code: "Late" } })
    expect(await post(show, "{}", { "content-type": "text/xml" })).toMatchObject({ status: 415 })
    expect(await post("/v1/nothing", "{}")).toMatchObject({ status: 404, body: { code: "NotFound" } })
    const got = await fetch(`${node.http}${show}`)
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"])
    expect(await got.json()).toMatchObject({ code: "MethodNotAllowed" })
  })

  it("takes no body over a megabyte, announced or not", async () => {
    const long = JSON.stringify({ name: "x".repeat(1024 * 1024) })
    expect(await post("/v1/ask/account/local/ShowWorkspace", long)).toMatchObject({ status: 413 })
    const chunked = await new Promise<number>((resolve, reject) => {
      const headers = { authorization: `Bearer ${admin}` }
      const asked = request(
        `${node.http}/v1/ask/account/local/ShowWorkspace`,
        { method: "POST", headers },
        (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        }
      )
      asked.on("error", reject)
      for (let part = 0; part < 20; part++) asked.write("x".repeat(64 * 1024))
    })
    expect(chunked).toBe(413)
  })

  it("lets nobody in without a good key, and nobody to another's organisation", async () => {
    const show = "/v1/ask/account/local/ShowOrganisation"
    const bare = await fetch(`${node.http}${show}`, { method: "POST" })
    expect([bare.status, bare.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="artifacts"'])
    for (const token of [
      "nonsense",
      "art_local_aaaaaaaa_00000000000000000000000000000000",
      `${admin.slice(0, -4)}0000`
    ]) {
      const answer = await post(show, "", { authorization: `Bearer ${token}` })
      expect(answer).toMatchObject({ status: 401, body: { code: "Unauthorized" } })
      expect(JSON.stringify(answer.body)).not.toContain(token.slice(-20))
    }
    expect(await post("/v1/ask/account/acme/ShowOrganisation", "")).toMatchObject({
      status: 403,
      body: { code: "Forbidden", message: "a key of the organisation local does not reach account/acme" }
    })
  })

  it("knows members from admins, and a revoked key no more", async () => {
    const issued = (await node.json("key", "issue", "--label", "ci", "--expires", "1h")) as {
      token: string
      key: { key: string }
    }
    const authorization = `Bearer ${issued.token}`
    const show = () => post("/v1/ask/account/local/ShowOrganisation", "", { authorization })
    expect(await show()).toMatchObject({ status: 200 })
    const revoke = JSON.stringify({ key: issued.key.key })
    expect(await post("/v1/do/account/local/RevokeKey", revoke, { authorization })).toMatchObject({ status: 403 })
    const connection = await connect({ servers: node.nats, token: issued.token, reconnect: false })
    await connection.flush()
    expect(await node.run("key", "revoke", issued.key.key)).toMatchObject({ code: 0 })
    expect(await connection.closed()).toMatchObject({ message: expect.stringMatching(/revoked/i) })
    expect(await show()).toMatchObject({ status: 401, body: { message: "the key was revoked" } })
    expect((await node.run("key", "list")).stdout).toMatch(new RegExp(`^${issued.key.key}  member  revoked`, "m"))
  })

  it("serves the command line from afar, over HTTP and over NATS", async () => {
    for (const server of [node.http, node.nats]) {
      const afar = (token: string) => run("--server", server, "--token", token, "--json", "workspace", "list")
      expect(JSON.parse((await afar(admin)).stdout)).toMatchObject([{ name: "web" }])
      const refused = await afar("art_local_aaaaaaaa_00000000000000000000000000000000")
      expect([refused.code, refused.stdout]).toEqual([1, ""])
    }
    const byCreds = ["--server", node.nats, "--creds", join(data, "admin.creds")]
    expect(await run(...byCreds, "workspace", "show", "web")).toMatchObject({ code: 0 })
    expect(await run("--server", node.http, "workspace", "list")).toMatchObject({ code: 2 })
  })

  it("lets an answer finish that was under way when it is to stop, and logs no secret", async () => {
    const headers = { authorization: `Bearer ${admin}`, "content-length": "14", expect: "100-continue" }
    const path = `${node.http}/v1/ask/account/local/ShowWorkspace`
    const asked = request(path, { method: "POST", headers, agent: false })
    const answer = new Promise<string>((resolve, reject) => {
      asked.once("error", reject)
      asked.once("response", (response) => void text(response).then(resolve, reject))
    })
    asked.write('{"name"')
    await once(asked, "continue")
    const stopping = stop(node)
    await expect.poll(() => node.told().stderr).toContain("stopping")
    asked.end(':"web"}')
    expect(JSON.parse(await answer)).toMatchObject({ ok: { workspace: { name: "web" } } })
    const ended = await stopping
    expect(ended.code).toBe(0)
    expect(ended.ms).toBeLessThan(5_000)
    expect(ended.stderr + ended.stdout).not.toContain(admin.split("_")[3])
  })
})
