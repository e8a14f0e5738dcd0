/** `artifacts status`: the health of a node, and the mounts of this host. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { Health } from "../http/health.ts"
import { readNotice } from "../node/notice.ts"
import { dataPath } from "../node/options.ts"
import { type Globals, readGlobals } from "./globals.ts"
import { healthText, type Seen, seenMounts } from "./mounts.ts"
import { asJson, card, table, when, write } from "./print.ts"
import { Problem, usage } from "./problem.ts"
import { noNode, startHint } from "./remote.ts"

const shown = (health: Health, http: string): string =>
  card([
    ["status", health.status],
    ["node", `${health.node} (process ${health.pid}, artifacts ${health.version}, ${health.mode})`],
    ["started", when(health.startedAt)],
    ["nats", health.bus],
    ["http", http],
    ["journal", `${health.journal} (${health.durability})`],
    ["objects", health.objects],
    ["shards", `${health.shards.held.length} of ${health.shards.total} served here`]
  ])

const shownMounts = (found: ReadonlyArray<Seen>): string =>
  found.length === 0
    ? ""
    : `\n\n${table(
        ["MOUNT", "WORKSPACE", "MODE", "SINCE", "PROCESS", "HEALTH"],
        found.map((each) => {
          const { directory, name, mode, startedAt, pid } = each
          return [directory, name, mode, when(startedAt), String(pid), healthText(each)]
        })
      )}`

/** Where the node's HTTP is. */
const address = Effect.gen(function* () {
  const globals = yield* readGlobals
  if (globals.server !== undefined)
    return /^https?:\/\//.test(globals.server)
      ? globals.server
      : yield* usage(`--server ${globals.server}: the status of a node is read over http`)
  const notice = readNotice(dataPath(globals.data, process.env))
  if (notice === undefined) return yield* noNode(globals)
  return notice.http
})

/** A host of mounts need have no node, and its mounts are there when its node is not. */
const mountsAlone = (globals: Globals, here: ReadonlyArray<Seen>, instead: string) =>
  write(globals.json ? asJson({ mounts: here }) : `${instead}${shownMounts(here)}`)

export const status = Command.make(
  "status",
  {},
  Effect.fnUntraced(function* () {
    const globals = yield* readGlobals
    const here = yield* seenMounts(process.env)
    const http = yield* address.pipe(
      Effect.catchIf(
        ({ code }) => code === "no-node" && here.length > 0,
        () => Effect.succeed(undefined)
      )
    )
    if (http === undefined) return yield* mountsAlone(globals, here, "no node runs on this host")
    const { bodyOf, fetched } = yield* Effect.promise(() => import("./web.ts"))
    const gone = (problem: Problem) =>
      new Problem({
        code: "no-node",
        message: problem.message,
        ...(globals.server === undefined && { next: startHint(globals) })
      })
    const response = yield* fetched(http, "/healthz").pipe(
      Effect.mapError(gone),
      Effect.tapError(() => (here.length === 0 ? Effect.void : mountsAlone(globals, here, `${http} does not answer`)))
    )
    const text = yield* bodyOf(http, response)
    if (!response.headers.get("content-type")?.startsWith("application/json"))
      return yield* new Problem({ code: "unreachable", message: `${http} answers, and not as a node does` })
    const health = JSON.parse(text) as Health
    yield* write(globals.json ? asJson({ ...health, mounts: here }) : `${shown(health, http)}${shownMounts(here)}`)
    if (!health.ready)
      return yield* new Problem({ code: "not-ready", message: `${health.node} does not serve all of its shards` })
  })
).pipe(Command.withDescription("Show the health of the node, and the mounts of this host"))
