/** One HTTP request on its way through the node, and the ways to answer it. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect, Schema } from "effect"

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The target's path, as it came. */
  readonly path: string
  readonly url: URL
  /** What the route's path left open, decoded. */
  readonly params: Readonly<Record<string, string>>
}

/** Answers by callbacks, on a path too hot for a fibre; `gone` is called when the client goes away before. */
export interface Direct {
  readonly gone: () => void
}

/** Answers the request, or fails with what is to be answered. It is interrupted when the client goes away. */
export type Handle = (exchange: Exchange) => Effect.Effect<void, Refused> | Direct

/** An answer that is an error: `{"code", "message"}` with a status. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  status: Schema.Natural,
  code: Schema.String,
  message: Schema.String,
  retryAfterMs: Schema.optionalKey(Schema.Natural),
  /** What goes into the body besides. */
  more: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {}

export const sendText = ({ request, response }: Exchange, status: number, type: string, text: string): void => {
  const bytes = Buffer.from(text)
  response.writeHead(status, { "content-type": type, "content-length": bytes.length, "cache-control": "no-store" })
  response.end(request.method === "HEAD" ? undefined : bytes)
}

export const sendJson = (exchange: Exchange, status: number, body: unknown): void =>
  sendText(exchange, status, "application/json", `${JSON.stringify(body)}\n`)

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0

export const sendRefused = (exchange: Exchange, refused: Refused): void => {
  const { response } = exchange
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  for (const [name, value] of Object.entries(refused.headers ?? {})) response.setHeader(name, value)
  // Whole seconds are all that the header can say; a hint of none would be an invitation to hammer.
  if (refused.retryAfterMs !== undefined)
    response.setHeader("retry-after", Math.max(1, Math.ceil(refused.retryAfterMs / 1000)))
  // What the client still sends of a body that is not wanted is not read: the connection ends with the answer.
  if (hasBody(exchange.request) && !exchange.request.complete) response.setHeader("connection", "close")
  const { code, message, more } = refused
  sendJson(exchange, refused.status, { code, message, ...more })
}

const tooLarge = (bytesMax: number) =>
  new Refused({ status: 413, code: "TooLarge", message: `a body may have ${bytesMax} bytes here` })

/** The whole body, or a refusal as soon as it is known to be too long. */
export const readBody = ({ request }: Exchange, bytesMax: number): Effect.Effect<Buffer, Refused> =>
  Effect.callback<Buffer, Refused>((resume) => {
    const announced = Number(request.headers["content-length"] ?? 0)
    if (announced > bytesMax) {
      resume(Effect.fail(tooLarge(bytesMax)))
      return
    }
    const parts: Array<Buffer> = []
    let size = 0
    const heard = (part: Buffer): void => {
      size += part.length
      if (size > bytesMax) {
        request.off("data", heard)
        request.pause()
        resume(Effect.fail(tooLarge(bytesMax)))
      } else parts.push(part)
    }
    request.on("data", heard)
    request.once("end", () => resume(Effect.succeed(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts))))
    // A body that breaks off has nobody left to answer; the handler is interrupted by the end of the connection.
    request.once("error", () => request.off("data", heard))
  })
