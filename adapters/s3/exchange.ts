/** One HTTP request and its whole answer over the pool, in plain callbacks: blocks pass through here. */
import { Effect } from "effect"
import type { Dispatcher, Pool } from "undici"
import { answerBytesMax, type S3Limits } from "./limits.ts"

export interface Outgoing {
  readonly method: "GET" | "PUT" | "HEAD"
  /** With the query, encoded. */
  readonly path: string
  /** Names and values in turn. */
  readonly headers: Array<string>
  readonly body?: Uint8Array
  /** The most that a successful answer may hold: what was asked for. */
  readonly bytesMax: number
  readonly limits: S3Limits
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Uint8Array
}

/** Why there is no whole answer. A value and not an error: most of these are retried and never seen. */
export interface Trouble {
  readonly _tag: "Trouble"
  readonly why: string
  /** The request may have reached the store and been carried out. */
  readonly unsure: boolean
  /** Another attempt may succeed, now or later. */
  readonly again: boolean
  /** This operation is over all the same: its own further attempts would tell nothing new. */
  readonly over?: boolean
  /** The store's own wish, in milliseconds. */
  readonly waitMs?: number
}

export const trouble = (
  why: string,
  how: { unsure: boolean; again?: boolean; over?: boolean; waitMs?: number }
): Trouble => ({
  _tag: "Trouble",
  why,
  unsure: how.unsure,
  again: how.again ?? true,
  over: how.over ?? false,
  ...(how.waitMs === undefined ? {} : { waitMs: how.waitMs })
})

type Settle = (result: Effect.Effect<Answer, Trouble>) => void

const lengthIn = (headers: Answer["headers"]): number | undefined => {
  const value = headers["content-length"]
  return typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}

/** Gathers an answer into one buffer of the announced length; an answer of another length is no answer. */
class Receiver implements Dispatcher.DispatchHandler {
  private readonly request: Outgoing
  private readonly settle: Settle
  private timer: NodeJS.Timeout | undefined
  private controller: Dispatcher.DispatchController | undefined
  private done = false
  private status = 0
  private headers: Answer["headers"] = {}
  private announced: number | undefined
  private whole: Buffer = Buffer.alloc(0)
  private chunks: Array<Buffer> = []
  private received = 0

  constructor(request: Outgoing, settle: Settle) {
    this.request = request
    this.settle = settle
    this.allow(request.body?.length ?? 0)
  }

  /** From now on there is the time of one attempt, and what these bytes take on the slowest line. */
  private allow(bytes: number): void {
    const { attemptMs, bytesPerMsMin } = this.request.limits
    const ms = attemptMs + Math.ceil(bytes / bytesPerMsMin)
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.fail(`no whole answer within ${ms} ms`), ms)
  }

  private end(result: Effect.Effect<Answer, Trouble>): void {
    if (this.done) return
    this.done = true
    clearTimeout(this.timer)
    this.settle(result)
  }

  private fail(why: string): void {
    this.end(Effect.fail(trouble(why, { unsure: this.controller !== undefined })))
    this.controller?.abort(new Error(why))
  }

  cancel(): void {
    this.done = true
    clearTimeout(this.timer)
    this.controller?.abort(new Error("interrupted"))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // It waited for a free connection until nobody wanted it any more.
    if (this.done) return controller.abort(new Error("given up"))
    this.controller = controller
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Answer["headers"]): void {
    if (status < 200 || this.done) return
    this.status = status
    this.headers = headers
    this.announced = this.request.method === "HEAD" ? undefined : lengthIn(headers)
    const most = status < 300 ? this.request.bytesMax : answerBytesMax
    if ((this.announced ?? 0) > most)
      return this.fail(`an answer of ${this.announced} bytes where ${most} are the most`)
    // Unpooled, and not cleared first: every byte is written before anybody sees it, or nobody ever does.
    if (this.announced !== undefined) this.whole = Buffer.allocUnsafeSlow(this.announced)
    this.allow(this.announced ?? 0)
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.done) return
    this.received += chunk.length
    if (this.announced === undefined) {
      if (this.received > Math.max(this.request.bytesMax, answerBytesMax)) return this.fail("an answer without an end")
      this.chunks.push(Buffer.from(chunk))
    } else if (this.received > this.announced) this.fail("an answer longer than announced")
    else chunk.copy(this.whole, this.received - chunk.length)
  }

  onResponseEnd(): void {
    if (this.announced !== undefined && this.received !== this.announced) {
      return this.fail(`the answer ended after ${this.received} of ${this.announced} bytes`)
    }
    const body = this.announced === undefined ? Buffer.concat(this.chunks) : this.whole
    this.end(Effect.succeed({ status: this.status, headers: this.headers, body }))
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : ""
    this.end(Effect.fail(trouble(`${code}${error.message}`, { unsure: this.controller !== undefined })))
  }
}

/** Interrupting it ends the request; its connection is not used again. */
export const exchange = (pool: Pool, request: Outgoing): Effect.Effect<Answer, Trouble> =>
  Effect.callback((resume) => {
    const receiver = new Receiver(request, resume)
    const { method, path, headers, limits } = request
    const body = request.body === undefined ? null : request.body
    pool.dispatch({ method, path, headers, body, headersTimeout: 0, bodyTimeout: limits.stallMs }, receiver)
    return Effect.sync(() => receiver.cancel())
  })
