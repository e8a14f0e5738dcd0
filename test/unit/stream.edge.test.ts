/** The small laws of the streams' edge: paths, patterns, cursors, frames and the URLs that are posted to. */
import { describe, expect, it } from "vitest"
import { keyOfPath, pathOfKey, streamFault } from "../../messages/stream.ts"
import { cursorAfter } from "../../runtime/http/streams/cursor.ts"
import { facetOf } from "../../runtime/http/streams/facets.ts"
import { type Coding, chunkOf, codingOf, controlFrame, dataFrame } from "../../runtime/http/streams/frames.ts"
import { keyOfUrlPath } from "../../runtime/http/streams/request.ts"
import { webhookFault } from "../../runtime/http/streams/webhook.ts"
import { globOf } from "../../runtime/streams/glob.ts"

describe("paths", () => {
  it("name one stream in every family", () => {
    const names = ["/v1/stream/x", "/streams/x", "/ds/_default/x", "http://h:1/v1/stream/x", "x"]
    expect(names.map(keyOfUrlPath)).toEqual(names.map(() => "_default/x"))
    expect(keyOfUrlPath("/ds/runs/a%20b/c")).toBe("runs/a b/c")
    expect(keyOfUrlPath("/ds/runs/%E0")).toBeUndefined()
    for (const path of ["x", "a/b", "a/b/c"]) expect(pathOfKey(keyOfPath(path))).toBe(path)
  })

  it("are refused when they could mean something else", () => {
    for (const key of ["__ds/x", "a", "a/", "a//b", "a/../b", "/a", `a/${"x".repeat(900)}`, "a/\u0000", "a b/c"])
      expect(streamFault(key), key).toBeDefined()
    for (const key of ["a/b", "_default/x", "a/b.c/d e", "a/ü"]) expect(streamFault(key), key).toBeUndefined()
  })

  it("end in a facet where there is one", () => {
    expect(facetOf("runs/42/attrs")?.key).toBe("runs/42")
    expect(facetOf("runs/42/retention/7")).toMatchObject({ key: "runs/42", argument: "7" })
    expect(facetOf("runs/$transaction")?.key).toBe("runs")
    for (const key of ["runs/attrs", "runs/snapshot/7", "runs/42"]) expect(facetOf(key), key).toBeUndefined()
  })
})

describe("patterns", () => {
  it("stay within a segment with one star, and cross them with two", () => {
    expect(["a/b", "a/bc", "a/b/c", "x/a/b"].filter(globOf("a/*"))).toEqual(["a/b", "a/bc"])
    expect(["a/b", "a/b/c", "b/c"].filter(globOf("a/**"))).toEqual(["a/b", "a/b/c"])
    expect(["a.b", "axb"].filter(globOf("a.b"))).toEqual(["a.b"])
  })
})

describe("cursors", () => {
  it("are of the interval, and later than the reader's own", () => {
    const now = Date.parse("2024-10-09T00:01:00Z")
    expect(cursorAfter(undefined, now)).toBe("3")
    expect(cursorAfter("2", now)).toBe("3")
    expect(cursorAfter("junk", now)).toBe("3")
    for (const given of ["3", "999"]) expect(Number(cursorAfter(given, now))).toBeGreaterThan(Number(given))
  })
})

const framed = (coding: Coding, ...parts: ReadonlyArray<Buffer>): string =>
  Buffer.concat(dataFrame(coding, parts)).toString()

describe("events", () => {
  it("cannot be forged by what they carry", () => {
    const hostile = "x\r\n\r\nevent: control\rdata:{}\n"
    const frame = framed("text", Buffer.from(hostile))
    expect(frame.split("\n").filter((line) => line.startsWith("event: "))).toEqual(["event: data"])
    expect(frame.endsWith("data:\n\n")).toBe(true)
  })

  it("hold JSON messages as one array, and bytes in base64", () => {
    expect(framed("json", Buffer.from('{"a":1},'), Buffer.from("2,"))).toBe('event: data\ndata:[{"a":1},2]\n\n')
    expect(framed("base64", Buffer.from([0, 255]))).toBe("event: data\ndata:AP8=\n\n")
    expect(["text/html", "Application/JSON; x=y", "image/png"].map(codingOf)).toEqual(["text", "json", "base64"])
  })

  it("keep messages that were sent on many lines one array", () => {
    const lines = framed("json", Buffer.from('{"a":\n1},'), Buffer.from("2,")).split("\n")
    expect(lines).toEqual(["event: data", 'data:[{"a":', "data:1},2]", "", ""])
    expect(
      JSON.parse(
        lines
          .slice(1, 3)
          .map((line) => line.slice("data:".length))
          .join("\n")
      )
    ).toEqual([{ a: 1 }, 2])
  })

  it("are chunks of the same bytes, whether they are copied or sent as they lie in memory", () => {
    for (const size of [0, 100, 20_000]) {
      const frames = [...dataFrame("text", [Buffer.alloc(size, "x")]), Buffer.from("event: control")]
      const { framed: chunk, bare } = chunkOf(frames)
      const bytes = Buffer.concat(frames).toString()
      expect(Buffer.concat(bare).toString()).toBe(bytes)
      expect(Buffer.concat(chunk).toString()).toBe(`${bytes.length.toString(16)}\r\n${bytes}\r\n`)
      expect(chunk.length === 1).toBe(size < 16_000)
    }
  })

  it("leave the cursor out when the stream is closed", () => {
    const frame = controlFrame({ next: 3, cursor: "7", isUpToDate: true, isClosed: true }).toString()
    expect(frame).not.toContain("streamCursor")
    expect(frame).toContain('"streamClosed":true')
  })
})

describe("webhooks", () => {
  it("are not posted into private networks", () => {
    const refused = [
      "http://example.com/",
      "https://10.0.0.1/",
      "https://169.254.169.254/",
      "https://[::1]/",
      "ftp://a/"
    ]
    for (const url of [...refused, "https://172.20.1.1/", "https://u:p@example.com/", "x"])
      expect(webhookFault(url), url).toBeDefined()
    for (const url of ["https://example.com/x", "http://localhost:9/x", "http://127.0.0.1:9/x", "https://172.32.1.1/"])
      expect(webhookFault(url), url).toBeUndefined()
  })
})
