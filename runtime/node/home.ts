/** The first workspace of a node, mounted beside it: it is there without a second command. */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { webRemote } from "../cli/web.ts"
import { readText } from "./files.ts"
import { orgDefault } from "./founding.ts"
import { holdMount, usual } from "./mounting.ts"
import { adminToken } from "./secrets.ts"

const name = "home"

/** Makes the workspace, unless it is there. */
const made = Effect.fnUntraced(function* (http: string, data: string) {
  const token = readText(join(data, adminToken))?.trim()
  if (token === undefined)
    return yield* new Problem({ code: "no-token", message: `there is no ${adminToken} in ${data}` })
  const body = JSON.stringify({ name, layout: "slices", storage: { _tag: "Managed" } })
  const call = { verb: "do", kind: "account", id: orgDefault, name: "CreateWorkspace", body } as const
  const answer = yield* webRemote(http, token).call(call)
  if ("ok" in answer || ("refused" in answer && answer.refused._tag === "NameTaken")) return
  return yield* new Problem({ code: "no-home", message: JSON.stringify(answer) })
})

/** What the banner says of it: where it is, or why it is not there. It ends with the scope, before the node does. */
export const home: (at: {
  readonly http: string
  readonly data: string
  readonly directory: string
}) => Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> = Effect.fnUntraced(function* ({
  http,
  data,
  directory
}) {
  const globals: Globals = { data, server: undefined, token: undefined, creds: undefined, org: orgDefault, json: false }
  const mounting = Effect.andThen(made(http, data), holdMount({ ...usual, globals, workspace: name, directory }))
  return yield* mounting.pipe(
    Effect.map(({ record }) => [
      `The workspace ${name} is mounted on ${record.directory}:`,
      `  echo hello > ${record.directory}/hello.txt`,
      `  cat ${record.directory}/.stats`,
      `  ls -R ${join(data, "objects", orgDefault)}`
    ]),
    Effect.catch((problem) =>
      Effect.succeed([
        `The workspace ${name} is not mounted: ${problem.message}`,
        ...(problem.next === undefined ? [] : [`  ${problem.next}`])
      ])
    )
  )
})
