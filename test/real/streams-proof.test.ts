/** A stream's proof, from its creation to a reader who redoes it, over segments, forks and what is stored apart. */
import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, run, stop, type Up, up } from "./command.ts"

let node: Up

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process"]
  node = await up(freshPath(), ...free, "--stream-hot-bytes", "20000")
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
})

const at = (path: string, init: RequestInit = {}) => fetch(`${node.http}/ds/${path}`, init)
const bytes = { "content-type": "application/octet-stream" }
const json = { "content-type": "application/json" }
const proof = { "stream-proof": "sha-256" }
const post = (path: string, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) =>
  at(path, { method: "POST", headers, body })
const verified = (name: string) => node.run("stream", "read", name, "--verify")

describe("a stream with a proof", () => {
  it("tells it at its tail, and is verified as it is read", async () => {
    expect((await at("proofs/json", { method: "PUT", headers: { ...json, "stream-proof": "md5" } })).status).toBe(400)
    expect((await node.run("stream", "create", "proofs/json", "--type", "application/json", "--proof")).code).toBe(0)
    for (let n = 0; n < 50; n++) await post("proofs/json", json, `[{"n":${n}},"${"x".repeat(100)}"]`)
    const head = (await at("proofs/json", { method: "HEAD" })).headers.get("stream-proof")
    expect(head).toMatch(/^sha-256=[0-9a-f]{64}$/)
    expect((await at("proofs/json")).headers.get("stream-proof")).toBe(head)
    const read = await verified("proofs/json")
    expect(read).toMatchObject({ code: 0 })
    expect(read.stderr).toContain("verified: 50 appends")
    expect(read.stderr).toContain(head?.slice("sha-256=".length))
    expect(read.stdout.split("\n").length).toBe(101)
    expect((await at("proofs/none", { method: "PUT", headers: bytes })).status).toBe(201)
    expect((await at("proofs/none", { method: "PUT", headers: { ...bytes, ...proof } })).status).toBe(409)
    expect((await verified("proofs/none")).stderr).toContain("has no proof")
  })

  it("keeps it over what lies in segments and objects, in forks and behind a floor", { timeout: 60_000 }, async () => {
    await at("proofs/bytes", { method: "PUT", headers: { ...bytes, ...proof } })
    for (let n = 0; n < 60; n++) await post("proofs/bytes", bytes, randomBytes(4000 + n) as Uint8Array<ArrayBuffer>)
    await post("proofs/bytes", bytes, randomBytes(300_000) as Uint8Array<ArrayBuffer>)
    for (let n = 0; n < 60; n++) await post("proofs/bytes", bytes, randomBytes(4000 + n) as Uint8Array<ArrayBuffer>)
    for (let tries = 0; tries < 100; tries++) {
      const told = (await (await at("proofs/bytes/inspect")).json()) as { readonly sealed?: number }
      if ((told.sealed ?? 0) > 0) break
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect((await verified("proofs/bytes")).stderr).toContain("verified: 121 appends")
    const forked = { ...bytes, ...proof, "stream-forked-from": "/ds/proofs/bytes" }
    expect((await at("proofs/fork", { method: "PUT", headers: forked })).status).toBe(201)
    await post("proofs/fork", bytes, "own")
    expect((await verified("proofs/fork")).stderr).toContain("verified: 1 appends, 3 bytes")
    const told = (await (await at("proofs/bytes/proof")).json()) as { readonly anchors: Array<{ offset: string }> }
    const floor = told.anchors[2]?.offset ?? ""
    expect((await at(`proofs/bytes/retention/${floor}`, { method: "PUT" })).status).toBe(204)
    expect((await verified("proofs/bytes")).stderr).toMatch(/verified: \d\d appends/)
  })

  it("is not verified when a byte was changed on the way", async () => {
    const forged = createServer(async (request, response) => {
      const answer = await fetch(`${node.http}${request.url}`)
      const body = Buffer.from(await answer.bytes())
      const isData = /fork\?offset/.test(request.url ?? "")
      if (isData) body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1
      response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(body)
    })
    await new Promise<void>((resolve) => forged.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(forged.address() as AddressInfo).port}`
    const read = await run("--server", url, "stream", "read", "proofs/fork", "--verify")
    forged.closeAllConnections()
    forged.close()
    expect(read.code).toBe(1)
    expect(read.stderr).toContain("the chain over what was read is")
  })
})
