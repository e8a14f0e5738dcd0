/** Three nodes on three nats-servers: what concerns several streams at once is the same through each of them. */
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { connect, credsAuthenticator } from "@nats-io/transport-node"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { credsFile } from "../../adapters/nats/credentials.ts"
import { nkeyOf } from "../../adapters/nats/nkey.ts"
import type { NodeProcess } from "./node.ts"
import { have } from "./servers.ts"
import { streamNodes } from "./streams-nodes.ts"

const scope = Effect.runSync(Scope.make())
const json = { "content-type": "application/json" }
let nodes: ReadonlyArray<NodeProcess> = []
let servers: ReadonlyArray<string> = []
let token = ""

const at = (node: number, path: string, init?: RequestInit) => fetch(`${nodes[node % 3]?.url}${path}`, init)
const put = (node: number, path: string, headers: Record<string, string> = json) =>
  at(node, path, { method: "PUT", headers })
const post = (node: number, path: string, body: string, headers: Record<string, string> = json) =>
  at(node, path, { method: "POST", headers, body })

interface Told {
  readonly stream: string
  readonly json: ReadonlyArray<number>
}

/** What an event stream of a bucket tells, until this is enough. */
const events = async (node: number, path: string, isEnough: (all: ReadonlyArray<Told>) => boolean) => {
  let offset = "-1"
  const told: Array<Told> = []
  while (!isEnough(told)) {
    const response = await at(node, `${path}&offset=${offset}`)
    expect(response.status).toBe(200)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    for (let text = ""; !isEnough(told); ) {
      const { value, done } = await reader.read()
      if (done) break
      text += Buffer.from(value).toString()
      const end = text.lastIndexOf("\n\n") + 2
      for (const [, kind, data] of text.slice(0, end).matchAll(/event: (data|control)\ndata:(.*)\n\n/g)) {
        const said = JSON.parse(data ?? "") as Told & { readonly streamNextOffset?: string }
        if (kind === "data") told.push(said)
        else offset = said.streamNextOffset ?? offset
      }
      text = text.slice(end)
    }
    await reader.cancel()
  }
  return told
}

const numbers = (told: ReadonlyArray<Told>, stream: string) =>
  told.filter((each) => each.stream === stream).flatMap((each) => each.json)

const claimOn = async (node: number, id: string, worker: string) => {
  const claimed = await post(node, `/ds/__ds/subscriptions/${id}/claim`, JSON.stringify({ worker }))
  return { status: claimed.status, claim: (await claimed.json()) as Record<string, string> }
}

describe.skipIf(!have("test/real/streams-together.test.ts", "nats"))("three nodes", () => {
  beforeAll(async () => {
    const made = await Effect.runPromise(
      streamNodes(["--long-poll-ms", "500", "--stream-subjects"], 6).pipe(Scope.provide(scope))
    )
    nodes = made.nodes
    servers = made.nats.urls
    token = readFileSync(join(made.data, "admin.token"), "utf8").trim()
  }, 120_000)

  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it("tell the tail of a bucket alike, while appends come through all of them", { timeout: 60_000 }, async () => {
    const streams = ["a", "b/x", "c/y", "d", "e/z"]
    for (const [index, stream] of streams.entries()) expect((await put(index, `/ds/tail/${stream}`)).status).toBe(201)
    const count = 40
    const isEnough = (told: ReadonlyArray<Told>) => told.flatMap((each) => each.json).length >= count * streams.length
    const hearing = [0, 1, 2].map((node) => events(node, "/ds/tail?live=sse", isEnough))
    for (let n = 0; n < count; n++)
      await Promise.all(streams.map((stream, index) => post(index + n, `/ds/tail/${stream}`, `[${n}]`)))
    const all = await Promise.all(hearing)
    for (const told of all)
      for (const stream of streams) expect(numbers(told, stream)).toEqual([...Array(count).keys()])
    const polled = await Promise.all([0, 1, 2].map((node) => at(node, "/ds/tail?live=long-poll&offset=-1")))
    for (const answer of polled) {
      const { streams: ranges } = (await answer.json()) as { readonly streams: ReadonlyArray<Told> }
      expect(new Set(ranges.map(({ stream }) => stream))).toEqual(new Set(streams))
    }
  })

  it("append to several streams or to none, and every node reads so", { timeout: 60_000 }, async () => {
    for (const name of ["events", "state"]) await put(0, `/ds/txn/run/${name}`)
    const operation = (stream: string, n: number) => ({
      stream,
      content_type: "application/json",
      payload: `[${n}]`
    })
    const send = (node: number, n: number, ...streams: ReadonlyArray<string>) =>
      post(node, "/ds/txn/run/$transaction", JSON.stringify({ operations: streams.map((each) => operation(each, n)) }))
    let isOver = false
    /** The state is written behind the events: who reads it first never sees it ahead of them. */
    const watching = [0, 1, 2].map(async (node) => {
      let looked = 0
      for (; !isOver; looked++) {
        const state = (await (await at(node, "/ds/txn/run/state")).json()) as ReadonlyArray<number>
        const told = (await (await at(node, "/ds/txn/run/events")).json()) as ReadonlyArray<number>
        expect(told.slice(0, state.length)).toEqual(state)
      }
      return looked
    })
    for (let n = 0; n < 60; n++) {
      expect((await send(n, n, "events", "state")).status).toBe(200)
      if (n % 10 === 0) expect((await send(n + 1, n, "events", "missing")).status).toBe(404)
    }
    isOver = true
    expect((await Promise.all(watching)).every((looked) => looked > 3)).toBe(true)
    for (const node of [0, 1, 2])
      for (const name of ["events", "state"])
        expect(await (await at(node, `/ds/txn/run/${name}`)).json()).toEqual([...Array(60).keys()])
  })

  it("publish what is appended on the servers, to whom the servers let hear it", { timeout: 60_000 }, async () => {
    const key = nkeyOf("user", randomBytes(32))
    const body = JSON.stringify({ publicKey: key.publicKey, under: "live" })
    const issued = await post(2, "/v1/listeners", body, { authorization: `Bearer ${token}` })
    expect(issued.status).toBe(201)
    const { jwt, inbox } = (await issued.json()) as { readonly jwt: string; readonly inbox: string }
    const authenticator = credsAuthenticator(Buffer.from(credsFile(jwt, key.seed)))
    const nats = await connect({ servers: [...servers], authenticator, inboxPrefix: inbox })
    try {
      const heard: Array<string> = []
      const errors: Array<string> = []
      const listen = (subject: string) =>
        nats.subscribe(subject, {
          callback: (error, message) => void (error ? errors.push(error.message) : heard.push(message.string()))
        })
      listen("art.v1.tail.local.live.>")
      listen("art.v1.tail.>")
      listen("art.v1.log.>")
      await nats.flush()
      const streams = ["a", "b", "c", "d"]
      for (const [index, stream] of streams.entries()) await put(index, `/ds/live/${stream}`)
      await put(0, "/ds/hidden/a")
      for (const [index, stream] of streams.entries()) await post(index, `/ds/live/${stream}`, `["${stream}"]`)
      await post(1, "/ds/hidden/a", '["hidden"]')
      for (let tries = 0; tries < 1_000 && heard.length < 4; tries++) await new Promise((next) => setTimeout(next, 20))
      expect(heard.sort()).toEqual(['["a"]', '["b"]', '["c"]', '["d"]'])
      expect(errors.filter((error) => /permission/i.test(error)).length).toBe(2)
    } finally {
      await nats.close()
    }
  })

  it("end the appends of a claim on every node, and prove a stream alike", { timeout: 60_000 }, async () => {
    for (const path of ["/ds/jobs/work", "/ds/out/a", "/ds/out/b", "/ds/out/c"]) await put(0, path)
    await post(0, "/ds/jobs/work", "[1]")
    const config = { type: "pull-wake", streams: ["jobs/work"], wake_stream: "jobs/wakes", lease_ttl_ms: 60_000 }
    const body = JSON.stringify(config)
    expect((await at(0, "/ds/__ds/subscriptions/jobs", { method: "PUT", headers: json, body })).status).toBe(201)
    await post(1, "/ds/jobs/work", "[2]")
    const first = await claimOn(1, "jobs", "one")
    expect(first.status).toBe(200)
    const held = { ...json, "stream-fence": first.claim["fence"] ?? "" }
    for (const [node, path] of ["/ds/out/a", "/ds/out/b", "/ds/out/c"].entries())
      expect((await post(node, path, '["first"]', held)).status).toBe(204)
    const round = { wake_id: first.claim["wake_id"], generation: first.claim["generation"] }
    const bearer = { ...json, authorization: `Bearer ${first.claim["token"]}` }
    const released = await post(2, "/ds/__ds/subscriptions/jobs/release", JSON.stringify(round), bearer)
    expect(released.status).toBe(204)
    const second = await claimOn(0, "jobs", "two")
    expect(second.status).toBe(200)
    for (const [node, path] of ["/ds/out/a", "/ds/out/b", "/ds/out/c"].entries())
      expect((await post(node + 1, path, '["late"]', held)).status).toBe(403)
    const mine = { ...json, "stream-fence": second.claim["fence"] ?? "" }
    expect((await post(2, "/ds/out/a", '["second"]', mine)).status).toBe(204)
    expect(await (await at(1, "/ds/out/a")).json()).toEqual(["first", "second"])
    await put(1, "/ds/proofs/x", { ...json, "stream-proof": "sha-256" })
    for (let n = 0; n < 12; n++) await post(n, "/ds/proofs/x", `[${n}]`)
    const heads = await Promise.all([0, 1, 2].map((node) => at(node, "/ds/proofs/x", { method: "HEAD" })))
    const reads = await Promise.all([0, 1, 2].map((node) => at(node, "/ds/proofs/x")))
    const digests = [...heads, ...reads].map(({ headers }) => headers.get("stream-proof"))
    expect(new Set(digests).size).toBe(1)
    expect(digests[0]).toMatch(/^sha-256=/)
    const pages = await Promise.all([0, 1, 2].map(async (node) => (await at(node, "/ds/proofs/x/proof")).json()))
    expect(pages[1]).toEqual(pages[0])
    expect(pages[2]).toEqual(pages[0])
    const past = await Promise.all(
      [0, 1, 2].map(async (node) => (await at(node, `/ds/proofs/x/inspect?at=${Date.now()}`)).json())
    )
    expect((past[0] as { readonly entries: ReadonlyArray<object> }).entries.length).toBe(13)
    expect(past.slice(1).map((each) => (each as { readonly entries: object }).entries)).toEqual([
      (past[0] as { readonly entries: object }).entries,
      (past[0] as { readonly entries: object }).entries
    ])
  })
})
