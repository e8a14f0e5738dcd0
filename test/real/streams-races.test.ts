/** Streams under several at once: racing producers, deletion beneath readers, and one who reads nothing of it. */
import { connect, type Socket } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, stop, type Up, up } from "./command.ts"

let node: Up
/** Asked for everything at the beginning, and has read nothing since. */
let idle: Socket
let idleClosedAt = 0

const text = { "content-type": "text/plain" }
const bytes = { "content-type": "application/octet-stream" }
const at = (path: string, init?: RequestInit) => fetch(`${node.http}/ds/${path}`, init)
const put = (path: string, headers: Record<string, string> = text) => at(path, { method: "PUT", headers })

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process"]
  node = await up(freshPath(), ...free, "--long-poll-ms", "500")
  await put("races/idle", bytes)
  const { hostname, port } = new URL(node.http)
  idle = connect(Number(port), hostname)
  idle.on("error", () => {})
  idle.on("close", () => {
    idleClosedAt = performance.now()
  })
  idle.write("GET /ds/races/idle?offset=-1&live=sse HTTP/1.1\r\nhost: x\r\n\r\n")
  await new Promise((resolve) => setTimeout(resolve, 200))
  idle.pause()
  // What a socket holds on both sides is a few megabytes: the rest has to wait in the node.
  for (let n = 0; n < 12; n++)
    await at("races/idle", {
      method: "POST",
      headers: bytes,
      body: Buffer.alloc(1024 * 1024, n) as Uint8Array<ArrayBuffer>
    })
}, 60_000)

afterAll(async () => {
  idle.destroy()
  await stop(node)
  cleanUp()
})

const produced = (path: string, id: string, epoch: number, seq: number, body: string) =>
  at(path, {
    method: "POST",
    headers: { ...text, "producer-id": id, "producer-epoch": `${epoch}`, "producer-seq": `${seq}` },
    body
  })

describe("streams under several at once", () => {
  it("take each number of a producer once, whoever of its twins sends it", async () => {
    await put("races/twins")
    const twin = async (name: string): Promise<Array<string>> => {
      const mine: Array<string> = []
      for (let seq = 0; seq < 120; ) {
        const { status } = await produced("races/twins", "same", 0, seq, `${seq}${name};`)
        if (status === 200) mine.push(`${seq}${name}`)
        // 409: the twin is not so far yet, or this one fell behind and has to catch up.
        if (status === 200 || status === 204) seq += 1
      }
      return mine
    }
    const won = (await Promise.all(["a", "b", "c"].map(twin))).flat()
    const read = (await (await at("races/twins")).text()).split(";").slice(0, -1)
    expect(read.map((each) => Number.parseInt(each, 10))).toEqual([...Array(120).keys()])
    expect([...won].sort()).toEqual([...read].sort())
  })

  it("let one of those win who expect the same end, and one epoch follow another", async () => {
    await put("races/ends")
    for (let round = 0; round < 20; round++) {
      const end = (await at("races/ends", { method: "HEAD" })).headers.get("stream-next-offset") ?? ""
      const all = await Promise.all(
        [...Array(8).keys()].map((n) =>
          at("races/ends", { method: "POST", headers: { ...text, "if-match": `"${end}"` }, body: `${n}` })
        )
      )
      expect(all.map(({ status }) => status).sort()).toEqual([204, ...Array(7).fill(412)])
    }
    await put("races/epochs")
    const epochs = await Promise.all(
      [...Array(10).keys()].map((epoch) => produced("races/epochs", "p", epoch, 0, `${epoch};`))
    )
    const kept = (await (await at("races/epochs")).text()).split(";").slice(0, -1).map(Number)
    expect(kept).toEqual(kept.toSorted((a, b) => a - b))
    expect(epochs.filter(({ status }) => status === 200).length).toBe(kept.length)
    expect(epochs.every(({ status }) => status === 200 || status === 403)).toBe(true)
  })

  it("are deleted and made anew beneath their readers, who see one of them and never a mixture", async () => {
    const block = (generation: number) => Buffer.alloc(256 * 1024, 65 + generation) as Uint8Array<ArrayBuffer>
    const seen: Array<string> = []
    let isOver = false
    const reader = async (live: string): Promise<void> => {
      while (!isOver) {
        const answer = await at(`races/deleted?offset=-1${live}`)
        expect([200, 204, 404]).toContain(answer.status)
        const body = Buffer.from(await answer.bytes())
        if (answer.status !== 200) continue
        const letters = new Set(body)
        expect(letters.size).toBeLessThanOrEqual(1)
        for (const letter of letters) seen.push(String.fromCharCode(letter))
      }
    }
    const follower = async (): Promise<void> => {
      while (!isOver) {
        const answer = await at("races/deleted?offset=-1&live=sse", { signal: AbortSignal.timeout(3_000) })
        const told = await answer.text().catch(() => "")
        const decoded = [...told.matchAll(/^data:([A-Za-z0-9+/=]{8,})$/gm)].map(([, each]) =>
          Buffer.from(each ?? "", "base64")
        )
        expect(new Set(decoded.flatMap((each) => [...new Set(each)])).size).toBeLessThanOrEqual(1)
      }
    }
    const readers = [reader(""), reader(""), reader("&live=long-poll"), follower()]
    for (let generation = 0; generation < 12; generation++) {
      expect((await put("races/deleted", bytes)).status).toBe(201)
      for (let n = 0; n < 4; n++)
        expect((await at("races/deleted", { method: "POST", headers: bytes, body: block(generation) })).status).toBe(
          204
        )
      await new Promise((resolve) => setTimeout(resolve, 60))
      expect((await at("races/deleted", { method: "DELETE" })).status).toBe(204)
    }
    isOver = true
    await Promise.all(readers)
    expect(new Set(seen).size).toBeGreaterThan(3)
  })

  it("carry several bodies of 10 MB at once, and refuse one that is too large", { timeout: 60_000 }, async () => {
    await put("races/large", bytes)
    const large = [...Array(4).keys()].map((n) => Buffer.alloc(10 * 1024 * 1024, 97 + n))
    const all = await Promise.all(
      large.map((body) => at("races/large", { method: "POST", headers: bytes, body: body as Uint8Array<ArrayBuffer> }))
    )
    expect(all.map(({ status }) => status)).toEqual([204, 204, 204, 204])
    let read = Buffer.alloc(0)
    for (let offset = "-1"; ; ) {
      const page = await at(`races/large?offset=${offset}`)
      read = Buffer.concat([read, await page.bytes()])
      offset = page.headers.get("stream-next-offset") ?? ""
      if (page.headers.get("stream-up-to-date") === "true") break
    }
    expect(read.length).toBe(40 * 1024 * 1024)
    const runs = [0, 1, 2, 3].map((n) => new Set(read.subarray(n * 10 * 1024 * 1024, (n + 1) * 10 * 1024 * 1024)))
    expect(runs.map((letters) => letters.size)).toEqual([1, 1, 1, 1])
    const tooLarge = at("races/large", {
      method: "POST",
      headers: bytes,
      body: Buffer.alloc(65 * 1024 * 1024) as Uint8Array<ArrayBuffer>
    })
    expect(
      await tooLarge.then(
        ({ status }) => status,
        () => 413
      )
    ).toBe(413)
  })

  it("cut off who never reads what it asked for", { timeout: 90_000 }, async () => {
    for (const began = performance.now(); performance.now() < began + 55_000 && idleClosedAt === 0; ) {
      // A paused socket hears of its end when it is read again: what lies in the kernel comes first.
      if (performance.now() > began + 38_000) idle.resume()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(idleClosedAt).toBeGreaterThan(0)
    expect((await at("races/idle", { method: "HEAD" })).status).toBe(200)
  })
})
