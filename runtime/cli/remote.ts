/**
 * How a command reaches a node: over NATS, as this host's administrator or with credentials, or over HTTP with a key.
 */

import { Effect, type Scope } from "effect"
import { readNotice } from "../node/notice.ts"
import { dataFlag, dataPath } from "../node/options.ts"
import type { Call, Remote } from "./call.ts"
import { command } from "./command.ts"
import type { Globals } from "./globals.ts"
import { Problem, usage } from "./problem.ts"
import { told } from "./told.ts"

export const startHint = (globals: Globals): string => `start one with: ${command} up${dataFlag(globals.data)}`

export const noNode = (globals: Globals): Problem =>
  new Problem({
    code: "no-node",
    message: `no node is running in ${dataPath(globals.data, process.env)}`,
    next: `${startHint(globals)}   (or name another node with --server)`
  })

const overNats = Effect.promise(() => import("../node/remote.ts"))
const overHttp = Effect.promise(() => import("./web.ts"))

/** The node that was named, or else the one that runs on this host. */
export const remote = Effect.fnUntraced(function* (globals: Globals) {
  const { server, token, creds } = globals
  if (server === undefined) return yield* local(globals)
  if (/^https?:\/\//.test(server)) {
    if (token === undefined)
      return yield* usage(`${server} wants an API key`, "name one with --token or ARTIFACTS_TOKEN")
    return (yield* overHttp).webRemote(server, token)
  }
  if (/^(nats|tls):\/\//.test(server)) {
    const { natsRemote } = yield* overNats
    if (creds !== undefined) return yield* natsRemote({ server, credsFile: creds })
    if (token !== undefined) return yield* natsRemote({ server, token })
    return yield* usage(`${server} wants credentials`, "name a file with --creds, or an API key with --token")
  }
  return yield* usage(`--server ${server} is no address`, "say nats://HOST:PORT, http://HOST:PORT or https://HOST:PORT")
}) satisfies (globals: Globals) => Effect.Effect<Remote, Problem, Scope.Scope>

const local = Effect.fnUntraced(function* (globals: Globals) {
  const data = dataPath(globals.data, process.env)
  const notice = readNotice(data)
  if (notice === undefined) return yield* noNode(globals)
  const { natsRemote } = yield* overNats
  const credsFile = globals.creds ?? `${data}/admin.creds`
  return yield* natsRemote({ server: notice.nats, credsFile, shards: notice.shards }).pipe(
    Effect.mapError((problem) =>
      problem.code === "unreachable"
        ? new Problem({
            code: "no-node",
            message: `the node that ran in ${data} (process ${notice.pid}) does not answer: ${problem.message}`,
            next: startHint(globals)
          })
        : problem
    )
  )
})

/** The reply, or the refusal or failure as a problem. */
export const ask = Effect.fnUntraced(function* (to: Remote, call: Call) {
  const answer = yield* to.call(call)
  if ("ok" in answer) return answer.ok
  const said = "refused" in answer ? answer.refused : answer.failed
  return yield* told(call, said)
})
