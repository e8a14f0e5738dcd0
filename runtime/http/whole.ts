/** A request that came whole and its answer that leaves whole, as handlers see them: they stand in for node:http's. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, STATUS_CODES } from "node:http"

type Callback = () => void

/** What handlers use of a node:http request. */
export class WholeRequest {
  readonly complete = true
  readonly readableFlowing = null
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly #body: Buffer

  constructor(method: string, url: string, headers: IncomingHttpHeaders, body: Buffer) {
    this.method = method
    this.url = url
    this.headers = headers
    this.#body = body
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
  readonly keepAliveS: number
  readonly finish: (head: string, body: ReadonlyArray<Buffer>, isLast: boolean) => void
  readonly destroy: () => void
}

const notInValue = /[^\t\x20-\x7e\x80-\xff]/

const safe = (name: string, value: unknown): string => {
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

  writeHead(status: number, headers: OutgoingHttpHeaders = {}): this {
    this.#status = status
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
    return (
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n${this.#headers}` +
      `${isBare ? "" : `content-length: ${size}\r\n`}date: ${dateNow()}\r\n` +
      `${this.#isLast ? "connection: close" : `connection: keep-alive\r\nkeep-alive: timeout=${this.#out.keepAliveS}`}\r\n\r\n`
    )
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
