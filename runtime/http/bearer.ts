/** Who asks over HTTP: the API key in the Authorization header, checked. */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import type { Bearer, KeyCheck } from "../keys.ts"
import { type Exchange, Refused } from "./exchange.ts"
import { unanswered } from "./statuses.ts"

const challenge = { "www-authenticate": 'Bearer realm="artifacts"' }

const form = /^Bearer +(\S{1,400})$/i

export const tokenIn = ({ headers: { authorization } }: IncomingMessage): string | undefined =>
  authorization === undefined ? undefined : form.exec(authorization)?.[1]

const unauthorized = (message: string) =>
  new Refused({ status: 401, code: "Unauthorized", message, headers: challenge })

export const bearer = (keys: KeyCheck): ((exchange: Exchange) => Effect.Effect<Bearer, Refused>) =>
  Effect.fnUntraced(function* ({ request }: Exchange) {
    const token = tokenIn(request)
    if (token === undefined) return yield* unauthorized("an API key is needed: Authorization: Bearer art_…")
    const verdict = yield* keys.check(token).pipe(Effect.mapError(unanswered))
    if ("busy" in verdict)
      return yield* new Refused({
        status: 429,
        code: "Busy",
        message: "too many keys are being checked",
        retryAfterMs: 1000
      })
    if ("why" in verdict) return yield* unauthorized(verdict.why)
    return verdict.bearer
  })
