/** A connection with one request under way at a time: the least that a client of HTTP/1.1 can cost, for any server. */
import { connect, type Socket } from "node:net"

export interface Answer {
  readonly status: number
  /** The lines of its head, as they came. */
  readonly head: string
  readonly bodyBytes: number
}

const headEnd = Buffer.from("\r\n\r\n")
const lineEnd = Buffer.from("\r\n")
const crlf = 2
const readBytes = 256 * 1024

const lengthIn = (head: string): number => Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)

/** One answer as it comes in; what is of no interest, which is the body, is counted and dropped. */
class Incoming {
  status = 0
  head = ""
  bodyBytes = 0
  /** Bytes of the body, or of one of its chunks, that are still to come; the end of a chunk is counted with it. */
  #missing = 0
  #isChunked = false
  #isLastChunk = false
  #rest: Buffer | undefined

  /** True when this was the end of it. */
  take(part: Buffer): boolean {
    const bytes = this.#rest === undefined ? part : Buffer.concat([this.#rest, part])
    this.#rest = undefined
    return this.#consume(this.head === "" ? this.#takeHead(bytes) : bytes)
  }

  #takeHead(bytes: Buffer): Buffer {
    const end = bytes.indexOf(headEnd)
    if (end < 0) {
      this.#rest = Buffer.from(bytes)
      return bytes.subarray(0, 0)
    }
    this.head = bytes.toString("latin1", 0, end)
    this.status = Number(this.head.slice(9, 12))
    this.#isChunked = /\r\ntransfer-encoding: *chunked/i.test(this.head)
    this.#missing = this.status === 204 || this.status === 304 || this.#isChunked ? 0 : lengthIn(this.head)
    return bytes.subarray(end + headEnd.length)
  }

  #consume(given: Buffer): boolean {
    let bytes = given
    while (this.head !== "") {
      const taken = Math.min(bytes.length, this.#missing)
      this.#missing -= taken
      this.bodyBytes += taken
      bytes = bytes.subarray(taken)
      if (this.#missing > 0) return false
      if (!this.#isChunked || this.#isLastChunk) return true
      const end = bytes.indexOf(lineEnd)
      if (end < 0) {
        this.#rest = Buffer.from(bytes)
        return false
      }
      const size = Number.parseInt(bytes.toString("latin1", 0, end), 16)
      this.#missing = size + crlf
      this.bodyBytes -= crlf
      this.#isLastChunk = size === 0
      bytes = bytes.subarray(end + crlf)
    }
    return false
  }
}

export class Lane {
  readonly #socket: Socket
  readonly #host: string
  #incoming: Incoming | undefined
  #done: ((answer: Answer) => void) | undefined
  #failed: ((error: Error) => void) | undefined

  constructor(url: string) {
    const { hostname, port, host } = new URL(url)
    this.#host = host
    // Read into the same bytes again and again: nothing of an answer is kept.
    const callback = (size: number, bytes: Uint8Array): boolean => {
      this.#hear((bytes as Buffer).subarray(0, size))
      return true
    }
    const onread = { buffer: Buffer.alloc(readBytes), callback }
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread })
    this.#socket.on("error", (error) => this.#failed?.(error))
    this.#socket.on("close", () => this.#failed?.(new Error("the server ended the connection")))
  }

  #hear(part: Buffer): void {
    const incoming = this.#incoming
    if (incoming === undefined || !incoming.take(part)) return
    this.#incoming = undefined
    this.#failed = undefined
    this.#done?.(incoming)
  }

  /** Written once, sent as often as one likes. */
  post(path: string, type: string, body: string | Buffer): Buffer {
    const bytes = Buffer.from(body as string)
    const lines = [`POST ${path} HTTP/1.1`, `Host: ${this.#host}`, `Content-Type: ${type}`]
    const head = [...lines, `Content-Length: ${bytes.length}`, "", ""].join("\r\n")
    return Buffer.concat([Buffer.from(head), bytes])
  }

  get(path: string): Buffer {
    return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`)
  }

  send(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#incoming = new Incoming()
      this.#done = resolve
      this.#failed = reject
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#failed = undefined
    this.#socket.destroy()
  }
}

/** Hears the bytes of an answer that goes on; ends when its head is there, with what closes it. */
export const heard = (url: string, path: string, hear: (part: Buffer) => void): Promise<() => void> =>
  new Promise((resolve, reject) => {
    const { hostname, port, host } = new URL(url)
    const onread = {
      buffer: Buffer.alloc(readBytes / 16),
      callback: (size: number, bytes: Uint8Array): boolean => {
        resolve(() => socket.destroy())
        hear((bytes as Buffer).subarray(0, size))
        return true
      }
    }
    const socket = connect({ host: hostname, port: Number(port), noDelay: true, onread })
    socket.on("error", reject)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`)
  })
