/** A connection to a NATS server that lasts as long as its scope and comes back by itself for as long. */
import {
  type Authenticator,
  connect,
  jwtAuthenticator,
  type NatsConnection,
  type Status,
  tokenAuthenticator
} from "@nats-io/transport-node"
import { Effect, type Scope, Stream } from "effect"
import { BusDown } from "../../runtime/ports/bus.ts"
import type { Creds } from "./credentials.ts"

export interface ConnectOptions {
  /** Any of them will do; `nats://host:port` or `host:port`. */
  readonly servers: string | ReadonlyArray<string>
  /** What the server's monitoring calls this connection. */
  readonly name?: string
  readonly credentials?: Creds | { readonly token: string }
  /** Where answers arrive; a user with a JWT may listen to its own inbox alone. */
  readonly inboxPrefix?: string
}

/**
 * A server that dies between its greeting and its consent is not noticed by the client before this is over, and
 * meanwhile it tries no other one.
 */
const connectTimeoutMs = 2_000
// At once when the server merely restarted; spread out, so that a thousand clients do not come back in one moment.
const reconnectWaitMs = 200
const reconnectJitterMs = 300
/** A server that is gone without a word is noticed within three times this. */
const pingIntervalMs = 5_000
/** What waits to be sent may take so long to leave when the scope closes; then it is given up. */
const drainMs = 1_000

const authenticatorOf = (credentials: ConnectOptions["credentials"]): Authenticator | undefined => {
  if (credentials === undefined) return undefined
  if ("token" in credentials) return tokenAuthenticator(credentials.token)
  return jwtAuthenticator(credentials.jwt, new TextEncoder().encode(credentials.seed))
}

/** The address without what may stand in front of it: a name and a password, or a token. */
const shown = (server: string): string => server.replace(/^([a-z]+:\/\/)?[^@/]*@/, "$1")

const opened = (options: ConnectOptions): Effect.Effect<NatsConnection, BusDown> => {
  const servers = [options.servers].flat()
  const authenticator = authenticatorOf(options.credentials)
  return Effect.tryPromise({
    try: () =>
      connect({
        servers,
        timeout: connectTimeoutMs,
        maxReconnectAttempts: -1,
        reconnectTimeWait: reconnectWaitMs,
        reconnectJitter: reconnectJitterMs,
        pingInterval: pingIntervalMs,
        // A credential can be renewed or granted again on the server: giving up is for whoever closes the scope.
        ignoreAuthErrorAbort: true,
        // Our errors name the subject; a stack captured for every request costs more than the request.
        noAsyncTraces: true,
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
        ...(authenticator === undefined ? {} : { authenticator })
      }),
    catch: (cause) => new BusDown({ why: `cannot connect to ${servers.map(shown).join(", ")}: ${whyOf(cause)}` })
  })
}

const whyOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const inner = cause.cause instanceof Error ? cause.cause.message : ""
  return inner === "" || cause.message.includes(inner) ? cause.message : `${cause.message}: ${inner}`
}

const closed = (connection: NatsConnection): Effect.Effect<void> =>
  Effect.promise(async () => {
    if (connection.isClosed()) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs)
    })
    // A server that is away cannot take what waits: that it was not taken is why the time is bounded.
    await Promise.race([connection.drain().catch(() => {}), late])
    clearTimeout(timer)
    await connection.close()
  })

const report = (status: Status): Effect.Effect<void> => {
  switch (status.type) {
    case "disconnect":
      return Effect.logWarning("the connection to NATS is away", { server: shown(status.server) })
    case "reconnect":
      return Effect.logInfo("the connection to NATS is back", { server: shown(status.server) })
    case "error":
      return Effect.logWarning("NATS refused something", { why: status.error.message })
    case "ldm":
      return Effect.logInfo("the NATS server is about to stop", { server: shown(status.server) })
    case "staleConnection":
      return Effect.logWarning("the NATS server has stopped answering")
    default:
      return Effect.logDebug("NATS", { status: status.type })
  }
}

/** Fails when the first attempt does; from then on it comes back by itself, for ever. */
export const connection = (options: ConnectOptions): Effect.Effect<NatsConnection, BusDown, Scope.Scope> =>
  Effect.gen(function* () {
    const made = yield* Effect.acquireRelease(opened(options), closed)
    yield* Effect.forkScoped(
      Stream.runForEach(
        Stream.fromAsyncIterable(made.status(), (cause) => cause),
        report
      ).pipe(
        Effect.catch((cause) => Effect.logError("the status of NATS can no longer be followed", { why: whyOf(cause) }))
      )
    )
    return made
  })
