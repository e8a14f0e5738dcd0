/** A crowd that listens to one stream: each of them hears everything, once and in its order, also of long histories. */
import { mkdtempSync, rmSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type NodeProcess, nodeProcess } from "./node.ts"

const scope = Effect.runSync(Scope.make())
const data = mkdtempSync(join(tmpdir(), "artifacts-crowd-"))
const flags = ["--nats", "127.0.0.1:0", "--durability", "process"]
let node: NodeProcess

beforeAll(async () => {
  node = await Effect.runPromise(nodeProcess({ name: "crowd", data, flags }).pipe(Scope.provide(scope)))
  await Effect.runPromise(node.ready)
})

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(data, { recursive: true, force: true })
  rmSync(`${data}.log`, { force: true })
})

const ask = (path: string, method = "GET", body?: string) =>
  fetch(`${node.url}${path}`, {
    method,
    headers: { "content-type": "text/plain" },
    ...(body !== undefined && { body })
  })

/** The chunks of an answer, one behind the other, as far as they have come. */
const unchunked = (text: string): string => {
  let whole = ""
  for (let at = text.indexOf("\r\n\r\n") + 4; ; ) {
    const end = text.indexOf("\r\n", at)
    const size = Number.parseInt(text.slice(at, end), 16)
    if (end < 0 || text.length < end + 4 + size) return whole
    whole += text.slice(end + 2, end + 2 + size)
    at = end + 4 + size
  }
}

/** What the data events say, without what frames them. */
const told = (text: string): string =>
  [...unchunked(text).matchAll(/event: data\n((?:data:.*\n)+)/g)]
    .map(([, lines = ""]) => lines.slice("data:".length, -1).split("\ndata:").join("\n"))
    .join("")

class Ear {
  text = ""
  readonly socket: Socket
  readonly open: Promise<void>

  constructor(path: string) {
    const { hostname, port } = new URL(node.url)
    this.socket = connect({ host: hostname, port: Number(port) })
    this.socket.setEncoding("latin1")
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    this.open = new Promise((resolve) => {
      this.socket.on("data", (part) => {
        this.text += part
        if (this.text.includes("event: control")) resolve()
      })
    })
  }
}

const eventually = async (isSo: () => boolean): Promise<void> => {
  for (const end = Date.now() + 20_000; !isSo(); await new Promise((resolve) => setTimeout(resolve, 20)))
    if (Date.now() > end) throw new Error("it did not come about")
}

describe("a crowd that listens to one stream", () => {
  it("hears every append once and in its order, however fast they come", async () => {
    await ask("/ds/crowd/news", "PUT")
    const ears = Array.from({ length: 300 }, () => new Ear("/ds/crowd/news?offset=now&live=sse"))
    await Promise.all(ears.map(({ open }) => open))
    const marks = Array.from({ length: 40 }, (_, index) => `<${index}>`)
    for (let at = 0; at < marks.length; at += 4)
      await Promise.all(marks.slice(at, at + 4).map((mark) => ask("/ds/crowd/news", "POST", mark)))
    const whole = await (await ask("/ds/crowd/news")).text()
    expect(whole.length).toBe(marks.join("").length)
    await eventually(() => ears.every(({ text }) => told(text).length >= whole.length))
    for (const { text, socket } of ears) {
      expect(told(text)).toBe(whole)
      socket.destroy()
    }
  })

  it("hears a long history as it is read, with line ends in it and without", async () => {
    const plain = "x".repeat(64 * 1024)
    for (const [name, each] of Object.entries({ plain, lines: `${plain}\nwith lines\n` })) {
      await ask(`/ds/crowd/${name}`, "PUT")
      for (let count = 0; count < 20; count++) await ask(`/ds/crowd/${name}`, "POST", `${count}${each}`)
      const whole = await (await ask(`/ds/crowd/${name}`)).text()
      const ear = new Ear(`/ds/crowd/${name}?offset=-1&live=sse`)
      await eventually(() => unchunked(ear.text).includes('"upToDate":true'))
      expect(told(ear.text) === whole, name).toBe(true)
      ear.socket.destroy()
    }
  })
})
