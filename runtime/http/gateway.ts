/** Commands and queries over HTTP: the same names and bodies as on the bus, in the name of the key that came along. */
import { Clock, Effect } from "effect"
import { deadlineHeader, idHeader } from "../../messages/envelope.ts"
import { tokenPattern } from "../../messages/ids.ts"
import { messageBytesMax, patienceMs } from "../../messages/limits.ts"
import type { Verb } from "../../messages/subjects.ts"
import type { Client } from "../client.ts"
import type { Bearer, KeyCheck } from "../keys.ts"
import { bearer } from "./bearer.ts"
import { type Exchange, type Handle, Refused, readBody, sendJson } from "./exchange.ts"
import type { Route } from "./router.ts"
import { failure, refusal, unanswered } from "./statuses.ts"

/** Which actors a key reaches, by kind. A kind that is not here is not for keys. */
const reach: Readonly<Record<string, (id: string, org: string) => boolean>> = {
  account: (id, org) => id === org
}

/** Whoever names no deadline is not kept waiting over an election: proxies between would give up before. */
const unsaidPatienceMs = 5_000

const idPattern = /^[\x21-\x7e]{1,200}$/

const malformed = (message: string) => new Refused({ status: 400, code: "Malformed", message })

const header = ({ request }: Exchange, name: string): string | undefined => {
  const value = request.headers[name.toLowerCase()]
  return typeof value === "string" ? value : undefined
}

/** How long the asker still wants to wait, by the deadline that came along. */
const patienceOf = (exchange: Exchange, now: number): number | Refused => {
  const deadline = header(exchange, deadlineHeader)
  if (deadline === undefined) return unsaidPatienceMs
  if (!/^\d{1,15}$/.test(deadline)) return malformed(`${deadlineHeader} has to be milliseconds since the epoch`)
  const left = Number(deadline) - now
  return left <= 0
    ? new Refused({ status: 504, code: "Late", message: `the deadline ${deadline} had passed: nothing was done` })
    : Math.min(left, patienceMs)
}

/** What clients say by default when nobody tells them that it is JSON; whether it is, is looked at all the same. */
const readable = /^(application\/json|application\/x-www-form-urlencoded|text\/plain)\b/i

const textOf = (exchange: Exchange, body: Buffer): string | Refused => {
  const type = header(exchange, "content-type")
  if (body.length > 0 && type !== undefined && !readable.test(type))
    return new Refused({ status: 415, code: "NotJson", message: `the body has to be application/json, not ${type}` })
  const text = body.toString("utf8")
  return text.length > 0 && !isJson(text) ? malformed("the body is not JSON") : text
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    // The only question was whether it is JSON; the parser's own words name places that the client cannot see.
    return false
  }
}

const mayReach = ({ params }: Exchange, who: Bearer): Refused | undefined => {
  const { kind = "", id = "", name = "" } = params
  for (const [what, token] of Object.entries({ kind, id, name }))
    if (!tokenPattern.test(token)) return malformed(`the ${what} in the path has to be letters, digits, _ and -`)
  const allows = reach[kind]
  if (allows === undefined) {
    const message = `there is no kind ${kind} for keys; there are ${Object.keys(reach).join(", ")}`
    return new Refused({ status: 404, code: "NoSuchKind", message })
  }
  if (allows(id, who.org)) return undefined
  const message = `a key of the organisation ${who.org} does not reach ${kind}/${id}`
  return new Refused({ status: 403, code: "Forbidden", message })
}

const handler = (verb: Verb, client: Client, keys: KeyCheck): Handle => {
  const identify = bearer(keys)
  return Effect.fnUntraced(function* (exchange) {
    const who = yield* identify(exchange)
    const barred = mayReach(exchange, who)
    if (barred !== undefined) return yield* barred
    const { kind = "", id = "", name = "" } = exchange.params
    const commandId = header(exchange, idHeader)
    if (commandId !== undefined && !idPattern.test(commandId))
      return yield* malformed(`${idHeader} has to be 1 to 200 visible ASCII characters`)
    const text = textOf(exchange, yield* readBody(exchange, messageBytesMax))
    if (typeof text !== "string") return yield* text
    const patience = patienceOf(exchange, yield* Clock.currentTimeMillis)
    if (typeof patience !== "number") return yield* patience
    const repeat = commandId === undefined ? {} : { commandId }
    const ask = { verb, kind, id, caller: who.caller, name, body: text, patienceMs: patience, ...repeat }
    const answer = yield* client.ask(ask).pipe(Effect.mapError(unanswered))
    if ("refused" in answer) return yield* refusal(answer.refused)
    if ("failed" in answer) return yield* failure(answer.failed)
    sendJson(exchange, 200, answer)
  })
}

export const gateway = (client: Client, keys: KeyCheck): ReadonlyArray<Route> =>
  (["do", "ask"] as const).map((verb) => ({
    path: `/v1/${verb}/:kind/:id/:name`,
    methods: { POST: handler(verb, client, keys) }
  }))
