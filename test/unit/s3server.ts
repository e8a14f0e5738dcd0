/** A small S3 server that misbehaves on command, so that each way in which a store can fail is met on purpose. */
import { createHash, randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { crc32 } from "node:zlib"
import { Effect, type Scope } from "effect"

/** What happens to one request. Those that say `done` are carried out, and only the answer suffers. */
export type Mishap =
  | "none"
  | {
      readonly status: number
      readonly code: string
      readonly headers?: Record<string, string>
      readonly message?: string
    }
  | "reset"
  | "reset, done"
  | "silence"
  | "silence, done"
  | "truncated"
  | "stalled"
  | "corrupt"
  | "another range"
  | "500, done"

interface Kept {
  readonly bytes: Buffer
  readonly etag: string
  readonly mark: string | undefined
}

export interface Double {
  readonly endpoint: string
  readonly kept: Map<string, Kept>
  /** Method and path of every request, in order. */
  readonly requests: Array<string>
  /** The next requests fare so, one each; after them all goes well. */
  readonly mishaps: Array<Mishap>
  /** Runs before a request is carried out: for what another writer does at that very moment. */
  before: (method: string, key: string) => void
  readonly put: (key: string, bytes: Uint8Array, mark?: string) => void
  /** Uploads that were begun, and neither joined nor aborted. */
  readonly openUploads: () => number
  /** Requests whose client went away before it had its answer. */
  readonly deserted: () => number
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const sumOf = (bytes: Uint8Array): string => {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum.toString("base64")
}

const errorXml = (code: string, message: string): string =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message>` +
  "<StringToSign>AWS4-HMAC-SHA256 secret things</StringToSign></Error>"

interface Reply {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: Buffer | string
}

const failed = (status: number, code: string, message = "said the store"): Reply => ({
  status,
  headers: { "content-type": "application/xml" },
  body: errorXml(code, message)
})

class Bucket {
  readonly kept = new Map<string, Kept>()
  private readonly uploads = new Map<
    string,
    { readonly mark: string | undefined; readonly parts: Map<number, Buffer> }
  >()

  put(key: string, bytes: Uint8Array, mark?: string): Kept {
    const etag = `"${createHash("md5")
      .update(bytes)
      .update(mark ?? "")
      .digest("hex")}"`
    const kept = { bytes: Buffer.from(bytes), etag, mark }
    this.kept.set(key, kept)
    return kept
  }

  private refuses(key: string, headers: IncomingMessage["headers"]): Reply | undefined {
    const found = this.kept.get(key)
    if (headers["if-none-match"] === "*" && found !== undefined) return failed(412, "PreconditionFailed")
    const wanted = headers["if-match"]
    if (wanted === undefined) return undefined
    if (found === undefined) return failed(404, "NoSuchKey")
    return found.etag === wanted ? undefined : failed(412, "PreconditionFailed")
  }

  private read(key: string, { headers, method }: IncomingMessage): Reply {
    const found = this.kept.get(key)
    if (found === undefined) return method === "HEAD" ? { status: 404 } : failed(404, "NoSuchKey")
    const own = found.mark === undefined ? {} : { "x-amz-meta-artifacts-put": found.mark }
    const common = { etag: found.etag, ...own }
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "")
    if (range === null) {
      return { status: 200, headers: { ...common, "x-amz-checksum-crc32": sumOf(found.bytes) }, body: found.bytes }
    }
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), found.bytes.length - 1)]
    if (from >= found.bytes.length) return failed(416, "InvalidRange")
    const body = found.bytes.subarray(from, to + 1)
    return { status: 206, headers: { ...common, "content-range": `bytes ${from}-${to}/${found.bytes.length}` }, body }
  }

  private write(key: string, query: URLSearchParams, body: Buffer, { headers, method }: IncomingMessage): Reply {
    const mark = headers["x-amz-meta-artifacts-put"] as string | undefined
    const sum = headers["x-amz-checksum-crc32"]
    if (method === "PUT" && sum !== undefined && sum !== sumOf(body)) return failed(400, "BadDigest")
    if (query.has("uploads")) {
      const id = randomUUID()
      this.uploads.set(id, { mark, parts: new Map() })
      return { status: 200, body: `<R><Bucket>b</Bucket><Key>k</Key><UploadId>${id}</UploadId></R>` }
    }
    const uploadId = query.get("uploadId")
    if (uploadId === null) {
      const refusal = this.refuses(key, headers)
      return refusal ?? { status: 200, headers: { etag: this.put(key, body, mark).etag } }
    }
    const upload = this.uploads.get(uploadId)
    if (upload === undefined) return failed(404, "NoSuchUpload")
    const part = query.get("partNumber")
    if (part !== null) {
      upload.parts.set(Number(part), body)
      return { status: 200, headers: { etag: `"part-${part}"` } }
    }
    const refusal = this.refuses(key, headers)
    if (refusal !== undefined) return refusal
    const inOrder = [...upload.parts].sort((a, b) => a[0] - b[0]).map(([, bytes]) => bytes)
    this.uploads.delete(uploadId)
    const { etag } = this.put(key, Buffer.concat(inOrder), upload.mark)
    return { status: 200, body: `<R><ETag>${etag.replaceAll('"', "&quot;")}</ETag></R>` }
  }

  private remove(body: Buffer): Reply {
    for (const [, key = ""] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) this.kept.delete(key)
    return { status: 200, body: "<DeleteResult></DeleteResult>" }
  }

  answer(key: string, query: URLSearchParams, body: Buffer, request: IncomingMessage): Reply {
    if (query.has("delete")) return this.remove(body)
    if (request.method === "DELETE") {
      this.uploads.delete(query.get("uploadId") ?? "")
      return { status: 204 }
    }
    if (request.method === "GET" || request.method === "HEAD") return this.read(key, request)
    return this.write(key, query, body, request)
  }

  get openUploads(): number {
    return this.uploads.size
  }
}

const send = (response: ServerResponse, { body = "", headers = {}, status }: Reply): void => {
  response.writeHead(status, { "content-length": String(Buffer.byteLength(body)), ...headers })
  response.end(body)
}

const spoil = (response: ServerResponse, reply: Reply, mishap: Mishap): void => {
  const body = Buffer.from(reply.body ?? "")
  const headers = { "content-length": String(body.length), ...reply.headers }
  if (mishap === "corrupt") {
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1
    return send(response, { ...reply, body })
  }
  if (mishap === "another range") {
    return send(response, {
      ...reply,
      body,
      headers: { ...headers, "content-range": `bytes 0-${body.length - 1}/99999` }
    })
  }
  response.writeHead(reply.status, headers)
  response.write(body.subarray(0, body.length >> 1), () => {
    if (mishap === "truncated") response.destroy()
  })
}

const happened = (mishap: Mishap, response: ServerResponse, answer: () => Reply): void => {
  if (mishap === "none") return send(response, answer())
  if (typeof mishap === "object") {
    return send(response, { ...failed(mishap.status, mishap.code, mishap.message), headers: mishap.headers ?? {} })
  }
  if (mishap.endsWith("done")) answer()
  if (mishap.startsWith("500")) return send(response, failed(500, "InternalError"))
  if (mishap.startsWith("reset")) return void response.destroy()
  if (!mishap.startsWith("silence")) spoil(response, answer(), mishap)
}

/** The server, listening on the loopback until the scope closes. */
export const double: Effect.Effect<Double, never, Scope.Scope> = Effect.gen(function* () {
  const bucket = new Bucket()
  const requests: Array<string> = []
  const mishaps: Array<Mishap> = []
  let deserted = 0
  const state = { before: (_method: string, _key: string): void => undefined }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://host")
    const key = decodeURIComponent(url.pathname.split("/").slice(2).join("/"))
    response.once("close", () => {
      if (!response.writableEnded) deserted++
    })
    requests.push(`${request.method} ${url.pathname}${url.search}`)
    const mishap = mishaps.shift() ?? "none"
    if (mishap === "reset") return void request.socket.destroy()
    bodyOf(request).then(
      (body) =>
        happened(mishap, response, () => {
          state.before(request.method ?? "", key)
          return bucket.answer(key, url.searchParams, body, request)
        }),
      () => response.destroy()
    )
  })
  const port = yield* Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            resolve(typeof address === "object" && address !== null ? address.port : 0)
          })
        )
    ),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )
  return Object.assign(state, {
    endpoint: `http://127.0.0.1:${port}`,
    kept: bucket.kept,
    requests,
    mishaps,
    put: (key: string, bytes: Uint8Array, mark?: string) => void bucket.put(key, bytes, mark),
    openUploads: () => bucket.openUploads,
    deserted: () => deserted
  })
})
