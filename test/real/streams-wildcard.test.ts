/** One response that follows every stream below a prefix: with an offset for each of them, and none of them twice. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type NodeProcess, nodeProcess } from "./node.ts"

const scope = Effect.runSync(Scope.make())
const data = mkdtempSync(join(tmpdir(), "artifacts-wildcard-"))
const flags = ["--nats", "127.0.0.1:0", "--long-poll-ms", "400", "--durability", "process"]
let node: NodeProcess

beforeAll(async () => {
  node = await Effect.runPromise(nodeProcess({ name: "wildcard", data, flags }).pipe(Scope.provide(scope)))
  await Effect.runPromise(node.ready)
})

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(data, { recursive: true, force: true })
  rmSync(`${data}.log`, { force: true })
})

const ask = (path: string, init?: RequestInit) => fetch(`${node.url}/ds/${path}`, init)
const json = { "content-type": "application/json" }
const put = (stream: string, type = "application/json") =>
  ask(stream, { method: "PUT", headers: { "content-type": type } })
const post = (stream: string, body: string, type = "application/json") =>
  ask(stream, { method: "POST", headers: { "content-type": type }, body })

interface Told {
  readonly stream: string
  readonly json?: ReadonlyArray<unknown>
  readonly text?: string
}

const poll = async (bucket: string, offset: string, prefix = "") => {
  const answer = await ask(`${bucket}?live=long-poll&prefix=${prefix}&offset=${offset}`)
  const next = answer.headers.get("stream-next-offset") ?? ""
  const streams =
    answer.status === 200 ? ((await answer.json()) as { readonly streams: ReadonlyArray<Told> }).streams : []
  return { status: answer.status, next, streams: streams.toSorted((a, b) => (a.stream < b.stream ? -1 : 1)) }
}

/** What an event stream tells until this is enough. */
const events = async (path: string, isEnough: (all: ReadonlyArray<Told>) => boolean): Promise<ReadonlyArray<Told>> => {
  const response = await ask(path)
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let text = ""
  for (;;) {
    const told = [...text.matchAll(/event: data\ndata:(.*)\n\n/g)].map(([, each]) => JSON.parse(each ?? "") as Told)
    if (isEnough(told)) {
      await reader.cancel()
      return told
    }
    const { value, done } = await reader.read()
    if (done) throw new Error(`it ended with ${text}`)
    text += Buffer.from(value).toString()
  }
}

describe("the tail of a prefix", () => {
  it("is polled with an offset for all, from where the last answer ended", async () => {
    await put("polled/a")
    await put("polled/b", "text/plain")
    await put("polled/other-c")
    await post("polled/a", "[1,2]")
    await post("polled/b", "hello", "text/plain")
    const first = await poll("polled", "-1")
    expect(first).toMatchObject({
      status: 200,
      streams: [
        { stream: "a", json: [1, 2] },
        { stream: "b", text: "hello" }
      ]
    })
    expect(await poll("polled", first.next)).toMatchObject({ status: 204, streams: [] })
    const waiting = poll("polled", first.next)
    await put("polled/new/deep")
    await post("polled/new/deep", "[3]")
    const second = await waiting
    expect(second).toMatchObject({ status: 200, streams: [{ stream: "new/deep", json: [3] }] })
    await post("polled/a", "[4]")
    await post("polled/other-c", "[5]")
    expect((await poll("polled", second.next, "other")).streams).toMatchObject([{ stream: "other-c", json: [5] }])
    expect((await poll("polled", second.next)).streams).toMatchObject([{ json: [4] }, { json: [5] }])
    expect((await poll("polled", "now")).status).toBe(204)
    expect((await poll("polled", "nonsense")).status).toBe(400)
  })

  it("comes as events while appends go on, each message once and in the order of its stream", async () => {
    const streams = ["run/1", "run/2", "run/3"]
    for (const stream of streams) await put(`events/${stream}`)
    const count = 60
    const hearing = events(
      "events?live=sse&prefix=run/",
      (all) => all.flatMap((each) => each.json ?? []).length >= 3 * count
    )
    for (let n = 0; n < count; n++) await Promise.all(streams.map((stream) => post(`events/${stream}`, `[${n}]`)))
    const all = await hearing
    for (const stream of streams) {
      const own = all.filter((each) => each.stream === stream).flatMap((each) => each.json ?? [])
      expect(own).toEqual(Array.from({ length: count }, (_, n) => n))
    }
    expect((await ask("events?live=sse&offset=nonsense", { headers: json })).status).toBe(400)
  })
})
