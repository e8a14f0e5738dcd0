/** Subscriptions over HTTP, below `__ds`: made, shown, linked to streams and deleted. */
import { Schema } from "effect"
import { operatorOrg } from "../../../messages/stream.ts"
import { type Mark, type Subscription, SubscriptionId } from "../../../messages/subscription.ts"
import { ack, claim, release } from "./claim.ts"
import { idIn, ownId, ownPath, pathIn } from "./organisation.ts"
import { sayJson } from "./reply.ts"
import { answer, type Bodies, body, type Control, done, fail, type Handler, linkText, send } from "./subscription.ts"
import type { Asked, Surface } from "./surface.ts"
import { webhookFault } from "./webhook.ts"

const leaseMsUsual = 30_000

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

const handlerOf = (method: string, action: string | undefined, more: ReadonlyArray<string>): Handler | undefined => {
  if (action === undefined) return { PUT: put, GET: show, DELETE: remove }[method]
  if (action === "streams" && method === "DELETE" && more.length > 0) return unlink
  if (method !== "POST" || more.length > 0) return undefined
  return { streams: link, claim, ack, callback: ack, release }[action]
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

const show: Handler = (at) =>
  at.surface.partitions.ask(at.partition, { _tag: "ShowSubscription", id: at.id }, at.asked.caller, (outcome) =>
    answer(at.asked, outcome, (ok) =>
      sayJson(at.asked.exchange, 200, shown(at, (ok as { readonly subscription: Subscription }).subscription))
    )
  )

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
