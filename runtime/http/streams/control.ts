/** Subscriptions over HTTP, below `__ds`: made, shown and deleted, claimed, acknowledged and released. */
import { Schema } from "effect"
import type { Fenced } from "../../../messages/fence.ts"
import { operatorOrg, parseOffset } from "../../../messages/stream.ts"
import { type Link, type Mark, type Subscription, SubscriptionId, type Wake } from "../../../messages/subscription.ts"
import { endEarlier } from "../../streams/fences.ts"
import type { Command, Outcome, Refusal } from "../../streams/partitions.ts"
import { tokenIn } from "../bearer.ts"
import { fenceText } from "./fence.ts"
import { idIn, ownId, ownPath, pathIn, tokenOf } from "./organisation.ts"
import { refuseOutcome, reply, sayJson } from "./reply.ts"
import { BadRequest, readAll } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"
import { markText, webhookFault } from "./webhook.ts"

const controlBytesMax = 1024 * 1024
const leaseMsUsual = 30_000

const path = Schema.String
const PutBody = Schema.Struct({
  type: Schema.Literals(["webhook", "pull-wake"]),
  pattern: Schema.optionalKey(path),
  streams: Schema.optionalKey(Schema.Array(path)),
  webhook: Schema.optionalKey(Schema.Struct({ url: Schema.String })),
  wake_stream: Schema.optionalKey(path),
  lease_ttl_ms: Schema.optionalKey(Schema.Natural.check(Schema.isBetween({ minimum: 1000, maximum: 600_000 }))),
  description: Schema.optionalKey(Schema.String)
})
const StreamsBody = Schema.Struct({ streams: Schema.NonEmptyArray(path) })
const ClaimBody = Schema.Struct({ worker: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)) })
const round = { wake_id: Schema.String, generation: Schema.Natural }
const ReleaseBody = Schema.Struct(round)
const Acked = Schema.Struct({
  stream: Schema.optionalKey(path),
  path: Schema.optionalKey(path),
  offset: Schema.String
})
const AckBody = Schema.Struct({
  ...round,
  acks: Schema.optionalKey(Schema.Array(Acked)),
  done: Schema.optionalKey(Schema.Boolean)
})

const decoders = {
  put: Schema.decodeUnknownOption(Schema.fromJsonString(PutBody)),
  streams: Schema.decodeUnknownOption(Schema.fromJsonString(StreamsBody)),
  claim: Schema.decodeUnknownOption(Schema.fromJsonString(ClaimBody)),
  ack: Schema.decodeUnknownOption(Schema.fromJsonString(AckBody)),
  release: Schema.decodeUnknownOption(Schema.fromJsonString(ReleaseBody))
}
interface Bodies {
  readonly put: typeof PutBody.Type
  readonly streams: typeof StreamsBody.Type
  readonly claim: typeof ClaimBody.Type
  readonly ack: typeof AckBody.Type
  readonly release: typeof ReleaseBody.Type
}

interface Control {
  readonly surface: Surface
  readonly asked: Asked
  readonly id: string
  readonly partition: number
  /** The URL under which the surface was reached, without what follows the family. */
  readonly base: string
}

const fail = ({ exchange }: Asked, status: number, code: string, more: Record<string, unknown> = {}): void =>
  sayJson(exchange, status, { error: { code, message: String(more["message"] ?? code), ...more } })

/** `rest` is what follows `__ds/`. */
export const control = (surface: Surface, asked: Asked, rest: ReadonlyArray<string>): void => {
  const { exchange, org } = asked
  const method = exchange.request.method ?? ""
  const [first, given = "", action, ...more] = rest
  const id = idIn(org, given)
  if (first === "jwks.json" && rest.length === 1 && (method === "GET" || method === "HEAD"))
    return sayJson(exchange, 200, surface.signing.jwks, {
      "content-type": "application/jwk-set+json",
      "cache-control": "public, max-age=300"
    })
  if (first !== "subscriptions" || !isId(id)) return fail(asked, 404, "NOT_FOUND")
  const host = exchange.request.headers.host ?? "localhost"
  const base = `http://${host}${asked.path.slice(0, asked.path.indexOf("/__ds"))}`
  const at: Control = { surface, asked, id, partition: surface.partitions.of(`__ds/${id}`), base }
  const handler = handlerOf(method, action, more)
  if (handler === undefined) return fail(asked, 405, "METHOD_NOT_ALLOWED")
  // What was appended through whatever node before this request has to be known to this one.
  const { replicas } = surface.partitions
  if (replicas === undefined) handler(at, more)
  else replicas.refreshAll(() => handler(at, more))
}

const isId = Schema.is(SubscriptionId)

type Handler = (at: Control, more: ReadonlyArray<string>) => void

const handlerOf = (method: string, action: string | undefined, more: ReadonlyArray<string>): Handler | undefined => {
  if (action === undefined) return { PUT: put, GET: show, DELETE: remove }[method]
  if (action === "streams" && method === "DELETE" && more.length > 0) return unlink
  if (method !== "POST" || more.length > 0) return undefined
  return { streams: link, claim, ack, callback: ack, release }[action]
}

/** The body in its form, or an answer that says that it has not. */
const body = <Name extends keyof Bodies>({ asked }: Control, name: Name, use: (value: Bodies[Name]) => void): void =>
  readAll(
    asked.exchange.request,
    (bytes) => {
      if (bytes instanceof BadRequest) return fail(asked, bytes.status, "INVALID_REQUEST", { message: bytes.why })
      const decoded = decoders[name](bytes.toString())
      if (decoded._tag === "None") return fail(asked, 400, "INVALID_REQUEST", { message: "the body has not its form" })
      use(decoded.value as Bodies[Name])
    },
    controlBytesMax
  )

const send = ({ surface, asked, partition }: Control, command: Command, use: (ok: unknown) => void): void =>
  surface.partitions.tell(partition, command, asked.caller, (outcome) => answer(asked, outcome, use))

const answer = (asked: Asked, outcome: Outcome, use: (ok: unknown) => void): void => {
  if ("ok" in outcome) return use(outcome.ok)
  if (!("refused" in outcome)) return refuseOutcome(asked.exchange, outcome)
  const { status, code, more } = refusals(outcome.refused)
  fail(asked, status, code, more)
}

interface Told {
  readonly status: number
  readonly code: string
  readonly more?: Record<string, unknown>
}

const refusals = (refused: Refusal): Told => {
  switch (refused._tag) {
    case "NoSuchSubscription":
      return { status: 404, code: "SUBSCRIPTION_NOT_FOUND" }
    case "SubscriptionExists":
      return { status: 409, code: "SUBSCRIPTION_ALREADY_EXISTS" }
    case "AlreadyClaimed": {
      const more = { current_holder: refused.holder, generation: refused.generation }
      return { status: 409, code: "ALREADY_CLAIMED", more }
    }
    case "NoPendingWork":
      return { status: 409, code: "NO_PENDING_WORK" }
    case "TokenInvalid":
      return { status: 401, code: "TOKEN_INVALID" }
    case "Fenced":
      return { status: 409, code: "FENCED", more: { generation: refused.generation } }
    case "InvalidOffset":
      return { status: 409, code: "INVALID_OFFSET", more: { path: ownPath(refused.path) } }
    default:
      return { status: 422, code: refused._tag }
  }
}

interface Unfit {
  readonly code: "INVALID_REQUEST" | "WEBHOOK_URL_REJECTED"
  readonly message: string
}

const invalid = (message: string): Unfit => ({ code: "INVALID_REQUEST", message })

/** What lacks, or lies outside of what this caller may name. */
const unfit = ({ type, pattern, streams, webhook, wake_stream }: Bodies["put"], named: Named): Unfit | undefined => {
  if (pattern === undefined && (streams ?? []).length === 0) return invalid("a pattern or streams are needed")
  if (type === "webhook" && webhook === undefined) return invalid("webhook.url is needed")
  if (type === "pull-wake" && wake_stream === undefined) return invalid("wake_stream is needed")
  if (named.streams.includes(undefined) || (wake_stream !== undefined && named.wakeStream === undefined))
    return invalid("streams and wake_stream are paths of streams")
  const message = webhook === undefined ? undefined : webhookFault(webhook.url)
  return message === undefined ? undefined : { code: "WEBHOOK_URL_REJECTED", message }
}

interface Named {
  readonly streams: ReadonlyArray<string | undefined>
  readonly wakeStream: string | undefined
}

const put: Handler = (at) =>
  body(at, "put", (asked) => {
    const { type, pattern, webhook, wake_stream, description } = asked
    const { org } = at.asked
    const wakeStream = wake_stream === undefined ? undefined : pathIn(org, wake_stream)
    const streams = (asked.streams ?? []).map((each) => pathIn(org, each))
    const wrong = unfit(asked, { streams, wakeStream })
    if (wrong !== undefined) return fail(at.asked, 400, wrong.code, { message: wrong.message })
    const config = {
      ...{ type, streams: streams as Array<string>, leaseMs: asked.lease_ttl_ms ?? leaseMsUsual, base: at.base },
      ...(org !== operatorOrg && { org }),
      ...(pattern !== undefined && { pattern: pattern.replace(/^\/+/, "") }),
      ...(webhook !== undefined && { webhookUrl: webhook.url }),
      ...(wakeStream !== undefined && { wakeStream }),
      ...(description !== undefined && { description })
    }
    at.surface.subscriptions.matching(config, (existing) =>
      send(at, { _tag: "PutSubscription", id: at.id, config, existing }, (ok) => {
        const { created, subscription } = ok as { readonly created: boolean; readonly subscription: Subscription }
        sayJson(at.asked.exchange, created ? 201 : 200, shown(at, subscription))
      })
    )
  })

const shown = ({ surface, base }: Control, { id, config, links, createdAt, failures }: Subscription) => ({
  id: ownId(id),
  subscription_id: ownId(id),
  type: config.type,
  ...(config.pattern !== undefined && { pattern: config.pattern }),
  streams: links.map(linkText),
  ...(config.webhookUrl !== undefined && {
    webhook: {
      url: config.webhookUrl,
      signing: { alg: "ed25519", kid: surface.signing.kid, jwks_url: `${base}/__ds/jwks.json` }
    }
  }),
  ...(config.wakeStream !== undefined && { wake_stream: ownPath(config.wakeStream) }),
  lease_ttl_ms: config.leaseMs,
  created_at: new Date(createdAt).toISOString(),
  status: failures > failuresMax ? "failed" : "active",
  ...(config.description !== undefined && { description: config.description })
})

/** After so many attempts in a row it is said to have failed; it is tried on all the same. */
const failuresMax = 10

const linkText = ({ path: streamPath, link: link_type, acked }: Link) => ({
  path: ownPath(streamPath),
  link_type,
  acked_offset: markText(acked)
})

const show: Handler = (at) =>
  at.surface.partitions.ask(at.partition, { _tag: "ShowSubscription", id: at.id }, at.asked.caller, (outcome) =>
    answer(at.asked, outcome, (ok) =>
      sayJson(at.asked.exchange, 200, shown(at, (ok as { readonly subscription: Subscription }).subscription))
    )
  )

const done = ({ asked }: Control) => reply(asked.exchange, 204)

const remove: Handler = (at) => send(at, { _tag: "DeleteSubscription", id: at.id }, () => done(at))

const link: Handler = (at) =>
  body(at, "streams", ({ streams }) => {
    const named = streams.map((each) => pathIn(at.asked.org, each))
    const paths = named.filter((each) => each !== undefined)
    if (paths.length < named.length)
      return fail(at.asked, 400, "INVALID_REQUEST", { message: "streams are paths of streams" })
    at.surface.subscriptions.tailsOf(paths, (known) => {
      const tails = new Map(known.map((mark) => [mark.path, mark.offset]))
      const marks = paths.map((each): Mark => ({ path: each, offset: tails.get(each) ?? -1 }))
      send(at, { _tag: "LinkStreams", id: at.id, streams: marks }, () => done(at))
    })
  })

const unlink: Handler = (at, more) => {
  const path = pathIn(at.asked.org, more.join("/"))
  if (path === undefined) return done(at)
  send(at, { _tag: "UnlinkStream", id: at.id, path }, () => done(at))
}

const claim: Handler = (at) =>
  body(at, "claim", ({ worker }) => {
    const token = tokenOf(at.asked.org, at.surface.secret())
    const wakeId = `w_${at.surface.secret()}`
    at.surface.subscriptions.work(at.id, at.partition, (tails) =>
      send(at, { _tag: "ClaimSubscription", id: at.id, worker, wakeId, token, tails }, (ok) => {
        const claimed = ok as Claimed
        // Whoever held it before can append nothing more, wherever that was: then it is this worker's.
        ended(at, claimed.fenced, () => sayJson(at.asked.exchange, 200, claimText(at.id, claimed, token)))
      })
    )
  })

interface Claimed {
  readonly wake: Wake
  readonly links: ReadonlyArray<Link>
  readonly leaseMs: number
  readonly fenced?: Fenced
}

const claimText = (id: string, { wake, links, leaseMs }: Claimed, token: string) => {
  const { wakeId, generation } = wake
  const known = new Map(links.map((each) => [each.path, each]))
  return {
    wake_id: wakeId,
    generation,
    token,
    fence: fenceText({ id: ownId(id), wakeId, generation, token }),
    lease_ttl_ms: leaseMs,
    streams: wake.tails.map((mark) => ({
      ...linkText(known.get(mark.path) ?? { path: mark.path, link: "glob", acked: -1 }),
      tail_offset: markText(mark.offset),
      has_pending: true
    }))
  }
}

/** Goes on when every partition that took appends of earlier rounds knows that they are over. */
const ended = ({ surface, asked, id }: Control, fenced: Fenced | undefined, use: () => void): void =>
  endEarlier(surface.partitions, { id, fenced }, (failed) => {
    if (failed === undefined) use()
    else refuseOutcome(asked.exchange, failed)
  })

/** -1 is no place to acknowledge: whoever means it has done nothing. */
const markOf = (org: string, acked: typeof Acked.Type): Mark | undefined => {
  const path = pathIn(org, acked.stream ?? acked.path ?? "")
  const offset = parseOffset(acked.offset)
  return path === undefined || offset === undefined ? undefined : { path, offset }
}

const ack: Handler = (at) =>
  body(at, "ack", ({ wake_id: wakeId, generation, acks: given = [], done: isDone = false }) => {
    const token = tokenIn(at.asked.exchange.request)
    if (token === undefined) return fail(at.asked, 401, "TOKEN_INVALID")
    const acks = given.map((each) => markOf(at.asked.org, each)).filter((mark) => mark !== undefined)
    if (acks.length < given.length) return fail(at.asked, 409, "INVALID_OFFSET")
    const command = {
      ...{ _tag: "AckSubscription" as const, id: at.id, token, wakeId, generation, acks },
      done: isDone
    }
    known(at, acks, (tails) =>
      send(at, { ...command, tails }, (ok) => {
        const { nextWake, fenced } = ok as { readonly nextWake: boolean; readonly fenced?: Fenced }
        const answer = () => sayJson(at.asked.exchange, 200, { ok: true, next_wake: nextWake })
        if (isDone) ended(at, fenced, answer)
        else answer()
      })
    )
  })

/** Where the streams end that are acknowledged, and those that may be work. */
const known = ({ surface, id, partition }: Control, acks: ReadonlyArray<Mark>, use: (tails: Array<Mark>) => void) =>
  surface.subscriptions.work(id, partition, (work) =>
    surface.subscriptions.tailsOf(
      acks.map(({ path: each }) => each),
      (acked) => {
        const tails = new Map([...work, ...acked].map(({ path: each, offset }) => [each, offset]))
        use([...tails].map(([each, offset]) => ({ path: each, offset })))
      }
    )
  )

const release: Handler = (at) =>
  body(at, "release", ({ wake_id: wakeId, generation }) => {
    const token = tokenIn(at.asked.exchange.request)
    if (token === undefined) return fail(at.asked, 401, "TOKEN_INVALID")
    send(at, { _tag: "ReleaseSubscription", id: at.id, token, wakeId, generation }, (ok) =>
      ended(at, (ok as { readonly fenced?: Fenced }).fenced, () => done(at))
    )
  })
