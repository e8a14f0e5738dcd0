/** The broker's parser under every cut and under garbage: it says the same whatever the chunks, and never falls. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limitsDefault } from "../../adapters/nats/broker/limits.ts"
import { Parser, type Words } from "../../adapters/nats/broker/parser.ts"
import { encodeHeaders } from "../../adapters/nats/headers.ts"

const limits = { ...limitsDefault, lineBytesMax: 256, connectBytesMax: 512, payloadBytesMax: 4096 }

interface Outcome {
  readonly words: ReadonlyArray<string>
  readonly wrong: string | undefined
  readonly heldMax: number
}

const hex = (data: Buffer, start: number, end: number): string => data.toString("hex", start, end)

/** Feeds the bytes cut at these places. Each chunk is overwritten afterwards: nothing may be read from it later. */
const parse = (bytes: Buffer, cuts: ReadonlyArray<number> = []): Outcome => {
  const words: Array<string> = []
  const recorder: Words = {
    connect: (json) => words.push(`connect ${json}`),
    publish: ({ subject, reply, data, start, bodyAt, end }, hasHeaders) =>
      words.push(`pub ${subject} ${reply} ${hasHeaders} ${hex(data, start, bodyAt)} ${hex(data, bodyAt, end)}`),
    subscribe: (subject, queue, sid) => words.push(`sub ${subject} ${queue} ${sid}`),
    unsubscribe: (sid, max) => words.push(`unsub ${sid} ${max}`),
    ping: () => words.push("ping"),
    pong: () => words.push("pong")
  }
  const parser = new Parser(recorder, limits)
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let heldMax = 0
  let from = 0
  for (const place of [...places, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(from, place))
    from = place
    const wrong = parser.feed(chunk)
    heldMax = Math.max(heldMax, parser.heldBytes)
    chunk.fill(0xee)
    if (wrong !== undefined) return { words, wrong, heldMax }
  }
  return { words, wrong: undefined, heldMax }
}

const token = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_*>$-]{1,8}$/), fc.constantFrom("é", "日本", "😀"))
const subject = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join("."))
const blank = fc.constantFrom(" ", "\t", "  ", " \t ")
const name = (word: string) => fc.constantFrom(word, word.toLowerCase(), word[0] + word.slice(1).toLowerCase())
const body = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 200, maxLength: 4096 - 200 }),
  fc.constantFrom("\r\n", "PING\r\n", "\r\nPUB x 0\r\n\r\n").map((text) => new Uint8Array(Buffer.from(text)))
)
const block = fc.dictionary(fc.stringMatching(/^[A-Za-z-]{1,8}$/), fc.stringMatching(/^[ -9;-~]{0,12}$/), {
  maxKeys: 3
})

const line = (parts: ReadonlyArray<string>, blanks: string): Buffer => Buffer.from(`${parts.join(blanks)}\r\n`)
const end = Buffer.from("\r\n")

interface Said {
  readonly bytes: Buffer
  readonly word: string
}

const publish = fc
  .tuple(name("PUB"), subject, fc.option(subject, { nil: "" }), body, blank)
  .map(([op, to, reply, data, blanks]): Said => {
    const parts = [op, to, ...(reply === "" ? [] : [reply]), String(data.length)]
    return {
      bytes: Buffer.concat([line(parts, blanks), data, end]),
      word: `pub ${to} ${reply} false  ${Buffer.from(data).toString("hex")}`
    }
  })
const publishHeaders = fc
  .tuple(name("HPUB"), subject, fc.option(subject, { nil: "" }), block, body, blank)
  .map(([op, to, reply, given, data, blanks]): Said => {
    const head = encodeHeaders(given)
    const sizes = [String(head.length), String(head.length + data.length)]
    return {
      bytes: Buffer.concat([line([op, to, ...(reply === "" ? [] : [reply]), ...sizes], blanks), head, data, end]),
      word: `pub ${to} ${reply} true ${head.toString("hex")} ${Buffer.from(data).toString("hex")}`
    }
  })
const subscribe = fc
  .tuple(name("SUB"), subject, fc.option(token, { nil: undefined }), token, blank)
  .map(([op, to, queue, sid, blanks]): Said => {
    const parts = [op, to, ...(queue === undefined ? [] : [queue]), sid]
    return { bytes: line(parts, blanks), word: `sub ${to} ${queue} ${sid}` }
  })
const unsubscribe = fc.tuple(name("UNSUB"), token, fc.nat(1000), blank).map(
  ([op, sid, max, blanks]): Said => ({
    bytes: line([op, sid, ...(max === 0 ? [] : [String(max)])], blanks),
    word: `unsub ${sid} ${max}`
  })
)
const alone = fc
  .constantFrom("PING", "ping", "PONG", "Pong")
  .map((word): Said => ({ bytes: line([word], ""), word: word.toLowerCase() }))
const connect = fc
  .jsonValue({ maxDepth: 1 })
  .filter((value) => JSON.stringify(value).length < 200)
  .map(
    (value): Said => ({
      bytes: line(["CONNECT", JSON.stringify(value)], " "),
      word: `connect ${JSON.stringify(value)}`
    })
  )
const said = fc.array(fc.oneof(publish, publishHeaders, subscribe, unsubscribe, alone, connect), {
  maxLength: 12,
  size: "max"
})
const cuts = fc.array(fc.nat(20_000), { maxLength: 30, size: "max" })

describe("the broker's parser", () => {
  it("reads what was said, whatever the chunks", () => {
    fc.assert(
      fc.property(said, cuts, (all, places) => {
        const { words, wrong } = parse(Buffer.concat(all.map(({ bytes }) => bytes)), places)
        expect(wrong).toBeUndefined()
        expect(words).toEqual(all.map(({ word }) => word))
      }),
      { numRuns: 400 }
    )
  })

  it("reads a stream that is torn at any one byte, and one that comes byte by byte", () => {
    const head = encodeHeaders({ A: "b", C: "d" })
    const bytes = Buffer.concat([
      Buffer.from(
        'CONNECT {"verbose":false}\r\nPING\r\nSUB a.*.> q 17\r\nPUB a.b 5\r\nhello\r\nPUB é.b in.1 0\r\n\r\n'
      ),
      Buffer.from(`HPUB a.b.c _INBOX.x ${head.length} ${head.length + 4}\r\n`),
      head,
      Buffer.from("\r\n\r\n\r\nUNSUB 17 3\r\nPONG\r\n")
    ])
    const whole = parse(bytes)
    expect(whole.words.length).toBe(8)
    for (let at = 0; at <= bytes.length; at++) expect(parse(bytes, [at]).words, `torn at ${at}`).toEqual(whole.words)
    expect(
      parse(
        bytes,
        Array.from({ length: bytes.length }, (_, at) => at)
      ).words
    ).toEqual(whole.words)
  })

  const number = fc.oneof(
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map(String),
    fc.constantFrom(
      "",
      "-0",
      "+1",
      "1e3",
      "0x10",
      "4097",
      "00",
      "007",
      "1.5",
      "NaN",
      "４",
      "9".repeat(200),
      "-1",
      "4096"
    ),
    fc.nat(5000).map(String)
  )
  const mutilated = fc
    .tuple(said, fc.array(fc.tuple(fc.nat(20_000), fc.nat(255)), { minLength: 1, maxLength: 6 }))
    .map(([all, changes]) => {
      const bytes = Buffer.concat([...all.map((one) => one.bytes), Buffer.from("PING\r\n")])
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      return bytes
    })
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
    fc.stringMatching(/^[ -~\r\n]{0,400}$/).map((text) => Buffer.from(text)),
    mutilated,
    fc.tuple(subject, number, body).map(([to, size, data]) => Buffer.concat([line(["PUB", to, size], " "), data, end])),
    fc
      .tuple(subject, number, number, body)
      .map(([to, one, two, data]) => Buffer.concat([line(["HPUB", to, one, two], " "), data, end])),
    fc.tuple(token, number).map(([sid, max]) => line(["UNSUB", sid, max, "\r\n"], " ")),
    fc.array(fc.oneof(subject, number, fc.string()), { maxLength: 7 }).map((parts) => line(["SUB", ...parts], " ")),
    fc.nat(2000).map((length) => Buffer.from(`CONNECT ${"x".repeat(length)}`)),
    fc.nat(2000).map((length) => Buffer.from(`PUB ${"x".repeat(length)}`))
  )

  it("never throws on garbage, says the same whatever the chunks, and holds no more than its limits", () => {
    const reasons = new Set<string | undefined>()
    fc.assert(
      fc.property(garbage, cuts, (bytes, places) => {
        const whole = parse(bytes)
        const torn = parse(bytes, places)
        reasons.add(whole.wrong)
        expect(torn.wrong).toBe(whole.wrong)
        expect(torn.words).toEqual(whole.words)
        expect(torn.heldMax).toBeLessThanOrEqual(limits.payloadBytesMax + limits.connectBytesMax + 2)
      }),
      { numRuns: 3000 }
    )
    expect(reasons).toEqual(
      new Set([undefined, "Unknown Protocol Operation", "Maximum Control Line Exceeded", "Maximum Payload Violation"])
    )
  })

  it("takes memory for what has come, not for what was announced", () => {
    const parser = new Parser({ ...silent }, limitsDefault)
    expect(parser.feed(Buffer.from(`PUB x ${limitsDefault.payloadBytesMax}\r\nabc`))).toBeUndefined()
    expect(parser.heldBytes).toBeLessThanOrEqual(256 * 1024)
  })

  it("refuses control characters, broken UTF-8, header blocks without form, and lines without their end", () => {
    const bad = [
      "PUB a\x01b 0\r\n\r\n",
      "SUB a\x7f 1\r\n",
      "PUB a\rb 0\r\n\r\n",
      "PING\n",
      "\r\n",
      "PUB x 2\r\nabc\r\n",
      "PUB x 2\r\nab\n\n",
      "HPUB x 12 12\r\nNATS/2.0\r\n\r\n\r\n",
      "HPUB x 12 12\r\nNATS/1.0\r\nab\r\n",
      "HPUB x 13 12\r\nNATS/1.0\r\n\r\n\r\n",
      "HPUB x 0 0\r\n\r\n",
      "PUB x y z 0\r\n\r\n",
      "PINGX\r\n",
      "PING PING\r\n",
      "CONNECT\r\n"
    ]
    for (const text of bad)
      expect(parse(Buffer.from(text)).wrong, JSON.stringify(text)).toBe("Unknown Protocol Operation")
    expect(parse(Buffer.from([0x53, 0x55, 0x42, 0x20, 0xff, 0xfe, 0x20, 0x31, 13, 10])).wrong).toBeDefined()
  })
})

const silent: Words = {
  connect: () => {},
  publish: () => {},
  subscribe: () => {},
  unsubscribe: () => {},
  ping: () => {},
  pong: () => {}
}
