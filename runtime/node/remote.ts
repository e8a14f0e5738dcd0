/** A node over NATS, for commands: connects, learns how many shards there are, and asks. */
import { type Authenticator, connect, jwtAuthenticator, tokenAuthenticator } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { busOver } from "../../adapters/nats/bus.ts"
import { parseCreds, readUserJwt } from "../../adapters/nats/credentials.ts"
import { inboxPrefixOf } from "../../adapters/nats/permissions.ts"
import { patienceMs, type Remote } from "../cli/call.ts"
import { Problem, usage } from "../cli/problem.ts"
import { client, type Unanswered } from "../client.ts"
import { parseToken } from "../keys.ts"
import { readText } from "./files.ts"
import { askWhere, whereSubject } from "./where.ts"

export interface Named {
  readonly server: string
  readonly credsFile?: string
  readonly token?: string
  /** Known from the notice of a node on this host; asked for otherwise. */
  readonly shards?: number
}

interface Identity {
  readonly caller: string
  /** An actor that this caller may surely ask about. */
  readonly org: string
  readonly connect: { readonly authenticator: Authenticator; readonly inboxPrefix: string }
}

/** A user's JWT is named after the caller that its subjects hold it to. */
const byCreds = (file: string): Effect.Effect<Identity, Problem> =>
  Effect.suspend(() => {
    const text = readText(file)
    if (text === undefined) return Effect.fail(usage(`there is no credentials file ${file}`))
    const credentials = parseCreds(text)
    const claims = credentials === undefined ? undefined : readUserJwt(credentials.jwt)
    if (credentials === undefined || claims?.name === undefined)
      return Effect.fail(usage(`${file} is no credentials file: it needs a user JWT and a seed`))
    const seed = new TextEncoder().encode(credentials.seed)
    const authenticator = jwtAuthenticator(credentials.jwt, seed)
    const connect = { authenticator, inboxPrefix: inboxPrefixOf(claims.sub) }
    return Effect.succeed({ caller: claims.name, org: "local", connect })
  })

const byToken = (text: string): Effect.Effect<Identity, Problem> =>
  Effect.suspend(() => {
    const token = parseToken(text)
    if (token === undefined) return Effect.fail(usage("the token is no API key: one begins with art_"))
    const caller = `key-${token.key}`
    const connect = { authenticator: tokenAuthenticator(text), inboxPrefix: inboxPrefixOf(caller) }
    return Effect.succeed({ caller, org: token.org, connect })
  })

const problemOf = (server: string, { failure, why, commandId }: Unanswered): Problem => {
  if (failure?._tag === "Busy")
    return new Problem({ code: "Busy", message: "the node has too much to do", details: failure })
  const repeat = `it may or may not have been done: repeat it with --id ${commandId}`
  return new Problem({ code: "unanswered", message: `${server} gave no answer in time (${why}); ${repeat}` })
}

const connectMs = 5_000

/** Once: a person can try again, and has to hear at once that a credential is not good. */
const connected = (server: string, { authenticator, inboxPrefix }: Identity["connect"]) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        connect({
          servers: server.split(","),
          name: "artifacts command",
          reconnect: false,
          timeout: connectMs,
          authenticator,
          inboxPrefix
        }),
      catch: (cause) => {
        const said = cause instanceof Error ? cause.message : String(cause)
        const isBarred = /authoriz|authentic/i.test(said)
        return isBarred
          ? new Problem({ code: "unauthorized", message: `${server} does not accept the credential: ${said}` })
          : new Problem({ code: "unreachable", message: `${server}: ${said}` })
      }
    }),
    (made) => Effect.promise(() => made.close())
  )

export const natsRemote = Effect.fnUntraced(function* (named: Named) {
  const { server, credsFile, token = "" } = named
  const { caller, org, connect } = yield* credsFile === undefined ? byToken(token) : byCreds(credsFile)
  const unreachable = (why: string) => new Problem({ code: "unreachable", message: `${server}: ${why}` })
  const connection = yield* connected(server, connect)
  const bus = yield* busOver(connection, connect.inboxPrefix).pipe(Effect.mapError((error) => unreachable(error.why)))
  const shards =
    named.shards ??
    (yield* askWhere(bus, whereSubject("account", org, caller), patienceMs).pipe(
      Effect.mapError((error) => unreachable(`no node answers there (${error._tag})`))
    )).shards
  const asking = client(bus, shards)
  const made: Remote = {
    call: (call) =>
      asking.ask({ ...call, caller, patienceMs }).pipe(Effect.mapError((error) => problemOf(server, error)))
  }
  return made
}) satisfies (named: Named) => Effect.Effect<Remote, Problem, Scope.Scope>
