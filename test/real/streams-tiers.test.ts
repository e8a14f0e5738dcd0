/** Streams of a node whose memory is too small for them: what has moved into segments is read as if it had not. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { offsetText } from "../../messages/stream.ts"
import { type NodeProcess, nodeProcess } from "./node.ts"

const data = mkdtempSync(join(tmpdir(), "artifacts-tiers-"))
const flags = ["--nats", "127.0.0.1:0", "--shards", "2", "--stream-hot-bytes", "100000", "--durability", "process"]
let scope = Effect.runSync(Scope.make())
let node: NodeProcess

const start = async (): Promise<void> => {
  scope = Effect.runSync(Scope.make())
  node = await Effect.runPromise(nodeProcess({ name: "tiers", data, flags }).pipe(Scope.provide(scope)))
  await Effect.runPromise(node.ready)
}
const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))

beforeAll(start)
afterAll(async () => {
  await stop()
  rmSync(data, { recursive: true, force: true })
  rmSync(`${data}.log`, { force: true })
})

const ask = (path: string, init?: RequestInit) => fetch(`${node.url}${path}`, init)
const json = { "content-type": "application/json" }

const pad = "x".repeat(900)
const rows = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ row: from + index, pad: index % 7 === 0 ? pad : "" }))

const fill = async (path: string, count: number): Promise<void> => {
  expect((await ask(path, { method: "PUT", headers: json })).status).toBe(201)
  for (let from = 0; from < count; from += 10) {
    const body = JSON.stringify(rows(from, Math.min(count, from + 10)))
    const { status } = await ask(path, { method: "POST", headers: json, body })
    if (status !== 204) throw new Error(`append: ${status}`)
  }
}

const segments = (): ReadonlyArray<string> =>
  readdirSync(join(data, "objects"), { recursive: true }).filter((name) =>
    String(name).includes("segments/")
  ) as Array<string>

const until = async (isTrue: () => boolean): Promise<void> => {
  for (let tries = 0; !isTrue(); tries++) {
    if (tries > 300) throw new Error("it does not come to that")
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** What a stream holds, as one who follows Stream-Next-Offset reads it. */
const readAll = async (path: string, from = "-1"): Promise<Array<unknown>> => {
  const all: Array<unknown> = []
  for (let offset = from; ; ) {
    const answer = await ask(`${path}?offset=${offset}`)
    if (answer.status !== 200) throw new Error(`read: ${answer.status} ${await answer.text()}`)
    all.push(...((await answer.json()) as Array<unknown>))
    offset = answer.headers.get("stream-next-offset") ?? ""
    if (answer.headers.get("stream-up-to-date") === "true") return all
  }
}

describe("streams larger than memory", () => {
  it("are read across tiers, forked and shortened within segments, and found again after a restart", async () => {
    const path = "/ds/test/long"
    await fill(path, 9_000)
    await until(() => segments().length > 0)
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(await readAll(path)).toEqual(rowsOf(9_000))

    // The first append has ten rows; the fork begins behind it, within a segment.
    const first = `${JSON.stringify(rows(0, 10)).slice(1, -1)},`.length
    const fork = { ...json, "stream-forked-from": path, "stream-fork-offset": offsetText(first) }
    expect((await ask("/ds/test/fork", { method: "PUT", headers: fork })).status).toBe(201)
    expect(await readAll("/ds/test/fork")).toEqual(rows(0, 10))
    const amiss = { ...fork, "stream-fork-offset": offsetText(first + 1) }
    expect((await ask("/ds/test/amiss", { method: "PUT", headers: amiss })).status).toBe(400)
    const sub = { ...fork, "stream-fork-sub-offset": "3" }
    expect((await ask("/ds/test/sub", { method: "PUT", headers: sub })).status).toBe(201)
    expect(await readAll("/ds/test/sub")).toEqual([...rows(0, 10), ...rows(10, 13)])

    expect((await ask(`${path}/retention/${offsetText(first + 1)}`, { method: "PUT" })).status).toBe(409)
    expect((await ask(`${path}/retention/${offsetText(first)}`, { method: "PUT" })).status).toBe(204)
    expect((await ask(path)).status).toBe(410)
    await stop()
    // What nobody announced is nobody's: it is not deleted for being there.
    const folder = join(data, "objects", dirname(segments()[0] as string))
    const stray = join(folder, `${"1".padStart(16, "0")}-stray`)
    writeFileSync(stray, "nobody knows of it")
    await start()
    expect((await readAll(path, offsetText(first))).length).toBe(8_990)
    expect(await readAll("/ds/test/fork")).toEqual(rows(0, 10))
    expect(existsSync(stray)).toBe(true)
  })

  it("take a body as large as an object, and say so when it cannot be stored", async () => {
    const text = "large ".repeat(100_000)
    const plain = { "content-type": "text/plain" }
    expect((await ask("/ds/test/large", { method: "PUT", headers: plain, body: text })).status).toBe(201)
    expect((await ask("/ds/test/large", { method: "POST", headers: plain, body: text })).status).toBe(204)
    expect(await (await ask("/ds/test/large")).text()).toBe(text + text)
  })

  it("tell the same to event streams", async () => {
    const response = await ask("/ds/test/fork?offset=-1&live=sse")
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const { value } = await reader.read()
    await reader.cancel()
    expect(Buffer.from(value ?? []).toString()).toContain('"row":9')
  })
})

const rowsOf = (count: number): Array<unknown> => {
  const all: Array<unknown> = []
  for (let from = 0; from < count; from += 10) all.push(...rows(from, Math.min(count, from + 10)))
  return all
}
