/** Connections of the HTTP server: plain requests are answered by us, all others by node:http on the same one. */
import { connect, type Socket } from "node:net"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Exchange, readBody, sendJson } from "../../runtime/http/exchange.ts"
import { headOf } from "../../runtime/http/plain.ts"
import { router } from "../../runtime/http/router.ts"
import { type HttpServer, httpServer } from "../../runtime/http/server.ts"
import { WholeRequest } from "../../runtime/http/whole.ts"

const scope = Effect.runSync(Scope.make())
let server: HttpServer
const later: Array<() => void> = []
let gone = 0

/** Says what it was given, and by whom it was read. */
const echo = (exchange: Exchange) =>
  Effect.map(readBody(exchange, 1024), (body) => {
    const by = (exchange.request as unknown) instanceof WholeRequest ? "us" : "node"
    sendJson(exchange, 200, { by, body: body.toString(), path: exchange.path })
  })

const slow = ({ response }: Exchange) => {
  later.push(() => {
    response.writeHead(204)
    response.end()
  })
  return {
    gone: () => {
      gone += 1
    }
  }
}

beforeAll(async () => {
  const route = router([
    { path: "/echo/*rest", methods: { "*": echo } },
    { path: "/slow", methods: { POST: slow } }
  ])
  server = await Effect.runPromise(httpServer({ host: "127.0.0.1", port: 0 }, route).pipe(Scope.provide(scope)))
})

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

class Client {
  heard = ""
  isOver = false
  readonly socket: Socket

  constructor() {
    this.socket = connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: true })
    this.socket.on("data", (part) => {
      this.heard += part.toString("latin1")
    })
    for (const event of ["end", "error"])
      this.socket.on(event, () => {
        this.isOver = true
      })
  }

  send(text: string): void {
    this.socket.write(text, "latin1")
  }

  async until(done: (client: Client) => boolean): Promise<string> {
    for (let waited = 0; !done(this) && waited < 8000; waited += 5) await new Promise((resume) => setTimeout(resume, 5))
    return this.heard
  }

  answers(count: number): Promise<string> {
    return this.until(({ heard }) => heard.split("HTTP/1.1 ").length > count && !heard.endsWith("\r\n\r\n{"))
  }
}

const post = (path: string, body: string, more = ""): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

const bodies = (heard: string): Array<unknown> =>
  heard.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []))

describe("plain heads", () => {
  const head = (...lines: ReadonlyArray<string>) => headOf(["GET /a HTTP/1.1", "Host: x", ...lines].join("\r\n"))
  it("are read, with names in lower case", () => {
    expect(head("Accept:  text/plain ", "X-Own: 1")).toMatchObject({
      method: "GET",
      target: "/a",
      headers: { accept: "text/plain", "x-own": "1" },
      bodyBytes: 0
    })
  })
  it.each([
    ["chunked", "Transfer-Encoding: chunked"],
    ["expecting", "Expect: 100-continue"],
    ["upgrading", "Connection: Upgrade"],
    ["last", "Connection: close"],
    ["folded", "A: b\r\n c"],
    ["without a name", ": b"],
    ["with a space in a name", "A b: c"],
    ["with a space behind a name", "A : c"],
    ["with a bare line feed", "A: b\nC: d"],
    ["with a null", "A: b\0"],
    ["twice the same", "A: b\r\na: c"],
    ["with a length that is none", "Content-Length: +1"],
    ["with two lengths", "Content-Length: 1\r\nContent-Length: 1"]
  ])("are not those that are %s", (_, line) => {
    expect(head(line)).toBeUndefined()
  })
  it("have a host, a known method and a target that is a path without a live read", () => {
    expect(headOf("GET /a HTTP/1.1")).toBeUndefined()
    for (const first of ["GET /a HTTP/1.0", "OPTIONS * HTTP/1.1", "GET http://x/ HTTP/1.1", "GET /a?live=sse HTTP/1.1"])
      expect(headOf(`${first}\r\nHost: x`)).toBeUndefined()
    expect(headOf("GET /a?offset=-1 HTTP/1.1\r\nHost: x")?.target).toBe("/a?offset=-1")
  })
})

describe("connections", () => {
  it("answer one request after another, also when all come at once and in pieces", async () => {
    const client = new Client()
    const all = post("/echo/1", "eins") + post("/echo/2", "zwei") + post("/echo/3", "")
    client.send(all.slice(0, 30))
    await new Promise((resume) => setTimeout(resume, 20))
    client.send(all.slice(30, 70))
    await new Promise((resume) => setTimeout(resume, 20))
    client.send(all.slice(70))
    const told = bodies(await client.until(({ heard }) => bodies(heard).length === 3))
    expect(told).toEqual([
      { by: "us", body: "eins", path: "/echo/1" },
      { by: "us", body: "zwei", path: "/echo/2" },
      { by: "us", body: "", path: "/echo/3" }
    ])
    client.socket.destroy()
  })

  it("go over to node:http with what is not plain, behind what was asked before", async () => {
    const client = new Client()
    const chunked = "POST /echo/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nzwei\r\n0\r\n\r\n"
    client.send(post("/echo/1", "eins") + chunked + post("/echo/3", "drei"))
    const told = bodies(await client.until(({ heard }) => bodies(heard).length === 3))
    expect(told).toMatchObject([
      { by: "us", body: "eins" },
      { by: "node", body: "zwei" },
      { by: "node", body: "drei" }
    ])
    client.socket.destroy()
  })

  it("leave a request to node:http whose rest does not come", async () => {
    const client = new Client()
    client.send(post("/echo/1", "eins").slice(0, -2))
    await new Promise((resume) => setTimeout(resume, 3_500))
    client.send("ns")
    expect(bodies(await client.until(({ heard }) => bodies(heard).length === 1))).toMatchObject([{ by: "node" }])
    client.socket.destroy()
  })

  it("refuse what is no HTTP", async () => {
    const client = new Client()
    client.send("hello\r\n\r\n")
    expect(await client.until(({ isOver }) => isOver)).toContain("400 Bad Request")
    client.socket.destroy()
  })

  it("keep the order of answers, and read no further meanwhile", async () => {
    const client = new Client()
    client.send(post("/slow", "") + post("/echo/1", "eins"))
    await client.until(() => later.length === 1)
    expect(client.heard).toBe("")
    later.pop()?.()
    const heard = await client.until(({ heard: text }) => bodies(text).length === 1)
    expect(heard.startsWith("HTTP/1.1 204 No Content\r\n")).toBe(true)
    expect(heard).not.toMatch(/content-length: 0/i)
    client.socket.destroy()
  })

  it("tell a handler when its client goes away before the answer", async () => {
    const before = gone
    const client = new Client()
    client.send(post("/slow", ""))
    await client.until(() => later.length === 1)
    client.socket.destroy()
    await client.until(() => gone > before)
    expect(gone).toBe(before + 1)
    expect(() => later.pop()?.()).not.toThrow()
  })

  it("answer who sent a request with its farewell", async () => {
    const client = new Client()
    client.socket.end(post("/echo/1", "eins"))
    const heard = await client.until(({ isOver }) => isOver)
    expect(bodies(heard)).toHaveLength(1)
  })

  it("answer HEAD without a body, and unknown paths with one", async () => {
    const client = new Client()
    client.send("HEAD /echo/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    const heard = await client.until(({ heard: text }) => bodies(text).length === 1)
    expect(heard).toMatch(/^HTTP\/1.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\nHTTP\/1.1 404 Not Found\r\n/)
    client.socket.destroy()
  })
})
