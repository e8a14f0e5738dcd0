/** Asks a node for credentials with which streams are heard, for a key that is made here and never leaves this host. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { credsFile } from "../../adapters/nats/credentials.ts"
import { nkeyOf } from "../../adapters/nats/nkey.ts"
import { bytesOf, call, type Reached } from "../cli/streamcall.ts"

interface Issued {
  readonly jwt: string
  readonly nats: string
  readonly inbox: string
  readonly subjects: ReadonlyArray<string>
  readonly expires_at_ms: number
}

export const credentials = Effect.fnUntraced(function* (to: Reached, under: string | undefined) {
  const key = nkeyOf("user", randomBytes(32))
  const body = JSON.stringify({ publicKey: key.publicKey, ...(under !== undefined && { under }) })
  const response = yield* call(to, "/v1/listeners", { method: "POST", body })
  const { jwt, ...issued } = JSON.parse(Buffer.from(yield* bytesOf(response)).toString()) as Issued
  return { ...issued, creds: credsFile(jwt, key.seed) }
})
