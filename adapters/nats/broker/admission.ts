/** Who may come in: CONNECT is read, and a JWT with its signature or a token is held against what the node trusts. */
import { type Effect, Option, Schema } from "effect"
import { readUserJwt, type UserClaims } from "../credentials.ts"
import { isSignedBy, publicKeyKind } from "../nkey.ts"
import { fromClaims, type Permissions } from "../permissions.ts"

export interface Admitted {
  /** By this name the node drops the connection again: a user JWT's public key, or what the token's owner is called. */
  readonly user: string
  readonly permissions: Permissions
  /** Milliseconds since the epoch; the connection ends then. */
  readonly expiresAt?: number
}

export interface Authority {
  /** Public keys whose signature under a user JWT is believed: those of an account, or of an operator. */
  readonly issuers: ReadonlyArray<string>
  /** Asks the node about an `auth_token`; without it, tokens are refused. */
  readonly token?: (token: string) => Effect.Effect<Admitted | undefined>
  /** A user who may no longer come in, though the JWT is still good. */
  readonly isRevoked?: (user: string) => boolean
}

const text = Schema.optionalKey(Schema.NullOr(Schema.String))
const flag = Schema.optionalKey(Schema.NullOr(Schema.Boolean))

const ConnectFields = Schema.Struct({
  verbose: flag,
  echo: flag,
  headers: flag,
  no_responders: flag,
  jwt: text,
  sig: text,
  auth_token: text,
  name: text
})
export type ConnectFields = typeof ConnectFields.Type

const decodeFields = Schema.decodeUnknownOption(Schema.fromJsonString(ConnectFields))
export const connectFields = (json: string): ConnectFields | undefined => Option.getOrUndefined(decodeFields(json))

const anonymous: Admitted = { user: "", permissions: {} }

/** An effect when the node has to be asked, undefined when the door stays shut. */
export type Admission = Admitted | Effect.Effect<Admitted | undefined> | undefined

export const admit = (
  authority: Authority | undefined,
  { jwt, sig, auth_token: token }: ConnectFields,
  nonce: string,
  now: number
): Admission => {
  if (authority === undefined) return anonymous
  if (jwt) return byJwt(authority, jwt, sig ?? "", nonce, now)
  return token && authority.token !== undefined ? authority.token(token) : undefined
}

const byJwt = (
  authority: Authority,
  jwt: string,
  signature: string,
  nonce: string,
  now: number
): Admitted | undefined => {
  const claims = readUserJwt(jwt)
  if (claims === undefined || !isTrusted(authority, claims) || !isCurrent(claims, now)) return undefined
  const isBearer = claims.nats.bearer_token === true
  // The standard alphabet and the one for URLs are both in use; this decoder reads either.
  if (!isBearer && !isSignedBy(claims.sub, Buffer.from(nonce), Buffer.from(signature, "base64"))) return undefined
  return {
    user: claims.sub,
    permissions: fromClaims(claims.nats),
    ...(claims.exp === undefined ? {} : { expiresAt: claims.exp * 1000 })
  }
}

const isTrusted = ({ issuers, isRevoked }: Authority, { iss, sub }: UserClaims): boolean =>
  issuers.includes(iss) && publicKeyKind(sub) === "user" && isRevoked?.(sub) !== true

const isCurrent = ({ exp, nbf }: UserClaims, now: number): boolean =>
  (exp === undefined || exp * 1000 > now) && (nbf === undefined || nbf * 1000 <= now)
