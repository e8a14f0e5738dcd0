/**
 * Issues mount sessions: a credential that the broker holds to one workspace, in one mode, for whoever brings its
 * key.
 */
import { Clock, Effect, Random, Result, Schema } from "effect"
import type { Workspace } from "../../messages/account.ts"
import { WorkspaceName } from "../../messages/ids.ts"
import { messageBytesMax } from "../../messages/limits.ts"
import { LifeMs, MountMode, type Session } from "../../messages/mount-session.ts"
import type { Client } from "../client.ts"
import type { Bearer, KeyCheck } from "../keys.ts"
import { bearer } from "./bearer.ts"
import { type Exchange, Refused, readBody, sendJson } from "./exchange.ts"
import type { Route } from "./router.ts"
import { failure, refusal, unanswered } from "./statuses.ts"

/** A mount that lives longer asks for another session; until then its session is what decides. */
const credentialSeconds = 30 * 24 * 3600

/** The public half of an nkey that the mount made for itself: the secret half never leaves its host. */
const UserKey = Schema.String.check(Schema.isPattern(/^U[A-Z2-7]{55}$/))

const Wanted = Schema.Struct({
  workspace: WorkspaceName,
  mode: MountMode,
  publicKey: UserKey,
  lifeMs: Schema.optionalKey(LifeMs)
})
type Wanted = typeof Wanted.Type
const readWanted = Schema.decodeUnknownResult(Wanted, { onExcessProperty: "error" })

/** What a mount needs to begin. */
export interface Issued {
  readonly session: Session
  readonly workspace: Workspace
  readonly jwt: string
  readonly nats: string
  readonly shards: number
  /** Where the bytes of managed workspaces are; those of others are in their own buckets. */
  readonly objects: string
}

export interface Issuing {
  readonly client: Client
  readonly keys: KeyCheck
  readonly nats: string
  readonly shards: number
  readonly objects: string
  readonly sign: (session: Session, publicKey: string, issuedAt: number, expiresAt: number) => string
}

const malformed = (message: string) => new Refused({ status: 400, code: "Malformed", message })

const read = Effect.fnUntraced(function* (exchange: Exchange) {
  const text = (yield* readBody(exchange, messageBytesMax)).toString("utf8")
  const parsed = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: () => malformed("the body is not JSON")
  })
  const wanted = readWanted(parsed)
  return Result.isSuccess(wanted) ? wanted.success : yield* malformed(String(wanted.failure))
})

const ask = Effect.fnUntraced(function* (
  client: Client,
  asking: Omit<Parameters<Client["ask"]>[0], "body">,
  body: object
) {
  const answer = yield* client.ask({ ...asking, body: JSON.stringify(body) }).pipe(Effect.mapError(unanswered))
  if ("refused" in answer) return yield* refusal(answer.refused)
  if ("failed" in answer) return yield* failure(answer.failed)
  return answer.ok
})

const issue = Effect.fnUntraced(function* (issuing: Issuing, who: Bearer, wanted: Wanted) {
  const { client } = issuing
  const { org, caller } = who
  const showing = { verb: "ask", kind: "account", id: org, caller, name: "ShowWorkspace" } as const
  const shown = yield* ask(client, showing, { name: wanted.workspace })
  const { workspace } = shown as { readonly workspace: Workspace }
  const [high, low] = [yield* Random.nextIntBetween(0, 2 ** 48), yield* Random.nextIntBetween(0, 2 ** 48)]
  const id = `ms_${high.toString(36)}${low.toString(36)}`
  const beginning = { verb: "do", kind: "mount-session", id, caller, name: "Issue" } as const
  const begun = yield* ask(client, beginning, {
    org,
    workspace: workspace.id,
    name: workspace.name,
    mode: wanted.mode,
    ...(wanted.lifeMs === undefined ? {} : { lifeMs: wanted.lifeMs })
  })
  const { session } = begun as { readonly session: Session }
  const issuedAt = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const jwt = issuing.sign(session, wanted.publicKey, issuedAt, issuedAt + credentialSeconds)
  const { nats, shards, objects } = issuing
  const issued: Issued = { session, workspace, jwt, nats, shards, objects }
  return issued
})

export const sessions = (issuing: Issuing): Route => {
  const identify = bearer(issuing.keys)
  return {
    path: "/v1/sessions",
    methods: {
      POST: Effect.fnUntraced(function* (exchange) {
        const who = yield* identify(exchange)
        sendJson(exchange, 201, yield* issue(issuing, who, yield* read(exchange)))
      })
    }
  }
}
