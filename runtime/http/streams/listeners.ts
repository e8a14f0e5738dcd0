/** Issues credentials with which a connection hears an organisation's streams on the bus, and can do nothing else. */
import { Clock, Effect, Option, Schema } from "effect"
import { bucketFault, keyIn, streamFault, tailSubject, tailsSubject } from "../../../messages/stream.ts"
import type { KeyCheck } from "../../keys.ts"
import { bearer } from "../bearer.ts"
import { type Exchange, Refused, readBody, sendJson } from "../exchange.ts"
import type { Route } from "../router.ts"

/** Who listens longer asks again: a key that was revoked meanwhile is not answered. */
const credentialSeconds = 24 * 3600
const bodyBytesMax = 16 * 1024

/** The public half of an nkey that the listener made for itself: the secret half never leaves its host. */
const UserKey = Schema.String.check(Schema.isPattern(/^U[A-Z2-7]{55}$/))
const Wanted = Schema.Struct({ publicKey: UserKey, under: Schema.optionalKey(Schema.String) })
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Wanted))

export interface Listening {
  readonly name: string
  readonly publicKey: string
  readonly subjects: ReadonlyArray<string>
  /** In seconds since the epoch. */
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface Listeners {
  readonly keys: KeyCheck
  readonly nats: string
  readonly sign: (listening: Listening) => { readonly jwt: string; readonly inbox: string }
}

/** All streams of an organisation, those of a bucket, or one and what lies below it; undefined when it names none. */
export const listenedTo = (org: string, under: string | undefined): ReadonlyArray<string> | undefined => {
  if (under === undefined || under === "") return [tailsSubject(org)]
  const isBucket = !under.includes("/")
  if ((isBucket ? bucketFault(under) : streamFault(under)) !== undefined) return undefined
  const subject = tailSubject(keyIn(org, under))
  return isBucket ? [`${subject}.>`] : [subject, `${subject}.>`]
}

const malformed = (message: string) => new Refused({ status: 400, code: "Malformed", message })

const issue = Effect.fnUntraced(function* ({ keys, nats, sign }: Listeners, exchange: Exchange) {
  const { org, caller, expiresAt: keyEnds } = yield* bearer(keys)(exchange)
  const wanted = Option.getOrUndefined(decode((yield* readBody(exchange, bodyBytesMax)).toString()))
  if (wanted === undefined) return yield* malformed("the body has to be JSON: {publicKey, under?}")
  const subjects = listenedTo(org, wanted.under)
  if (subjects === undefined) return yield* malformed(`under ${wanted.under} names no bucket and no stream`)
  const issuedAt = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const end = Math.floor((keyEnds ?? Number.POSITIVE_INFINITY) / 1000)
  const expiresAt = Math.min(issuedAt + credentialSeconds, end)
  const signed = sign({ name: caller, publicKey: wanted.publicKey, subjects, issuedAt, expiresAt })
  sendJson(exchange, 201, { ...signed, nats, subjects, expires_at_ms: expiresAt * 1000 })
})

export const listeners = (issuing: Listeners): Route => ({
  path: "/v1/listeners",
  methods: { POST: (exchange) => issue(issuing, exchange) }
})
