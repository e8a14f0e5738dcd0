/**
 * The streams' HTTP surface against whatever may come over a socket: every request is answered, none with a fault of
 * the node's own, none of them holds it up, and what others have there stays as it was.
 */
import { connect, type Socket } from "node:net"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, freshPath, stop, type Up, up } from "../real/command.ts"

let node: Up
let tried = 0
const statuses = new Map<string, number>()
const runs = Number(process.env["FUZZ_RUNS"] ?? 2000)

beforeAll(async () => {
  const free = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process", "--long-poll-ms", "60"]
  node = await up(freshPath(), ...free)
  for (const [stream, type] of kinds) await ask(`${stream}`, { method: "PUT", headers: { "content-type": type } })
  await ask("control/kept", { method: "PUT", headers: { "content-type": "text/plain" }, body: "untouched" })
}, 60_000)

afterAll(async () => {
  await stop(node)
  cleanUp()
  const told = [...statuses].sort().map(([status, count]) => `${status}: ${count}`)
  process.stdout.write(`streams.http: ${tried} bad inputs tried (${told.join(", ")})\n`)
})

const kinds = [
  ["fuzz/text", "text/plain"],
  ["fuzz/json", "application/json"],
  ["fuzz/bytes", "application/octet-stream"]
] as const

const ask = (path: string, init?: RequestInit) => fetch(`${node.http}/ds/${path}`, init)

/** No answer and no end within this is a hang. */
const hangMs = 8_000

interface Sent {
  readonly parts: ReadonlyArray<string | Buffer>
  /** Nothing more will come, and the other side is told so. */
  readonly isEnded?: boolean
  /** An answer that goes on is left when this much of it is there. */
  readonly enough?: (answer: string) => boolean
}

/** All that comes back until the connection ends. */
const exchange = ({ parts, isEnded = false, enough }: Sent): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(node.http)
    let answer = ""
    const socket: Socket = connect(Number(port), hostname, async () => {
      for (const part of parts) {
        if (socket.destroyed) return
        socket.write(part)
        await new Promise((next) => setImmediate(next))
      }
      if (isEnded) socket.end()
    })
    const end = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end to ${JSON.stringify(parts.map(String)).slice(0, 2000)}: ${answer.slice(0, 500)}`))
    }, hangMs)
    socket.on("data", (part) => {
      answer += part.toString("latin1")
      if (enough?.(answer) === true) end()
    })
    // The node may cut off who is still sending what it does not want.
    socket.on("error", end)
    socket.on("close", end)
  })

const statusOf = (answer: string): string => /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? "none"

const judge = (answer: string, allowed: RegExp): void => {
  const status = statusOf(answer)
  tried += 1
  statuses.set(status, (statuses.get(status) ?? 0) + 1)
  expect(status, answer.slice(0, 300)).toMatch(allowed)
}

const offset = (at: number | bigint): string => `0000000000000000_${String(at).padStart(16, "0")}`

const word = fc.stringMatching(/^[!-~]{1,24}$/)
const value = fc.oneof(
  word,
  fc.constantFrom(...["0", "-1", "now", "true", "9".repeat(16), "1e3", '"x"', "-0", "NaN", "18446744073709551616"]),
  fc.constantFrom(
    offset(0),
    offset(3),
    offset(9_999_999_999_999_999n),
    `"${offset(0)}"`,
    "9".repeat(300),
    "x".repeat(5000)
  ),
  fc.constantFrom(
    "application/json",
    "text/plain",
    "application/json; charset=utf-8",
    "a/b",
    "multipart/mixed",
    "é",
    "*"
  ),
  fc.constantFrom(
    "2030-01-01T00:00:00Z",
    "1969-01-01T00:00:00Z",
    "sha-256",
    "md5",
    "Bearer x",
    "Bearer art_a_bbbbbbbb_00"
  ),
  fc.constantFrom(
    "/ds/fuzz/text",
    "/ds/fuzz/json",
    "/ds/@acme/x/y",
    "http://other/v1/stream/x",
    "W10",
    "WyJhIiwiYiIsMSwiYyJd"
  )
)
const names = [
  ...["stream-ttl", "stream-expires-at", "stream-closed", "stream-seq", "if-match", "if-none-match", "content-type"],
  ...["producer-id", "producer-epoch", "producer-seq", "prefer", "stream-forked-from", "stream-fork-offset", "expect"],
  ...["stream-fork-sub-offset", "stream-snapshot-match", "stream-fence", "stream-proof", "stream-min-offset"],
  ...["authorization", "last-event-id", "range", "accept-encoding", "connection", "upgrade", "host", "content-encoding"]
]
const header = fc.tuple(fc.constantFrom(...names), value)
const segment = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9%._$@~-]{0,8}$/),
  fc.constantFrom("attrs", "bootstrap", "snapshot", "retention", "append-batch", "$transaction", "inspect", "proof"),
  fc.constantFrom(
    "__ds",
    "subscriptions",
    "claim",
    "ack",
    "callback",
    "release",
    "jwks.json",
    "%00",
    "%2F",
    "..",
    "%ff"
  ),
  fc.constantFrom(offset(0), offset(5), "s".repeat(1200), "%F0%9F%92%A9", "é".repeat(3))
)
const rest = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join("/"))
const prefix = fc.constantFrom(
  ...kinds.flatMap(([stream]) => [`/ds/${stream}`, `/ds/${stream}/`]),
  ...["/ds/", "/v1/stream/", "/streams/", "/v1/stream/__ds/", "/ds/__ds/subscriptions/", "/ds/fuzz/", "//ds/"]
)
const query = fc.array(fc.tuple(fc.constantFrom("offset", "live", "cursor", "limit", "after", "prefix", "at"), value), {
  maxLength: 3
})
const method = fc.constantFrom(
  "GET",
  "GET",
  "HEAD",
  "PUT",
  "POST",
  "POST",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "get"
)
const controls = [
  ...['{"type":"webhook","pattern":"**","webhook":{"url":"http://127.0.0.1:1/"}}', '{"worker":"w"}'],
  ...['{"type":"pull-wake","streams":["@acme/x"],"wake_stream":"fuzz/json"}', '{"wake_id":"w","generation":1e999}'],
  ...[
    '{"operations":[{"stream":"text","content_type":"text/plain","payload":"x"}]}',
    '{"operations":[]}',
    "[[[[[[1]]]]]]"
  ],
  ...["", "[]", "{}", "[1,[2]]", "{", "null", `"${"x".repeat(70_000)}"`, "[".repeat(20_000), '{"__proto__":{"a":1}}']
]
const body = fc.oneof(
  fc.constantFrom(...controls),
  fc.string(),
  fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))
)

const anything = fc.record({
  ...{ method, prefix, rest, query, body },
  headers: fc.array(header, { maxLength: 6 }),
  isChunked: fc.boolean()
})

/** Nearly right: it comes further before something is wrong with it. */
const plausible = fc
  .record({
    kind: fc.constantFrom(...kinds),
    method: fc.constantFrom("GET", "GET", "HEAD", "PUT", "POST", "POST", "POST"),
    facet: fc.oneof(
      { weight: 6, arbitrary: fc.constant("") },
      fc.constantFrom(...["/attrs", "/append-batch", "/bootstrap", "/inspect", "/proof", "/snapshot", "/new"]),
      fc.constantFrom(...[0, 1, 2, 7, 70_000].map((at) => `/snapshot/${offset(at)}`)),
      fc.constantFrom(...[0, 1, 2].map((at) => `/retention/${offset(at)}`))
    ),
    query,
    body: fc.oneof(body, fc.constantFrom("[1,2]", "x", '{"a":[{}]}', "\u0000\u0000\u0000\u0001x", "1".repeat(200_000))),
    headers: fc.array(header, { maxLength: 2 }),
    isChunked: fc.boolean()
  })
  .map(({ kind: [stream, type], facet, headers, ...plain }) => ({
    ...{ ...plain, prefix: `/ds/${stream}`, rest: facet },
    headers: [...headers.filter(([name]) => name !== "expect"), ["content-type", type] as [string, string]]
  }))

const request = fc.oneof(anything, plausible)

type Request = typeof request extends fc.Arbitrary<infer A> ? A : never

const bytesOf = ({ method: verb, prefix: start, rest: end, query: asked, headers, body: sent, isChunked }: Request) => {
  const search = asked.map(([name, given]) => `${name}=${encodeURIComponent(given)}`).join("&")
  const payload = Buffer.from(sent)
  const line = `${verb} ${start}${encodeURI(end).replaceAll("%25", "%")}?${search} HTTP/1.1\r\n`
  const lines = headers
    .filter(([name]) => name !== "connection" && name !== "host")
    .map(([name, given]) => `${name}: ${given}\r\n`)
  const framing = isChunked ? "transfer-encoding: chunked\r\n" : `content-length: ${payload.length}\r\n`
  const head = `${line}host: x\r\nconnection: close\r\n${lines.join("")}${framing}\r\n`
  const chunk = payload.length === 0 ? "" : `${payload.length.toString(16)}\r\n`
  return [head, ...(isChunked ? [chunk, payload, chunk === "" ? "0\r\n\r\n" : "\r\n0\r\n\r\n"] : [payload])]
}

/** An event stream goes on: its head is its answer. */
const isStreaming = (answer: string): boolean => answer.includes("text/event-stream")

const isWell = async (): Promise<void> => {
  expect(await (await ask("control/kept")).text()).toBe("untouched")
  const began = performance.now()
  const posted = await ask("control/other", { method: "PUT", headers: { "content-type": "text/plain" }, body: "x" })
  expect([200, 201]).toContain(posted.status)
  expect(performance.now() - began).toBeLessThan(15_000)
}

describe("the HTTP surface of streams", () => {
  it("answers requests of any kind, and never with a fault of its own", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 4, maxLength: 12 }), async (requests) => {
        const answers = await Promise.all(
          requests.map((each) => exchange({ parts: bytesOf(each), enough: isStreaming }))
        )
        for (const answer of answers) judge(answer, /^[234]|none/)
        // Who is refused while still sending a body may lose the answer to a reset; who sends none gets it.
        const lost = requests.filter(({ body: sent }, index) => sent.length === 0 && answers[index] === "")
        expect(lost).toEqual([])
      }),
      { numRuns: Math.ceil(runs / 8) }
    )
    await isWell()
  })

  it("is not held up by what is torn, cut short, contradictory, or no HTTP at all", { timeout: 120_000 }, async () => {
    const post = "POST /ds/fuzz/text HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\n"
    const torn = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((each) => [Buffer.from(each), "\r\n\r\n"]),
      fc.nat(300).map((cut) => [`${post}content-length: 400\r\n\r\n${"x".repeat(cut)}`]),
      fc.nat(post.length).map((cut) => [post.slice(0, cut)]),
      fc.constantFrom(
        ...[[`${post}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`], [`${post}content-length: -1\r\n\r\n`]],
        ...[
          [`${post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
          [`${post}content-length: 1e3\r\n\r\n`]
        ],
        ...[
          [`${post}transfer-encoding: chunked\r\n\r\nzz\r\nabc`],
          [`${post}transfer-encoding: chunked\r\n\r\n5\r\nab`]
        ],
        ...[[`${post}transfer-encoding: gzip\r\n\r\nabc`], [`${post}content-length: 99999999999\r\n\r\nabc`]],
        ...[
          ["GET /ds/fuzz/text HTTP/9.9\r\n\r\n"],
          ["GET  /ds/fuzz/text HTTP/1.1\r\n\r\n"],
          ["GET * HTTP/1.1\r\nhost: x\r\n\r\n"]
        ],
        ...[
          ["CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n"],
          ["GET http://a/ds/fuzz/text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]
        ],
        ...[
          [`GET /ds/${"a".repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
          [`GET / HTTP/1.1\r\nx: ${"a".repeat(90_000)}\r\n\r\n`]
        ],
        ...[
          [`GET /ds/fuzz/text HTTP/1.1\r\n${"a: b\r\n".repeat(3000)}\r\n`],
          ["GET /ds/fuzz/text HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n"]
        ],
        ...[
          ["POST /ds/fuzz/text HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n", "a"],
          ["\r\n\r\n\r\n"]
        ]
      )
    )
    await fc.assert(
      fc.asyncProperty(fc.array(torn, { minLength: 4, maxLength: 8 }), async (all) => {
        const answers = await Promise.all(all.map((parts) => exchange({ parts, isEnded: true })))
        // What was not sent whole need not be answered; 505 is for a version of HTTP that nobody knows.
        for (const answer of answers) judge(answer, /^[1234]|505|none/)
      }),
      { numRuns: Math.ceil(runs / 16) }
    )
    await isWell()
  })

  it("serves others while hundreds of connections say half of something", { timeout: 120_000 }, async () => {
    const { hostname, port } = new URL(node.http)
    const sockets = Array.from({ length: 400 }, (_, index) => {
      const socket = connect(Number(port), hostname)
      socket.on("error", () => {})
      const live = index % 2 === 0 ? "sse" : "long-poll"
      const half = ["POST /ds/fuzz/text HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc", "GET /ds/fuz"]
      const whole = `GET /ds/fuzz/text?offset=now&live=${live} HTTP/1.1\r\nhost: x\r\n\r\n`
      socket.write([...half, whole][index % 3] as string)
      tried += 1
      return socket
    })
    await isWell()
    for (const socket of sockets) socket.destroy()
    await isWell()
  })

  it("takes pipelined requests in their order, the good behind the bad", async () => {
    const bad = "POST /ds/fuzz/none HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nab"
    const good = "GET /ds/control/kept HTTP/1.1\r\nhost: x\r\n\r\n"
    const last = "GET /ds/control/kept?offset=x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    const answer = await exchange({ parts: [bad + good + bad, good, last] })
    tried += 3
    expect([...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status)).toEqual([
      ...["404", "200", "404", "200", "400"]
    ])
  })
})
