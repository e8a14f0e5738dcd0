/** How the streams' surface answers: the headers that every answer has, and the words of refusals. */
import type { OutgoingHttpHeaders, ServerResponse } from "node:http"
import { offsetText, ownKey } from "../../../messages/stream.ts"
import type { Outcome, Refusal } from "../../streams/partitions.ts"
import type { Exchange } from "../exchange.ts"
import { asWhole } from "../whole.ts"
import { ownId } from "./organisation.ts"

const requestHeaders = [
  ...["Content-Type", "Authorization", "If-None-Match", "If-Match", "Last-Event-ID", "Stream-Seq", "Stream-TTL"],
  ...["Stream-Expires-At", "Stream-Closed", "Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset"],
  ...[
    "Producer-Id",
    "Producer-Epoch",
    "Producer-Seq",
    "Stream-Min-Offset",
    "Stream-Attrs",
    "Stream-Snapshot-Match",
    "Stream-Fence",
    "Stream-Proof"
  ]
].join(", ")

export const always = {
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "cross-origin",
  "access-control-allow-origin": "*",
  // All of them: naming each would be a third of what an acknowledgement is made of.
  "access-control-expose-headers": "*"
}

const alwaysLines = Object.entries(always)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join("")

export const head = (response: ServerResponse, status: number, headers: OutgoingHttpHeaders): void => {
  if (response.headersSent || response.destroyed) return
  const whole = asWhole(response)
  if (whole === undefined) response.writeHead(status, { ...always, ...headers })
  else whole.writeHead(status, headers, alwaysLines)
}

export const reply = ({ response }: Exchange, status: number, headers: OutgoingHttpHeaders = {}): void => {
  head(response, status, status === 204 || status === 304 ? headers : { ...headers, "content-length": 0 })
  response.end()
}

export const sayText = ({ request, response }: Exchange, status: number, said: Said): void => {
  const bytes = Buffer.from(`${said.text}\n`)
  const type = said.type ?? "text/plain; charset=utf-8"
  // A body that nobody reads would hold the connection: it ends with the answer.
  const unread = !request.complete && request.readableFlowing === null && hasBody(request.headers)
  head(response, status, {
    "content-type": type,
    "content-length": bytes.length,
    "cache-control": "no-store",
    ...(unread && { connection: "close" }),
    ...said.headers
  })
  response.end(request.method === "HEAD" ? undefined : bytes)
}

const hasBody = (headers: { readonly [name: string]: unknown }): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0

export interface Said {
  readonly text: string
  readonly type?: string
  readonly headers?: OutgoingHttpHeaders
}

export const refuse = (exchange: Exchange, status: number, text: string, headers: OutgoingHttpHeaders = {}): void =>
  sayText(exchange, status, { text, headers })

export const sayJson = (exchange: Exchange, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void =>
  sayText(exchange, status, { text: JSON.stringify(body), type: "application/json", headers })

export const preflight = (exchange: Exchange): void =>
  reply(exchange, 204, {
    "access-control-allow-methods": "GET, HEAD, PUT, POST, DELETE, OPTIONS",
    "access-control-allow-headers": requestHeaders,
    "access-control-max-age": "86400"
  })

export interface Worded {
  readonly status: number
  readonly text: string
  readonly headers?: OutgoingHttpHeaders
}

type Wording = { readonly [Tag in Refusal["_tag"]]?: (refusal: Extract<Refusal, { readonly _tag: Tag }>) => Worded }

const wording: Wording = {
  NoSuchStream: ({ stream }) => ({ status: 404, text: `there is no stream ${ownKey(stream)}` }),
  StreamGone: ({ stream }) => ({ status: 410, text: `${ownKey(stream)} was deleted, and is kept for its forks alone` }),
  StreamExists: ({ stream, differs }) => ({ status: 409, text: `${ownKey(stream)} exists, and differs: ${differs}` }),
  StreamClosed: ({ tail }) => ({
    status: 409,
    text: "the stream is closed",
    headers: { "stream-closed": "true", "stream-next-offset": offsetText(tail) }
  }),
  WrongContentType: ({ expected }) => ({ status: 409, text: `the stream is of the type ${expected}` }),
  MissingContentType: () => ({ status: 400, text: "a body needs a Content-Type" }),
  EmptyAppend: () => ({ status: 400, text: "there is nothing to append" }),
  NotJson: ({ why }) => ({ status: 400, text: `the body is not JSON: ${why}` }),
  StaleEpoch: ({ epoch }) => ({
    status: 403,
    text: `the producer has the epoch ${epoch} by now`,
    headers: { "producer-epoch": String(epoch) }
  }),
  NewEpochNotAtZero: ({ seq }) => ({ status: 400, text: `a new epoch begins with Producer-Seq 0, not ${seq}` }),
  SequenceGap: ({ expected, received }) => ({
    status: 409,
    text: `Producer-Seq ${expected} is next, not ${received}`,
    headers: { "producer-expected-seq": String(expected), "producer-received-seq": String(received) }
  }),
  OutOfOrder: ({ last }) => ({ status: 409, text: `Stream-Seq has to be greater than ${JSON.stringify(last)}` }),
  WrongTail: ({ tail }) => ({
    status: 412,
    text: `the tail is ${offsetText(tail)}`,
    headers: { "stream-next-offset": offsetText(tail) }
  }),
  BadForkOffset: ({ why }) => ({ status: 400, text: `the stream cannot be forked at this offset: ${why}` }),
  BelowFloor: ({ floor }) => ({
    status: 410,
    text: `nothing before ${offsetText(floor)} is kept`,
    headers: { "stream-retained-offset": offsetText(floor) }
  }),
  BadSnapshot: ({ why }) => ({ status: 409, text: why }),
  ObjectUnplanned: () => ({
    status: 503,
    text: "it was stored too late: send it again",
    headers: { "retry-after": "1" }
  }),
  NotAllowed: ({ why }) => ({ status: 403, text: why }),
  NoProof: () => ({ status: 409, text: "the stream has no proof, or what was sent lacks its digest" }),
  NoSnapshot: () => ({ status: 404, text: "the stream has no snapshot" }),
  Fenced: ({ generation }) => ({
    status: 403,
    text: `the claim is over: the subscription is at generation ${generation}`,
    headers: { "stream-fence-generation": String(generation) }
  }),
  FenceUnproven: ({ subscription }) => ({ status: 403, text: `the claim of ${ownId(subscription)} is over` }),
  TokenInvalid: () => ({ status: 403, text: "the claim is none of its subscription" }),
  NoSuchSubscription: ({ id }) => ({ status: 403, text: `the claim is over: there is no subscription ${ownId(id)}` }),
  OtherPartition: ({ stream }) => ({
    status: 409,
    text: `${ownKey(stream)} lives in another partition than the first stream`
  }),
  Full: ({ what, max }) => ({ status: 503, text: `full: ${max} ${what} is the bound`, headers: { "retry-after": "5" } })
}

export const worded = (refusal: Refusal): Worded => {
  if (refusal._tag === "FailedOperation") {
    const inner = worded(refusal.refused as Refusal)
    return { ...inner, text: `operation ${refusal.index}: ${inner.text}` }
  }
  const word = wording[refusal._tag] as ((refusal: Refusal) => Worded) | undefined
  return word?.(refusal) ?? { status: 422, text: refusal._tag }
}

const statusOfFailure: Readonly<Record<string, number>> = {
  Busy: 429,
  Forbidden: 403,
  Late: 504,
  Malformed: 400,
  TooLarge: 413,
  Unavailable: 503
}

/** Everything that is no reply. */
export const refuseOutcome = (exchange: Exchange, outcome: Exclude<Outcome, { readonly ok: unknown }>): void => {
  if ("refused" in outcome) {
    const { status, text, headers } = worded(outcome.refused)
    return refuse(exchange, status, text, headers)
  }
  if ("unanswered" in outcome)
    return refuse(exchange, 503, `no answer in time: ${outcome.unanswered.why}`, { "retry-after": "1" })
  const { failed } = outcome
  const why = "why" in failed ? `: ${failed.why}` : ""
  const status = statusOfFailure[failed._tag] ?? 500
  refuse(exchange, status, `${failed._tag}${why}`, status === 429 || status === 503 ? { "retry-after": "1" } : {})
}
