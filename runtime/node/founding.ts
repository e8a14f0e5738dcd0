/**
 * The first organisation and the key with which this host's administrator comes in over HTTP: there from the first
 * start.
 */
import { join } from "node:path"
import { Effect } from "effect"
import type { Client } from "../client.ts"
import { newToken, parseToken, tokenText, verifierOf } from "../keys.ts"
import { readText, writeWhole } from "./files.ts"
import { adminCaller, adminToken } from "./secrets.ts"

/** The organisation that every installation has. */
export const orgDefault = "local"

const account = (client: Client, verb: "do" | "ask", caller: string, name: string, body: object) =>
  client.ask({ verb, kind: "account", id: orgDefault, caller, name, body: JSON.stringify(body) })

/**
 * The token is on disk before the account hears of its key: a start that was cut short between the two issues the same
 * key again. Whoever deletes the file gets a new key at the next start; a key that was revoked stays revoked.
 */
export const found = Effect.fnUntraced(function* (client: Client, data: string) {
  const founded = yield* account(client, "do", adminCaller, "FoundOrganisation", { title: "Local" })
  if ("failed" in founded) return yield* Effect.logError("the organisation local cannot be founded", founded.failed)
  const file = join(data, adminToken)
  const kept = parseToken(readText(file)?.trim() ?? "")
  const token = kept ?? newToken(orgDefault)
  if (kept === undefined) writeWhole(file, `${tokenText(token)}\n`)
  const known = yield* account(client, "ask", "node", "KeyVerifier", { key: token.key })
  if ("ok" in known) return
  const label = "administrator of this data directory"
  const verifier = yield* verifierOf(token.secret)
  const issued = yield* account(client, "do", adminCaller, "IssueKey", {
    key: token.key,
    label,
    role: "admin",
    verifier
  })
  if (!("ok" in issued)) yield* Effect.logError(`the key in ${file} cannot be issued`, issued)
})
