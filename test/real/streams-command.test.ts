/** `artifacts stream` as it is typed: through pipes, on its administrator's own host and with a key from elsewhere. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, run, start, stop, type Up, up } from "./command.ts"

let node: Up

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
  node = await up(freshPath(), ...free, "--streams-open", "no", "--long-poll-ms", "300")
})

afterAll(async () => {
  await stop(node)
  cleanUp()
})

const start0 = "0000000000000000_0000000000000000"
const offset4 = "0000000000000000_0000000000000004"

const stream = (...args: ReadonlyArray<string>) => node.run("stream", ...args)
const piped = (input: string, ...args: ReadonlyArray<string>) =>
  start(["--data", node.data, "stream", ...args], input).ended

describe("the stream commands", () => {
  it("make, fill, read, fork, list, close and delete", async () => {
    expect(await stream("create", "runs/1", "--type", "application/json")).toMatchObject({ code: 0 })
    expect(await stream("append", "runs/1", '{"n":1}')).toMatchObject({ code: 0 })
    expect(await piped('{"n":2}\n\n{"n":3}\n', "append", "runs/1", "--lines")).toMatchObject({ code: 0 })
    expect(await stream("read", "runs/1")).toMatchObject({ code: 0, stdout: '{"n":1}\n{"n":2}\n{"n":3}\n' })
    expect(await stream("fork", "runs/1", "runs/2", "--offset", "0000000000000000_0000000000000008")).toMatchObject({
      code: 0
    })
    expect(await stream("read", "runs/2")).toMatchObject({ stdout: '{"n":1}\n' })
    const listed = (await node.json("stream", "ls", "runs")) as ReadonlyArray<{ stream_id: string }>
    expect(listed.map(({ stream_id }) => stream_id)).toEqual(["1", "2"])
    expect(await node.json("stream", "inspect", "runs/2")).toMatchObject({ forkedFrom: { source: "runs/1" } })
    expect(await stream("close", "runs/2")).toMatchObject({ code: 0 })
    expect(await stream("append", "runs/2", "4")).toMatchObject({
      code: 1,
      stderr: "artifacts: the stream is closed\n"
    })
    expect(await stream("delete", "runs/1")).toMatchObject({ code: 0 })
    expect((await stream("read", "runs/1")).stderr).toContain("runs/1 was deleted")
  })

  it("carry bytes as they are, and follow until the end", async () => {
    const text = "ä".repeat(300_000)
    expect(await piped(text, "append", "bytes", "--create", "--type", "text/plain")).toMatchObject({ code: 0 })
    const tail = start(["--data", node.data, "stream", "tail", "bytes", "--offset=-1"])
    expect(await stream("append", "bytes", "end")).toMatchObject({ code: 0 })
    expect(await stream("close", "bytes")).toMatchObject({ code: 0 })
    const followed = await tail.ended
    expect(followed.code).toBe(0)
    expect(followed.stdout).toBe(`${text}end`)
  })

  it("tell machines where what they read lies, and what is wrong", async () => {
    await stream("create", "machine", "--type", "application/json")
    await stream("append", "machine", "[1,2]")
    const read = await stream("read", "machine", "--json")
    const line = { stream: "_default/machine", offset: start0, next_offset: offset4, json: [1, 2], up_to_date: true }
    expect(JSON.parse(read.stdout)).toEqual(line)
    const tail = start(["--data", node.data, "stream", "tail", "machine", "--offset=-1", "--json"])
    const closed = { stream: "machine", closed: true, next_offset: offset4 }
    expect(await node.json("stream", "close", "machine")).toEqual(closed)
    const lines = (await tail.ended).stdout.trim().split("\n")
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ next_offset: offset4, closed: true })
    expect(await node.json("stream", "append", "machine", "3")).toMatchObject({ error: { code: "409" } })
    expect(await stream("append", "machine", "3", "--fence", "x")).toMatchObject({ code: 1 })
    expect(await node.json("stream", "delete", "machine")).toEqual({ stream: "machine", deleted: true })
    expect(await node.json("stream", "inspect", "machine")).toMatchObject({ error: { code: "404" } })
    for (const args of [
      ["fork", "machine", "m2"],
      ["read", "machine"],
      ["tail", "machine"],
      ["close", "machine"]
    ])
      expect(await node.json("stream", ...args)).toMatchObject({ error: { code: "404" } })
    expect(await node.json("stream", "ls", "a b")).toMatchObject({ error: { code: "400" } })
    expect(await node.json("stream", "create", "x", "--ttl", "soon")).toMatchObject({ error: { code: "400" } })
  })

  it("need a key from elsewhere, and say what is wrong with what was typed", async () => {
    const nobody = await run("--server", node.http, "stream", "read", "bytes")
    expect(nobody).toMatchObject({ code: 1, stdout: "" })
    expect(nobody.stderr).toContain("--token")
    const token = readFileSync(join(node.data, "admin.token"), "utf8").trim()
    const somebody = await run("--server", node.http, "--token", token, "stream", "inspect", "bytes", "--json")
    expect(JSON.parse(somebody.stdout)).toMatchObject({ stream: "_default/bytes", closed: true })
    expect(await stream("create", "a//b")).toMatchObject({ code: 2 })
    expect(await stream("append", "missing", "x")).toMatchObject({ code: 1 })
  })
})
