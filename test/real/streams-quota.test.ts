/** Limits of organisations and buckets: what is within them is done, what is beyond them is told so, and shown. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, run, stop, type Up, up } from "./command.ts"

let node: Up

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process"]
  const bucket = ["--stream-max-bucket-streams", "10", "--stream-max-bucket-bytes", "10000"]
  const rate = ["--stream-max-bucket-appends", "40", "--stream-max-streams", "25"]
  node = await up(freshPath(), ...free, ...bucket, ...rate)
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
})

const text = { "content-type": "text/plain" }
const put = (path: string) => fetch(`${node.http}/ds/${path}`, { method: "PUT", headers: text })
const post = (path: string, body: string) => fetch(`${node.http}/ds/${path}`, { method: "POST", headers: text, body })

interface Problem {
  readonly status: number
  readonly scope: string
  readonly limit: string
}

describe("limits", () => {
  it("count the streams of a bucket exactly, also when many are made at once, and of its organisation", async () => {
    const made = await Promise.all(Array.from({ length: 30 }, (_, n) => put(`one/s${n}`)))
    expect(made.filter(({ status }) => status === 201).length).toBe(10)
    const refused = made.find(({ status }) => status !== 201) as Response
    expect(refused.headers.get("content-type")).toBe("application/problem+json")
    expect((await refused.json()) as Problem).toMatchObject({ status: 403, scope: "bucket", limit: "streams", max: 10 })
    const there = made.findIndex(({ status }) => status === 201)
    expect((await put(`one/s${there}`)).status).toBe(200)
    expect((await fetch(`${node.http}/ds/one/s${there}`, { method: "DELETE" })).status).toBe(204)
    await expect.poll(async () => (await put("one/again")).status).toBe(201)
    const rest = await Promise.all(Array.from({ length: 20 }, (_, n) => put(`${n % 2 === 0 ? "two" : "three"}/s${n}`)))
    expect(rest.filter(({ status }) => status === 201).length).toBe(15)
    const other = rest.find(({ status }) => status !== 201) as Response
    expect((await other.json()) as Problem).toMatchObject({ scope: "organisation", limit: "streams", used: 25 })
    const inspected = (await node.json("stream", "inspect", "one/again")) as object
    expect(inspected).toMatchObject({ used: { bucket: { streams: 10 } }, limits: { organisation: { streams: 25 } } })
  })

  it("bound the bytes of a bucket, and let room be made", async () => {
    const kilobyte = "x".repeat(1000)
    const appended: Array<number> = []
    for (let n = 0; n < 14; n++) appended.push((await post("one/again", kilobyte)).status)
    expect(appended.filter((status) => status === 204).length).toBe(10)
    expect(appended.at(-1)).toBe(403)
    const tail = (await put("one/again")).headers.get("stream-next-offset") ?? ""
    expect((await fetch(`${node.http}/ds/one/again/retention/${tail}`, { method: "PUT" })).status).toBe(204)
    await expect.poll(async () => (await post("one/again", kilobyte)).status).toBe(204)
  })

  it("slow down who appends too fast, and nobody else", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const began = performance.now()
    const all = await Promise.all(Array.from({ length: 200 }, () => post("two/s0", "x")))
    const seconds = (performance.now() - began) / 1000
    const passed = all.filter(({ status }) => status === 204).length
    expect(passed).toBeGreaterThanOrEqual(40)
    expect(passed).toBeLessThanOrEqual(41 + 40 * seconds)
    const slowed = all.find(({ status }) => status === 429) as Response
    expect(slowed.headers.get("retry-after")).toBe("1")
    expect((await slowed.json()) as Problem).toMatchObject({ limit: "appends", scope: "bucket" })
    expect((await post("three/s1", "x")).status).toBe(204)
    await expect.poll(async () => (await post("two/s0", "x")).status).toBe(204)
  })

  it("have to be numbers", async () => {
    expect((await run("up", "--stream-max-bytes", "0")).stderr).toContain("--stream-max-bytes 0: at least 1")
  })
})
