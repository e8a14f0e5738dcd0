/** A request that came whole and its answer that leaves whole, as handlers see them: they stand in for node:http's. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, STATUS_CODES } from "node:http"
import type { Head } from "./plain.ts"

type Callback = () => void

/** What handlers use of a node:http request. */
export class WholeRequest {
  readonly complete = true
  readonly readableFlowing = null
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly plain: Head
  readonly #body: Buffer

  constructor(plain: Head, body: Buffer) {
    this.method = plain.method
    this.url = plain.target
    this.headers = plain.headers
    this.plain = plain
    this.#body = body
  }

  /** The body, without the ceremony of listening for it. */
  get whole(): Buffer {
    return this.#body
  }

  on(event: string, callback: (part: Buffer) => void): this {
    if (event === "data" && this.#body.length > 0) callback(this.#body)
    return this
  }

  once(event: string, callback: Callback): this {
    if (event === "end") callback()
    return this
  }

  off(): this {
    return this
  }

  pause(): this {
    return this
  }
}

/** Where an answer goes. */
export interface Out {
  /** The last lines of a head after which the connection stays. */
  readonly stays: string
  readonly finish: (head: string, body: ReadonlyArray<Buffer>, isLast: boolean) => void
  readonly destroy: () => void
}

const notInValue = /[^\t\x20-\x7e\x80-\xff]/

const safe = (name: string, value: unknown): string => {
  if (typeof value === "number") return String(value)
  const text = typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : String(value)
  if (notInValue.test(text)) throw new Error(`the header ${name} cannot have the value ${JSON.stringify(text)}`)
  return text
}

let date = ""
let dateSecond = 0

/** The same for all answers of one second. */
const dateNow = (): string => {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    date = new Date(second * 1000).toUTCString()
  }
  return date
}

const lines = new Map(
  Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), `HTTP/1.1 ${code} ${text}\r\n`])
)
const lineOf = (status: number): string => lines.get(status) ?? `HTTP/1.1 ${status} Unknown\r\n`

const noParts: ReadonlyArray<Buffer> = []

/** What handlers that answer at once use of a node:http response. */
export class WholeResponse {
  headersSent = false
  writableEnded = false
  writableFinished = false
  destroyed = false
  readonly #out: Out
  readonly #isHead: boolean
  #status = 200
  #headers = ""
  #isLast = false
  #hasLength = false
  #parts: Array<Buffer> | undefined
  #finished: Array<Callback> | undefined
  #closed: Array<Callback> | undefined

  constructor(out: Out, isHead: boolean) {
    this.#out = out
    this.#isHead = isHead
  }

  setHeader(name: string, value: number | string | ReadonlyArray<string>): this {
    const key = name.toLowerCase()
    const text = safe(name, value)
    if (key === "connection") this.#isLast = text.toLowerCase() === "close"
    else this.#headers += `${name}: ${text}\r\n`
    if (key === "content-length") this.#hasLength = true
    return this
  }

  /** `lines` are headers that were written out before, each with its end. */
  writeHead(status: number, headers: OutgoingHttpHeaders = {}, lines = ""): this {
    this.#status = status
    this.#headers += lines
    for (const name in headers) {
      const value = headers[name]
      if (value !== undefined) this.setHeader(name, value as string)
    }
    this.headersSent = true
    return this
  }

  write(part: Buffer): boolean {
    this.#parts ??= []
    this.#parts.push(part)
    return true
  }

  end(last?: Buffer): this {
    if (this.writableEnded) return this
    this.writableEnded = true
    this.headersSent = true
    if (last !== undefined) this.write(last)
    const parts = this.#isHead ? noParts : (this.#parts ?? noParts)
    this.#out.finish(this.#head(parts), parts, this.#isLast)
    return this
  }

  #head(parts: ReadonlyArray<Buffer>): string {
    const status = this.#status
    let size = 0
    for (const part of parts) size += part.length
    const isBare = this.#isHead || this.#hasLength || status === 204 || status === 304
    const length = isBare ? "" : `content-length: ${size}\r\n`
    const end = this.#isLast ? "connection: close\r\n\r\n" : this.#out.stays
    return `${lineOf(status)}${this.#headers}${length}date: ${dateNow()}\r\n${end}`
  }

  /** It is on its way. */
  finished(): void {
    this.writableFinished = true
    for (const callback of this.#finished ?? []) callback()
    for (const callback of this.#closed ?? []) callback()
  }

  /** The connection is gone, and nobody will hear it. */
  broken(): void {
    if (this.destroyed) return
    this.destroyed = true
    for (const callback of this.#closed ?? []) callback()
  }

  once(event: string, callback: Callback): this {
    if (event === "finish") {
      this.#finished ??= []
      this.#finished.push(callback)
    } else if (event === "close") {
      this.#closed ??= []
      this.#closed.push(callback)
    }
    return this
  }

  destroy(): this {
    this.#out.destroy()
    return this
  }

  /** It leaves whole anyhow. */
  cork(): void {}
  uncork(): void {}
}

/** The same response, when it is one that leaves whole. */
export const asWhole = (response: unknown): WholeResponse | undefined =>
  response instanceof WholeResponse ? response : undefined
