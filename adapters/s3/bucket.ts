/** A bucket that can be talked to: the SDK's client for what is rare, a signed request over a pool for what is not. */
import { S3Client } from "@aws-sdk/client-s3"
import { Clock, Effect, type Scope, Semaphore } from "effect"
import { Pool } from "undici"
import { StoreRefused } from "../../runtime/ports/objects.ts"
import { type Answer, exchange, type Trouble, trouble } from "./exchange.ts"
import type { S3Limits } from "./limits.ts"
import { type Credentials, emptyPayload, encodePath, encodeQuery, signer } from "./sign.ts"
import { placeOf, type S3Place } from "./url.ts"

export interface Ask {
  readonly method: "GET" | "PUT" | "HEAD"
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: ReadonlyArray<readonly [string, string]>
  readonly body?: Uint8Array
  /** How the body is named in the signature. */
  readonly payload?: string
  readonly bytesMax: number
}

export interface Bucket {
  readonly place: S3Place
  /** For a person. */
  readonly name: string
  readonly limits: S3Limits
  readonly client: S3Client
  /** One attempt. Any answer of the store is a success here, an error of its own too. */
  readonly ask: (ask: Ask) => Effect.Effect<Answer, Trouble>
  /** Takes every part of the credentials out of a text. */
  readonly redact: (text: string) => string
}

export interface S3Settings {
  /** Instead of the SDK's chain of environment, profile and role. */
  readonly credentials?: Credentials
  readonly limits: S3Limits
}

interface Where {
  readonly origin: string
  readonly host: string
  /** What stands before the key: empty, or the bucket where it is in the path. */
  readonly path: string
  readonly region: string
}

const clientFor = (place: S3Place, { credentials, limits }: S3Settings): S3Client =>
  new S3Client({
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    // Other stores mostly do not care, but the signature needs a word.
    ...(place.region === undefined
      ? place.endpoint === undefined
        ? {}
        : { region: "us-east-1" }
      : { region: place.region }),
    ...(credentials === undefined ? {} : { credentials: plain(credentials) }),
    forcePathStyle: place.pathStyle,
    // We retry ourselves, for all operations alike.
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: limits.connectMs,
      requestTimeout: limits.attemptMs,
      throwOnRequestTimeout: true
    }
  })

/** The SDK tells an absent token from an undefined one. */
const plain = ({ accessKeyId, secretAccessKey, sessionToken }: Credentials) =>
  sessionToken === undefined ? { accessKeyId, secretAccessKey } : { accessKeyId, secretAccessKey, sessionToken }

/** The SDK knows how every partition of the cloud names its hosts. */
const resolveWhere = async (client: S3Client, place: S3Place): Promise<Where> => {
  const region = await client.config.region()
  const url = new URL(
    client.config.endpointProvider({
      Bucket: place.bucket,
      Region: region,
      ForcePathStyle: place.pathStyle,
      UseFIPS: await client.config.useFipsEndpoint(),
      UseDualStack: await client.config.useDualstackEndpoint(),
      ...(place.endpoint === undefined ? {} : { Endpoint: place.endpoint })
    }).url
  )
  return { origin: url.origin, host: url.host, path: url.pathname.replace(/\/$/, ""), region }
}

const message = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const openPool = (where: Where, limits: S3Limits): Pool =>
  new Pool(where.origin, {
    connections: limits.connectionsMax,
    pipelining: 1,
    allowH2: false,
    connectTimeout: limits.connectMs,
    // Just below what stores and balancers commonly wait before they close an idle connection.
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 20_000
  })

/** Holds credentials only as long as the SDK's chain does, which renews them before they expire. */
const keeper = (client: S3Client) => {
  let last: Credentials | undefined
  const secrets = new Set<string>()
  const note = (credentials: Credentials): void => {
    if (credentials.secretAccessKey === last?.secretAccessKey && credentials.sessionToken === last.sessionToken) return
    last = credentials
    for (const secret of [credentials.secretAccessKey, credentials.sessionToken, credentials.accessKeyId]) {
      if (secret !== undefined && secret !== "") secrets.add(secret)
    }
  }
  const current = Effect.tryPromise({
    try: async () => {
      const credentials = await client.config.credentials()
      note(credentials)
      return credentials
    },
    // Credentials that were had before will probably be had again; those that never were will not.
    catch: (cause) => trouble(`no credentials: ${message(cause)}`, { unsure: false, again: last !== undefined })
  })
  const redact = (text: string): string => {
    let clean = text
    for (const secret of secrets) clean = clean.replaceAll(secret, "…")
    return clean
  }
  return { current, redact }
}

/** Opens the bucket without asking it anything: it may be away at this moment, and come back. */
export const openBucket = (place: S3Place, settings: S3Settings): Effect.Effect<Bucket, StoreRefused, Scope.Scope> =>
  Effect.gen(function* () {
    const { limits } = settings
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => clientFor(place, settings)),
      (opened) => Effect.sync(() => opened.destroy())
    )
    const where = yield* Effect.tryPromise({
      try: () => resolveWhere(client, place),
      catch: (cause) => {
        const hint = place.region === undefined ? " (the parameter region of the URL names one, or AWS_REGION)" : ""
        return new StoreRefused({ operation: "open", key: placeOf(place), why: `${message(cause)}${hint}` })
      }
    })
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => openPool(where, limits)),
      (opened) => Effect.promise(() => opened.destroy())
    )
    const { current, redact } = keeper(client)
    const sign = signer(where.region)
    // The time of an attempt begins when it has a connection: waiting for one is nobody's failure.
    const gate = yield* Semaphore.make(limits.connectionsMax)

    const ask = Effect.fnUntraced(function* (asked: Ask) {
      const credentials = yield* current
      const path = `${where.path}/${encodePath(`${place.prefix}${asked.key}`)}`
      const query = asked.query === undefined ? "" : encodeQuery(asked.query)
      const payload = asked.payload ?? emptyPayload
      const signable = { method: asked.method, host: where.host, path, query, headers: asked.headers ?? [], payload }
      return yield* exchange(pool, {
        method: asked.method,
        path: query === "" ? path : `${path}?${query}`,
        headers: sign(signable, credentials, yield* Clock.currentTimeMillis),
        ...(asked.body === undefined ? {} : { body: asked.body }),
        bytesMax: asked.bytesMax,
        limits
      })
    })
    return { place, name: placeOf(place), limits, client, ask: (asked) => gate.withPermits(1)(ask(asked)), redact }
  })
