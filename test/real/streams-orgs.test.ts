/** Streams of two organisations on one node: the same names, and nothing of each other. */
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, stop, type Up, up } from "./command.ts"

let node: Up
const keys: Record<string, string> = {}

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
  node = await up(freshPath(), ...free, "--streams-open", "no", "--long-poll-ms", "300")
  keys["local"] = readFileSync(join(node.data, "admin.token"), "utf8").trim()
  for (const org of ["acme", "zeta"]) {
    await node.run("--org", org, "org", "create")
    keys[org] = ((await node.json("--org", org, "key", "issue")) as { readonly token: string }).token
  }
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
})

type Init = RequestInit & { readonly headers?: Record<string, string> }

const as = (org: string, path: string, init: Init = {}) =>
  fetch(`${node.http}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${keys[org] ?? org}`, ...init.headers }
  })
const json = { "content-type": "application/json" }
const put = (org: string, path: string, body = "", headers: Record<string, string> = {}) =>
  as(org, path, { method: "PUT", headers: { ...json, ...headers }, ...(body !== "" && { body }) })
const post = (org: string, path: string, body: string, headers: Record<string, string> = {}) =>
  as(org, path, { method: "POST", headers: { ...json, ...headers }, body })

describe("two organisations", () => {
  it("have streams of the same names, and read their own", async () => {
    for (const org of ["acme", "zeta", "local"]) {
      for (const path of ["/ds/runs/42/events", "/v1/stream/single"]) {
        expect((await put(org, path)).status).toBe(201)
        expect((await post(org, path, JSON.stringify({ org }))).status).toBe(204)
      }
    }
    for (const org of ["acme", "zeta", "local"])
      for (const path of ["/ds/runs/42/events", "/streams/single", "/ds/_default/single"])
        expect(await (await as(org, path)).json()).toEqual([{ org }])
    await put("acme", "/ds/secret/plans")
    for (const path of ["/ds/secret/plans", "/ds/@acme/secret/plans", "/v1/stream/@acme/secret/plans"]) {
      for (const org of ["zeta", "local"]) {
        const answer = await as(org, path)
        expect([400, 404]).toContain(answer.status)
        expect(await answer.text()).not.toContain("acme/secret/plans was")
      }
    }
    for (const facet of ["attrs", "inspect", "bootstrap", "snapshot"])
      for (const bucket of ["secret", "@acme/secret", "%40acme%2Fsecret"])
        expect([400, 404]).toContain((await as("zeta", `/ds/${bucket}/plans/${facet}`)).status)
    const inspected = (await (await as("acme", "/ds/runs/42/events/inspect")).json()) as Record<string, unknown>
    expect(inspected["stream"]).toBe("runs/42/events")
    expect(JSON.stringify(inspected)).not.toContain("@acme")
  })

  it("list, follow and fork nothing of each other", async () => {
    const lists = await Promise.all(
      ["acme", "zeta"].map(async (org) => {
        const page = (await (await as(org, "/ds/secret")).json()) as { streams: Array<{ stream_id: string }> }
        return page.streams.map(({ stream_id }) => stream_id)
      })
    )
    expect(lists).toEqual([["plans"], []])
    for (const bucket of ["@acme", "%40acme", "@acme%2Fsecret"])
      expect([400, 404]).toContain((await as("zeta", `/ds/${bucket}?limit=10`)).status)
    const tail = async (org: string) => {
      const answer = await as(org, "/ds/runs?live=long-poll&offset=-1")
      return ((await answer.json()) as { streams: ReadonlyArray<object> }).streams
    }
    expect(await tail("acme")).toMatchObject([{ stream: "42/events", json: [{ org: "acme" }] }])
    expect(await tail("zeta")).toMatchObject([{ stream: "42/events", json: [{ org: "zeta" }] }])
    const fork = (org: string, from: string) =>
      as(org, `/ds/forks/${org}`, { method: "PUT", headers: { "stream-forked-from": from } })
    expect((await fork("zeta", "/ds/secret/plans")).status).toBe(404)
    expect((await fork("zeta", "/ds/@acme/secret/plans")).status).toBe(400)
    expect((await fork("acme", "/ds/runs/42/events")).status).toBe(201)
    expect(await (await as("acme", "/ds/forks/acme")).json()).toEqual([{ org: "acme" }])
    const operations = [{ stream: "42/events", content_type: "application/json", payload: "[1]" }]
    const across = { operations: [...operations, { ...operations[0], stream: "@acme/42/events" }] }
    expect((await post("zeta", "/ds/runs/$transaction", JSON.stringify({ operations }))).status).toBe(200)
    expect((await post("zeta", "/ds/runs/$transaction", JSON.stringify(across))).status).not.toBe(200)
    expect(await (await as("acme", "/ds/runs/42/events")).json()).toEqual([{ org: "acme" }])
  })

  it("are woken for their own, claim in their own name, and append under their own claims", async () => {
    const path = "/v1/stream/__ds/subscriptions/all"
    const config = JSON.stringify({ type: "pull-wake", pattern: "**", wake_stream: "wakes", lease_ttl_ms: 1000 })
    for (const org of ["acme", "zeta", "local"]) {
      await put(org, "/v1/stream/wakes")
      const made = await put(org, path, config)
      expect(made.status).toBe(201)
      const told = (await made.json()) as { streams: Array<{ path: string }>; id: string }
      expect(told.id).toBe("all")
      const paths = told.streams.map((each) => each.path)
      expect(paths).toContain("single")
      expect(paths.includes("secret/plans")).toBe(org === "acme")
      expect(JSON.stringify(told)).not.toContain("@")
    }
    await post("acme", "/ds/secret/plans", "[1]")
    expect((await post("zeta", `${path}/claim`, '{"worker":"z"}')).status).toBe(409)
    const claimed = await post("acme", `${path}/claim`, '{"worker":"a"}')
    const claim = (await claimed.json()) as Record<string, string> & { streams: ReadonlyArray<object> }
    expect(claim.streams).toMatchObject([{ path: "secret/plans" }])
    const fence = { "stream-fence": claim["fence"] ?? "" }
    expect((await post("acme", "/ds/runs/42/events", "[2]", fence)).status).toBe(204)
    expect((await post("zeta", "/ds/runs/42/events", "[2]", fence)).status).toBe(403)
    const round = { wake_id: claim["wake_id"], generation: claim["generation"] }
    const ack = (org: string) => post(org, `${path}/ack`, JSON.stringify({ ...round, done: true }))
    expect((await ack(claim["token"] ?? "")).status).toBe(200)
    expect((await ack((claim["token"] ?? "").replace("acme.", "zeta."))).status).toBe(401)
    expect((await post("acme", "/ds/runs/42/events", "[3]", fence)).status).toBe(403)
    const stray = { type: "pull-wake", streams: ["@acme/secret/plans"], wake_stream: "wakes" }
    expect((await put("zeta", `${path}2`, JSON.stringify(stray))).status).toBe(400)
  })

  it("are posted to in their own words, and call back without a key", async () => {
    const heard: Array<Record<string, string> & { streams: ReadonlyArray<object> }> = []
    const receiver = createServer((request, response) => {
      let text = ""
      request.on("data", (part) => {
        text += part
      })
      request.on("end", () => {
        heard.push(JSON.parse(text))
        response.writeHead(200).end("{}")
      })
    })
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve))
    const { port } = receiver.address() as AddressInfo
    const config = { type: "webhook", pattern: "hooked/*", webhook: { url: `http://127.0.0.1:${port}/` } }
    const path = "/v1/stream/__ds/subscriptions/hook"
    try {
      expect((await put("acme", path, JSON.stringify(config))).status).toBe(201)
      await put("zeta", "/ds/hooked/theirs", "[1]")
      await put("acme", "/ds/hooked/mine", "[1]")
      for (let tries = 0; tries < 1_000 && heard.length === 0; tries++)
        await new Promise((resolve) => setTimeout(resolve, 25))
      const [told] = heard
      expect(told).toMatchObject({ subscription_id: "hook", streams: [{ path: "hooked/mine" }] })
      expect(JSON.stringify(told)).not.toContain("@")
      const fence = { "stream-fence": told?.["fence"] ?? "" }
      expect((await post("acme", "/ds/runs/42/events", "[9]", fence)).status).toBe(204)
      expect((await post("zeta", "/ds/runs/42/events", "[9]", fence)).status).toBe(403)
      const done = { wake_id: told?.["wake_id"], generation: told?.["generation"], done: true }
      const callback = new URL(told?.["callback_url"] ?? "").pathname
      expect((await post(told?.["callback_token"] ?? "", callback, JSON.stringify(done))).status).toBe(200)
      expect((await post("acme", "/ds/runs/42/events", "[9]", fence)).status).toBe(403)
    } finally {
      receiver.close()
    }
  })
})
