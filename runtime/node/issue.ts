/** Asks a node for a mount session, for a key that is made here and never leaves this host. */
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { Effect } from "effect"
import { nkeyOf } from "../../adapters/nats/nkey.ts"
import type { MountMode } from "../../messages/mount-session.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem, usage } from "../cli/problem.ts"
import { noNode } from "../cli/remote.ts"
import { bodyOf, fetched } from "../cli/web.ts"
import type { Issued } from "../http/sessions.ts"
import { readText } from "./files.ts"
import { readNotice } from "./notice.ts"
import { dataPath } from "./options.ts"
import { adminToken } from "./secrets.ts"

/** What a mount is begun with. The seed is its secret. */
export interface Ticket {
  readonly issued: Issued
  readonly publicKey: string
  readonly seed: string
}

/** Where sessions are issued, and the key to ask with. */
const office = Effect.fnUntraced(function* (globals: Globals) {
  const { server, token } = globals
  const data = dataPath(globals.data, process.env)
  if (server !== undefined) {
    if (!/^https?:\/\//.test(server)) return yield* usage(`--server ${server}: a mount is asked for over http`)
    if (token === undefined)
      return yield* usage(`${server} wants an API key`, "name one with --token or ARTIFACTS_TOKEN")
    return { server, token }
  }
  const notice = readNotice(data)
  if (notice === undefined) return yield* noNode(globals)
  const own = token ?? readText(join(data, adminToken))?.trim()
  if (own === undefined) return yield* usage(`there is no ${join(data, adminToken)}`, "name an API key with --token")
  return { server: notice.http, token: own }
})

interface Refused {
  readonly code?: string
  readonly message?: string
  readonly refused?: { readonly _tag: string }
}

/** What is asked for: a workspace in a mode, and a session that outlives so long a silence. */
export interface Order {
  readonly workspace: string
  readonly mode: MountMode
  readonly lifeMs?: number | undefined
}

export const issue = Effect.fnUntraced(function* (globals: Globals, order: Order) {
  const { workspace } = order
  const { server, token } = yield* office(globals)
  const key = nkeyOf("user", randomBytes(32))
  const response = yield* fetched(server, "/v1/sessions", {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...order, publicKey: key.publicKey })
  })
  const text = yield* bodyOf(server, response)
  if (response.status !== 201) {
    const said = JSON.parse(text.startsWith("{") ? text : "{}") as Refused
    const code = said.refused?._tag ?? said.code ?? String(response.status)
    if (code === "NoSuchWorkspace")
      return yield* new Problem({
        code,
        message: `there is no workspace ${workspace}`,
        next: `make it with: artifacts workspace create ${workspace}`
      })
    return yield* new Problem({ code, message: said.message ?? `${server} answers ${response.status}: ${text}` })
  }
  const ticket: Ticket = { issued: JSON.parse(text) as Issued, publicKey: key.publicKey, seed: key.seed }
  return ticket
})
