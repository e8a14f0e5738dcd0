/** One connection, as long as its requests are plain: each is read from one buffer and answered by one write. */
import type { Socket } from "node:net"
import { type Head, headBytesMax, headOf } from "./plain.ts"
import { type Out, WholeRequest, WholeResponse } from "./whole.ts"

/** A longer body comes in many pieces anyhow. */
const bodyBytesMax = 64 * 1024
/** What a client may send ahead of its answers before it is not read any more. */
const aheadBytesMax = 256 * 1024
/** A request whose rest does not come is left to node:http, which knows how long one may take. */
const partMs = 1_000

export interface Switch {
  readonly keepAliveMs: number
  readonly take: (request: WholeRequest, response: WholeResponse) => void
  /** To node:http, for good. */
  readonly leave: (socket: Socket) => void
  readonly isClosing: () => boolean
}

const headEnd = Buffer.from("\r\n\r\n")

export class Line {
  readonly #socket: Socket
  readonly #switch: Switch
  readonly #over: (line: Line) => void
  readonly #out: Out
  #waiting: Buffer | undefined
  /** Further parts of a request, until it has so many bytes: they are put together once. */
  #parts: Array<Buffer> = []
  #missing = 0
  #answering: WholeResponse | undefined
  /** The last head as it came: most clients repeat theirs. */
  #lastBytes: Buffer | undefined
  #last: Head | undefined
  /** When it last fell silent, or when the request began of which a part is there. */
  #since = Date.now()
  #isPart = false
  #isReading = false
  /** Its last answer is on its way. */
  #isOver = false

  constructor(socket: Socket, to: Switch, over: (line: Line) => void) {
    this.#socket = socket
    this.#switch = to
    this.#over = over
    const stays = `connection: keep-alive\r\nkeep-alive: timeout=${to.keepAliveMs / 1000}\r\n\r\n`
    this.#out = { stays, finish: this.#finish, destroy: () => void socket.destroy() }
    socket.on("data", this.#hear)
    socket.on("end", this.#ended)
    socket.on("close", this.#closed)
    socket.on("error", this.#failed)
  }

  readonly #hear = (part: Buffer): void => {
    if (this.#isOver) return
    if (this.#missing > 0) {
      this.#parts.push(part)
      this.#missing -= part.length
      if (this.#missing > 0) return
      this.#join()
    } else this.#waiting = this.#waiting === undefined ? part : Buffer.concat([this.#waiting, part])
    if (this.#answering === undefined) this.#read()
    else if ((this.#waiting?.length ?? 0) > aheadBytesMax) this.#socket.pause()
  }

  /** All that is there of the request. */
  #join(): void {
    if (this.#parts.length > 0) this.#waiting = Buffer.concat([this.#waiting ?? Buffer.alloc(0), ...this.#parts])
    this.#parts = []
    this.#missing = 0
  }

  /** Whether the client has gone or only says no more is not to be told: as with node:http, it has gone. */
  readonly #ended = (): void => this.#end()

  readonly #closed = (): void => {
    this.#over(this)
    this.#answering?.broken()
  }

  readonly #failed = (): void => {
    this.#socket.destroy()
  }

  /** Ends an idle connection, and gives up one whose request does not come to an end. */
  look(now: number): void {
    if (this.#answering !== undefined) return
    const age = now - this.#since
    if (this.#waiting !== undefined) {
      if (age > partMs) this.#leave()
    } else if (age > this.#switch.keepAliveMs || this.#switch.isClosing()) this.#end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** What was said still leaves. */
  #end(): void {
    this.#isOver = true
    this.#waiting = undefined
    this.#socket.destroySoon()
  }

  /** Answers that are there at once do not make this call itself: a client may send thousands of requests ahead. */
  #read(): void {
    if (this.#isReading || this.#missing > 0) return
    this.#isReading = true
    while (this.#answering === undefined && this.#waiting !== undefined) {
      // Who does not read its answers gets no more of them.
      if (this.#socket.writableNeedDrain) {
        this.#socket.once("drain", this.#resume)
        break
      }
      if (!this.#next(this.#waiting)) break
    }
    this.#isReading = false
  }

  /** Takes one request out of what waits; false when it is not there yet, or not for us. */
  #next(waiting: Buffer): boolean {
    const bodyAt = this.#headIn(waiting)
    if (bodyAt === undefined) return false
    const head = this.#last as Head
    const end = bodyAt + head.bodyBytes
    if (waiting.length < end) {
      this.#missing = end - waiting.length
      return this.#await()
    }
    this.#isPart = false
    this.#waiting = waiting.length === end ? undefined : waiting.subarray(end)
    const response = new WholeResponse(this.#out, head.method === "HEAD")
    this.#answering = response
    this.#switch.take(new WholeRequest(head, waiting.subarray(bodyAt, end)), response)
    return true
  }

  /** However slowly its parts come, a request has so much time as a whole. */
  #await(): false {
    if (!this.#isPart) this.#since = Date.now()
    this.#isPart = true
    return false
  }

  /** Where the body begins. */
  #headIn(waiting: Buffer): number | undefined {
    const known = this.#lastBytes
    if (
      known !== undefined &&
      waiting.length >= known.length &&
      waiting.compare(known, 0, known.length, 0, known.length) === 0
    )
      return known.length
    const at = waiting.indexOf(headEnd)
    if (at < 0) {
      if (waiting.length > headBytesMax) this.#leave()
      else this.#await()
      return undefined
    }
    const head = at > headBytesMax ? undefined : headOf(waiting.toString("latin1", 0, at))
    if (head === undefined || head.bodyBytes > bodyBytesMax) {
      this.#leave()
      return undefined
    }
    this.#last = head
    this.#lastBytes = Buffer.from(waiting.subarray(0, at + headEnd.length))
    return at + headEnd.length
  }

  readonly #finish = (head: string, body: ReadonlyArray<Buffer>, isLast: boolean): void => {
    const socket = this.#socket
    const response = this.#answering
    this.#answering = undefined
    this.#since = Date.now()
    if (body.length === 0) socket.write(head, "latin1")
    else {
      socket.cork()
      socket.write(head, "latin1")
      for (const part of body) socket.write(part)
      socket.uncork()
    }
    response?.finished()
    if (isLast) this.#end()
    else if (this.#waiting !== undefined) this.#resume()
  }

  readonly #resume = (): void => {
    if (this.#socket.isPaused()) this.#socket.resume()
    this.#read()
  }

  #leave(): void {
    const socket = this.#socket
    this.#join()
    const waiting = this.#waiting
    this.#waiting = undefined
    socket.off("data", this.#hear)
    socket.off("end", this.#ended)
    socket.off("close", this.#closed)
    socket.off("error", this.#failed)
    this.#over(this)
    socket.pause()
    this.#switch.leave(socket)
    if (waiting !== undefined) socket.unshift(waiting)
    socket.resume()
  }
}
