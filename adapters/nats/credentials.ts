/** Operator, account and user JWTs as a NATS server reads them, and the file in which a user keeps its own. */
import { createHash } from "node:crypto"
import { Option, Schema } from "effect"
import { isSignedBy, type Nkey } from "./nkey.ts"
import { type Permissions, toClaims } from "./permissions.ts"

/** When a JWT is made and until when it counts, in seconds since the epoch; without an end it counts for ever. */
export interface Validity {
  readonly issuedAt: number
  readonly expiresAt?: number
}

const Subjects = Schema.optionalKey(Schema.Array(Schema.String))
const Allowed = Schema.optionalKey(Schema.Struct({ allow: Subjects, deny: Subjects }))

/** What of a user JWT is of use here; it may say more. */
export const UserClaims = Schema.Struct({
  sub: Schema.String,
  iss: Schema.String,
  name: Schema.optionalKey(Schema.String),
  exp: Schema.optionalKey(Schema.Finite),
  nbf: Schema.optionalKey(Schema.Finite),
  nats: Schema.Struct({
    type: Schema.Literal("user"),
    version: Schema.Literal(2),
    pub: Allowed,
    sub: Allowed,
    resp: Schema.optionalKey(
      Schema.Struct({ max: Schema.optionalKey(Schema.Finite), ttl: Schema.optionalKey(Schema.Finite) })
    ),
    issuer_account: Schema.optionalKey(Schema.String),
    bearer_token: Schema.optionalKey(Schema.Boolean)
  })
})
export type UserClaims = typeof UserClaims.Type

const decodeHeader = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ alg: Schema.Literal("ed25519-nkey") }))
)
const decodeUserClaims = Schema.decodeUnknownOption(Schema.fromJsonString(UserClaims))

const header = Buffer.from(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" })).toString("base64url")
const unlimited = -1

const signed = (issuer: Nkey, subject: string, name: string, validity: Validity, nats: object): string => {
  const claims = {
    iat: Math.floor(validity.issuedAt),
    ...(validity.expiresAt === undefined ? {} : { exp: Math.floor(validity.expiresAt) }),
    iss: issuer.publicKey,
    name,
    nats,
    sub: subject
  }
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex")
  const text = `${header}.${Buffer.from(JSON.stringify({ jti, ...claims })).toString("base64url")}`
  return `${text}.${issuer.sign(Buffer.from(text)).toString("base64url")}`
}

/** The operator's own JWT, for the `operator` line of a NATS server's configuration. */
export const operatorJwt = (operator: Nkey, name: string, validity: Validity): string =>
  signed(operator, operator.publicKey, name, validity, { type: "operator", version: 2 })

const accountLimits = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: unlimited
}
const jetstreamLimits = { mem_storage: unlimited, disk_storage: unlimited, streams: unlimited, consumer: unlimited }

const account = (operator: Nkey, publicKey: string, name: string, validity: Validity, limits: object): string =>
  signed(operator, publicKey, name, validity, {
    limits,
    default_permissions: { pub: {}, sub: {} },
    type: "account",
    version: 2
  })

/** An account without limits and with JetStream, for the `resolver_preload` of a NATS server. */
export const accountJwt = (operator: Nkey, publicKey: string, name: string, validity: Validity): string =>
  account(operator, publicKey, name, validity, { ...accountLimits, ...jetstreamLimits })

/** A cluster needs a system account besides, and that one may not have JetStream. */
export const systemAccountJwt = (operator: Nkey, publicKey: string, name: string, validity: Validity): string =>
  account(operator, publicKey, name, validity, accountLimits)

export interface UserOptions {
  readonly name: string
  readonly permissions: Permissions
  /** The JWT alone is enough, without a signature over the server's nonce: for clients that cannot sign. */
  readonly bearer?: boolean
}

/** A user of the account, for whoever holds the seed of `user`. */
export const userJwt = (issuer: Nkey, user: string, options: UserOptions, validity: Validity): string =>
  signed(issuer, user, options.name, validity, {
    ...toClaims(options.permissions),
    subs: unlimited,
    data: unlimited,
    payload: unlimited,
    ...(options.bearer === true ? { bearer_token: true } : {}),
    type: "user",
    version: 2
  })

const textOf = (part: string): string => Buffer.from(part, "base64url").toString("utf8")

/** The claims of a user JWT whose issuer signed it; undefined for anything else. Its times are not looked at. */
export const readUserJwt = (jwt: string): UserClaims | undefined => {
  const [head, body, signature, ...rest] = jwt.split(".")
  if (head === undefined || body === undefined || signature === undefined || rest.length > 0) return undefined
  if (Option.isNone(decodeHeader(textOf(head)))) return undefined
  const claims = Option.getOrUndefined(decodeUserClaims(textOf(body)))
  if (claims === undefined) return undefined
  const isGenuine = isSignedBy(claims.iss, Buffer.from(`${head}.${body}`), Buffer.from(signature, "base64url"))
  return isGenuine ? claims : undefined
}

/** What a client of NATS is given as its credentials file. Keep it at mode 0600. */
export const credsFile = (jwt: string, seed: string): string =>
  [
    "-----BEGIN NATS USER JWT-----",
    jwt,
    "------END NATS USER JWT------",
    "",
    "************************* IMPORTANT *************************",
    "The key below is a secret: whoever has this file is this user.",
    "",
    "-----BEGIN USER NKEY SEED-----",
    seed,
    "------END USER NKEY SEED------",
    ""
  ].join("\n")

const section = /-----BEGIN ([A-Z ]+)-----\s*\n\s*([A-Za-z0-9_\-.=]+)\s*\n\s*-{3,}END /g

export interface Creds {
  readonly jwt: string
  readonly seed: string
}

/** The parts of a credentials file, or undefined when one of them is missing. */
export const parseCreds = (text: string): Creds | undefined => {
  const parts = new Map([...text.matchAll(section)].map(([, name, value]) => [name, value]))
  const jwt = parts.get("NATS USER JWT")
  const seed = parts.get("USER NKEY SEED")
  return jwt === undefined || seed === undefined ? undefined : { jwt, seed }
}
