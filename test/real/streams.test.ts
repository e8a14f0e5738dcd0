/** Streams of a node as a process: what survives kill -9, what hostile requests do, and who waits for whom. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type NodeProcess, nodeProcess } from "./node.ts"

const scope = Effect.runSync(Scope.make())
const data = mkdtempSync(join(tmpdir(), "artifacts-streams-"))
const flags = ["--nats", "127.0.0.1:0", "--long-poll-ms", "400"]
let node: NodeProcess

beforeAll(async () => {
  node = await Effect.runPromise(nodeProcess({ name: "streams", data, flags }).pipe(Scope.provide(scope)))
  await Effect.runPromise(node.ready)
})

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(data, { recursive: true, force: true })
  rmSync(`${data}.log`, { force: true })
})

let count = 0
const fresh = (): string => `/ds/test/${process.pid}-${count++}`
const ask = (path: string, init?: RequestInit) => fetch(`${node.url}${path}`, init)
const text = { "content-type": "text/plain" }
const json = { "content-type": "application/json" }
const make = async (headers: Record<string, string> = text): Promise<string> => {
  const path = fresh()
  expect((await ask(path, { method: "PUT", headers })).status).toBe(201)
  return path
}
/** Ends when this is so, and fails after a while in which it was not. */
const eventually = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = Date.now() + 20_000; !(await isSo()); ) {
    if (Date.now() > end) throw new Error("it did not come about")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const append = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = text) =>
  ask(path, { method: "POST", headers, body })

describe("streams of a node", () => {
  it("carry bodies of 10 MB, which forks and pages read as they are", async () => {
    const path = await make({ "content-type": "application/octet-stream" })
    const large = randomBytes(10 * 1024 * 1024)
    const headers = { "content-type": "application/octet-stream" }
    expect((await append(path, "before", headers)).status).toBe(204)
    expect((await append(path, large, headers)).status).toBe(204)
    expect((await append(path, "after", headers)).status).toBe(204)
    const fork = fresh()
    await ask(fork, { method: "PUT", headers: { "stream-forked-from": path } })
    for (const each of [path, fork]) {
      const read = await (await ask(each)).bytes()
      expect(Buffer.concat([Buffer.from("before"), large, Buffer.from("after")]).equals(read)).toBe(true)
    }
  })

  it("append to several streams in one commit, or to none", async () => {
    const under = `/ds/test/run${count++}`
    for (const name of ["events", "state"]) await ask(`${under}/${name}`, { method: "PUT", headers: json })
    const operation = (stream: string) => ({ stream, content_type: "application/json", payload: "[1,2]" })
    const send = (...streams: ReadonlyArray<string>) =>
      ask(`${under}/$transaction`, { method: "POST", body: JSON.stringify({ operations: streams.map(operation) }) })
    expect((await send("events", "state")).status).toBe(200)
    expect((await send("events", "missing")).status).toBe(404)
    expect(await (await ask(`${under}/events`)).json()).toEqual([1, 2])
    expect(await (await ask(`${under}/state`)).json()).toEqual([1, 2])
  })

  it("append only where the writer thinks the end is, whatever the type", async () => {
    const path = await make()
    const [a, b] = await Promise.all(
      ["a", "b"].map((body) => append(path, body, { ...text, "if-match": '"0000000000000000_0000000000000000"' }))
    )
    expect([a?.status, b?.status].sort()).toEqual([204, 412])
  })

  it("keep a snapshot and what follows it, and nothing before the floor", async () => {
    const path = await make(json)
    for (const n of [1, 2, 3]) await append(path, `{"n":${n}}`, json)
    const offset = "0000000000000000_0000000000000016"
    const snapshot = await ask(`${path}/snapshot/${offset}`, { method: "PUT", headers: json, body: '{"sum":3}' })
    expect(snapshot.status).toBe(204)
    const whole = await ask(`${path}/bootstrap`)
    expect(whole.headers.get("stream-snapshot-offset")).toBe(offset)
    const boundary = whole.headers.get("content-type")?.split("boundary=")[1] ?? "?"
    const parts = (await whole.text()).split(`--${boundary}`).map((part) => part.split("\r\n\r\n")[1]?.trim())
    expect(parts.slice(1, -1)).toEqual(['{"sum":3}', '[{"n":3}]'])
    expect((await ask(`${path}/retention/${offset}`, { method: "PUT" })).status).toBe(204)
    expect((await ask(path)).status).toBe(410)
    expect(await (await ask(`${path}?offset=${offset}`)).json()).toEqual([{ n: 3 }])
    const fork = fresh()
    expect((await ask(fork, { method: "PUT", headers: { "stream-forked-from": path } })).status).toBe(201)
    expect(await (await ask(`${fork}?offset=${offset}`)).json()).toEqual([{ n: 3 }])
    expect((await ask(fork)).status).toBe(410)
  })

  it("list what a bucket holds, page by page", async () => {
    const bucket = `list${process.pid}`
    const names = Array.from({ length: 25 }, (_, index) => `s${String(index).padStart(2, "0")}`)
    await Promise.all(names.map((name) => ask(`/ds/${bucket}/${name}`, { method: "PUT", headers: text })))
    const found: Array<string> = []
    for (let after = ""; ; ) {
      const page = await (await ask(`/ds/${bucket}?limit=10&prefix=s&after=${after}`)).json()
      const told = page as { streams: Array<{ stream_id: string }>; next_cursor?: string; has_more: boolean }
      found.push(...told.streams.map(({ stream_id }) => stream_id))
      if (!told.has_more) break
      after = told.next_cursor ?? ""
    }
    expect(found).toEqual(names)
  })

  it("tell those who wait that a stream was deleted", async () => {
    const path = await make()
    const poll = ask(`${path}?offset=now&live=long-poll`)
    // The head of an event stream says that it listens; a poll that came behind the end would be told the same.
    const events = (await ask(`${path}?offset=now&live=sse`)).text()
    await new Promise((resolve) => setTimeout(resolve, 150))
    await ask(path, { method: "DELETE" })
    expect((await poll).status).toBe(404)
    expect(await events).toContain("event: control")
  })

  it("give a subscriber everything once and in order, although it reads slowly", async () => {
    const path = await make()
    const response = await ask(`${path}?offset=-1&live=sse`)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const sent = Array.from({ length: 400 }, (_, index) => `${index}:${"x".repeat(8000)};`)
    for (let at = 0; at < sent.length; at += 40) await append(path, sent.slice(at, at + 40).join(""))
    await ask(path, { method: "POST", headers: { "stream-closed": "true" } })
    let received = ""
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      received += Buffer.from(value).toString()
    }
    const lines = received.split("\n").filter((line) => line.startsWith("data:") && !line.startsWith("data:{"))
    expect(lines.map((line) => line.slice("data:".length)).join("")).toBe(sent.join(""))
    expect(received).toContain('"streamClosed":true')
  })

  it("survive kill -9 with all that was acknowledged, each once", { timeout: 120_000 }, async () => {
    const path = await make()
    let acknowledged = 0
    let stopping = false
    const writer = async () => {
      for (let seq = 0; !stopping; ) {
        const producer = { "producer-id": "w", "producer-epoch": "0", "producer-seq": String(seq) }
        const status = await append(path, `${seq};`, { ...text, ...producer }).then(
          (response) => response.status,
          () => 0
        )
        if (status === 200 || status === 204) {
          seq += 1
          acknowledged = seq
        } else await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    const writing = writer()
    for (let round = 0; round < 3; round++) {
      const before = acknowledged
      await new Promise((resolve) => setTimeout(resolve, 400))
      await eventually(() => acknowledged > before + 5)
      await Effect.runPromise(Effect.andThen(node.kill, node.start))
    }
    const before = acknowledged
    await eventually(() => acknowledged > before + 5)
    stopping = true
    await writing
    const read = (await (await ask(path)).text()).split(";").slice(0, -1)
    expect(read).toEqual(Array.from({ length: read.length }, (_, seq) => String(seq)))
    expect(read.length).toBeGreaterThanOrEqual(acknowledged)
    expect(acknowledged).toBeGreaterThan(20)
  })

  it("wake a webhook that was away, and know after kill -9 what it has done", { timeout: 120_000 }, async () => {
    const under = `hooks${process.pid}`
    const heard: Array<{ readonly tail: string; readonly generation: number }> = []
    let status = 500
    const receiver = createServer((request, response) => {
      let text = ""
      request.on("data", (part) => {
        text += part
      })
      request.on("end", () => {
        const told = JSON.parse(text) as { generation: number; streams: Array<{ tail_offset: string }> }
        heard.push({ tail: told.streams[0]?.tail_offset ?? "", generation: told.generation })
        response.writeHead(status).end(JSON.stringify({ done: status === 200 }))
      })
    })
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve))
    const { port } = receiver.address() as AddressInfo
    const id = `/ds/__ds/subscriptions/hook-${process.pid}`
    const config = { type: "webhook", pattern: `${under}/*`, webhook: { url: `http://127.0.0.1:${port}/` } }
    const put = () => ask(id, { method: "PUT", headers: json, body: JSON.stringify({ ...config, lease_ttl_ms: 1000 }) })
    try {
      expect((await put()).status).toBe(201)
      const path = `/ds/${under}/events`
      await ask(path, { method: "PUT", headers: json, body: "[1]" })
      await eventually(() => heard.length > 0)
      await Effect.runPromise(Effect.andThen(node.kill, node.start))
      expect((await put()).status).toBe(200)
      status = 200
      const acked = async () => {
        const told = (await (await ask(id)).json()) as { streams: Array<{ acked_offset: string }> }
        return told.streams[0]?.acked_offset
      }
      const tail = async () => (await ask(path, { method: "HEAD" })).headers.get("stream-next-offset")
      await eventually(async () => (await acked()) === (await tail()))
      const first = heard.length
      expect(heard.map(({ generation }) => generation)).toEqual(heard.map((_, index) => index + 1))
      await Effect.runPromise(Effect.andThen(node.kill, node.start))
      await append(path, "[2]", json)
      await eventually(async () => heard.length > first && (await acked()) === (await tail()))
      expect(new Set(heard.slice(first).map(({ tail: at }) => at))).toEqual(new Set([await tail()]))
    } finally {
      await ask(id, { method: "DELETE" })
      receiver.close()
    }
  })

  it("answer whatever they are sent, and never with a fault of their own", { timeout: 120_000 }, async () => {
    const known = await make(json)
    const { hostname, port } = new URL(node.url)
    const exchange = (request: string) =>
      new Promise<string>((resolve, reject) => {
        let answer = ""
        const socket = connect(Number(port), hostname, () => socket.write(request))
        socket.setTimeout(10_000, () => reject(new Error(`no answer to ${JSON.stringify(request)}`)))
        socket.on("data", (part) => {
          answer += part.toString("latin1")
        })
        socket.on("error", reject)
        socket.on("close", () => resolve(answer))
      })
    const token = fc.stringMatching(/^[!-~]{1,24}$/)
    const value = fc.oneof(
      token,
      fc.constantFrom("0", "-1", "now", "true", "9".repeat(16), "1e3", "0000000000000000_9999999999999999", '"x"')
    )
    const names = ["stream-ttl", "stream-expires-at", "stream-closed", "stream-seq", "if-match", "if-none-match"]
    const producers = ["producer-id", "producer-epoch", "producer-seq", "content-type", "prefer"]
    const forks = ["stream-forked-from", "stream-fork-offset", "stream-fork-sub-offset", "stream-snapshot-match"]
    const header = fc.tuple(fc.constantFrom(...names, ...producers, ...forks), value)
    const segment = fc.oneof(
      fc.stringMatching(/^[a-z0-9%._$-]{0,8}$/),
      fc.constantFrom("attrs", "bootstrap", "snapshot", "retention", "append-batch", "$transaction", "inspect", "__ds")
    )
    const rest = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join("/"))
    const prefix = fc.constantFrom(`${known}/`, known, "/ds/", "/v1/stream/", "/streams/", "/v1/stream/__ds/", "/ds/a/")
    const query = fc.array(fc.tuple(fc.constantFrom("offset", "live", "cursor", "limit", "after", "prefix"), value), {
      maxLength: 3
    })
    const method = fc.constantFrom("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
    const body = fc.oneof(fc.constantFrom("", "[]", "{}", "[1,[2]]", '{"operations":[]}', "{"), fc.string())
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(
        fc.record({ method, prefix, rest, query, headers: fc.array(header, { maxLength: 5 }), body }),
        async (each) => {
          const search = each.query.map(([name, given]) => `${name}=${encodeURIComponent(given)}`).join("&")
          const lines = each.headers.map(([name, given]) => `${name}: ${given}\r\n`).join("")
          const bytes = Buffer.byteLength(each.body)
          const line = `${each.method} ${each.prefix}${each.rest}?${search} HTTP/1.1`
          const head = `${line}\r\nhost: x\r\nconnection: close\r\n`
          // An event stream would go on: it is cut by what the node's own time-outs leave of it.
          if (search.includes("sse")) return
          const answer = await exchange(`${head}${lines}content-length: ${bytes}\r\n\r\n${each.body}`)
          const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? "none"
          seen.set(status, (seen.get(status) ?? 0) + 1)
          expect(status).toMatch(/^[234]/)
        }
      ),
      { numRuns: Number(process.env["FUZZ_RUNS"] ?? 600) }
    )
    expect(seen.size).toBeGreaterThan(4)
  })
})
