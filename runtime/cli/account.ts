/** The account of the organisation that a command works in. */
import { Effect } from "effect"
import { readGlobals } from "./globals.ts"
import type { Problem } from "./problem.ts"
import { ask, remote } from "./remote.ts"

export interface Account {
  readonly org: string
  readonly json: boolean
  readonly send: (name: string, body: object) => Effect.Effect<unknown, Problem>
  readonly inquire: (name: string, body: object) => Effect.Effect<unknown, Problem>
}

export const accountOf = Effect.gen(function* () {
  const globals = yield* readGlobals
  const to = yield* remote(globals)
  const { org, json } = globals
  const call = (verb: "do" | "ask") => (name: string, body: object) =>
    ask(to, { verb, kind: "account", id: org, name, body: JSON.stringify(body) })
  const made: Account = { org, json, send: call("do"), inquire: call("ask") }
  return made
})
