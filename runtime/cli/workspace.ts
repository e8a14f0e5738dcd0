/** `artifacts workspace`: the registry of an organisation's workspaces. */
import { createInterface } from "node:readline/promises"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { account, Storage, Workspace } from "../../messages/account.ts"
import type { ReplyOf } from "../../messages/protocol.ts"
import { type Account, accountOf } from "./account.ts"
import { asJson, card, table, when, write } from "./print.ts"
import { Problem, usage } from "./problem.ts"

type Reply<Name> = ReplyOf<typeof account, Name>

const name = Argument.String("NAME").pipe(Argument.withDescription("Letters, digits, _ and -; 63 at most"))

const place = (storage: Storage): string =>
  storage._tag === "Managed" ? "managed" : `${storage.endpoint ?? "s3:/"}/${storage.bucket}`

const shown = (workspace: Workspace): string =>
  card([
    ["name", workspace.name],
    ["id", workspace.id],
    ["layout", workspace.layout],
    ["storage", place(workspace.storage)],
    ["created", `${when(workspace.createdAt)} by ${workspace.createdBy}`],
    ...(workspace.deletedAt === undefined
      ? []
      : [["deleted", `${when(workspace.deletedAt)} by ${workspace.deletedBy ?? "?"}`] as const])
  ])

const checkName = (text: string): Effect.Effect<string, Problem> =>
  /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/.test(text)
    ? Effect.succeed(text)
    : Effect.fail(usage(`${JSON.stringify(text)} is no workspace name: letters, digits, _ and -, 63 at most`))

interface Backend {
  readonly backend: "managed" | "byo"
  readonly bucket: Option.Option<string>
  readonly endpoint: Option.Option<string>
  readonly region: Option.Option<string>
}

const storageOf = ({ backend, bucket, endpoint, region }: Backend): Effect.Effect<object, Problem> => {
  if (backend === "managed") {
    const given = Object.entries({ bucket, endpoint, region }).find(([, flag]) => Option.isSome(flag))
    if (given !== undefined) return Effect.fail(usage(`--${given[0]} is for --backend byo`))
    return Effect.succeed({ _tag: "Managed" })
  }
  if (Option.isNone(bucket))
    return Effect.fail(usage("--backend byo wants the name of your bucket", "add --bucket NAME"))
  const optional = (flag: string, value: Option.Option<string>) => (Option.isNone(value) ? {} : { [flag]: value.value })
  return Effect.succeed({
    _tag: "Byo",
    bucket: bucket.value,
    ...optional("endpoint", endpoint),
    ...optional("region", region)
  })
}

const create = Command.make(
  "create",
  {
    name,
    layout: Flag.Literals("layout", ["slices", "generations"]).pipe(
      Flag.withDescription("How files become objects"),
      Flag.withDefault("slices")
    ),
    backend: Flag.Literals("backend", ["managed", "byo"]).pipe(
      Flag.withDescription("The operator's store, or a bucket of your own"),
      Flag.withDefault("managed")
    ),
    bucket: Flag.String("bucket").pipe(Flag.withDescription("The bucket of --backend byo"), Flag.optional),
    endpoint: Flag.String("endpoint").pipe(Flag.withDescription("Its S3 endpoint, unless it is at AWS"), Flag.optional),
    region: Flag.String("region").pipe(Flag.withDescription("Its region"), Flag.optional)
  },
  Effect.fnUntraced(function* ({ name: text, layout, ...backend }) {
    const body = { name: yield* checkName(text), layout, storage: yield* storageOf(backend) }
    const to = yield* accountOf
    const { workspace } = (yield* to.send("CreateWorkspace", body)) as Reply<"CreateWorkspace">
    yield* write(to.json ? asJson(workspace) : `workspace ${workspace.name} created (${workspace.id})`)
  }, Effect.scoped)
).pipe(Command.withDescription("Make a workspace"))

/** All pages of the list. */
const everything = Effect.fnUntraced(function* (to: Account, deleted: boolean) {
  const all: Array<Workspace> = []
  for (let after: string | undefined; ; ) {
    const body = { deleted, ...(after === undefined ? {} : { after }) }
    const { workspaces, more } = (yield* to.inquire("ListWorkspaces", body)) as Reply<"ListWorkspaces">
    all.push(...workspaces)
    const last = workspaces.at(-1)
    if (!more || last === undefined) return all
    after = deleted ? last.id : last.name
  }
})

const list = Command.make(
  "list",
  { deleted: Flag.Boolean("deleted").pipe(Flag.withDescription("Those that were deleted"), Flag.withDefault(false)) },
  Effect.fnUntraced(function* ({ deleted }) {
    const to = yield* accountOf
    const all = yield* everything(to, deleted)
    if (to.json) return yield* write(asJson(all))
    if (all.length === 0) return yield* write(deleted ? "none was deleted" : "no workspaces yet")
    const heads = ["NAME", "ID", "LAYOUT", "STORAGE", "CREATED", ...(deleted ? ["DELETED"] : [])]
    const row = (each: Workspace) => [
      each.name,
      each.id,
      each.layout,
      place(each.storage),
      when(each.createdAt),
      ...(each.deletedAt === undefined ? [] : [when(each.deletedAt)])
    ]
    yield* write(table(heads, all.map(row)))
  }, Effect.scoped)
).pipe(Command.withDescription("List workspaces"), Command.withAlias("ls"))

const show = Command.make(
  "show",
  { name },
  Effect.fnUntraced(function* ({ name: text }) {
    const body = { name: yield* checkName(text) }
    const to = yield* accountOf
    const { workspace } = (yield* to.inquire("ShowWorkspace", body)) as Reply<"ShowWorkspace">
    yield* write(to.json ? asJson(workspace) : shown(workspace))
  }, Effect.scoped)
).pipe(Command.withDescription("Show one workspace"))

const confirmed = (text: string): Effect.Effect<boolean> =>
  Effect.promise(async (signal) => {
    const asking = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return (
        (await asking.question(`Type the name of the workspace to delete it (${text}): `, { signal })).trim() === text
      )
    } finally {
      asking.close()
    }
  })

const remove = Command.make(
  "delete",
  {
    name,
    yes: Flag.Boolean("yes").pipe(Flag.withAlias("y"), Flag.withDescription("Do not ask"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function* ({ name: text, yes }) {
    const body = { name: yield* checkName(text) }
    const to = yield* accountOf
    const isSure = yes || !process.stdin.isTTY || (yield* confirmed(text))
    if (!isSure) return yield* new Problem({ code: "kept", message: `the workspace ${text} was kept` })
    const { workspace } = (yield* to.send("DeleteWorkspace", body)) as Reply<"DeleteWorkspace">
    yield* write(to.json ? asJson(workspace) : `workspace ${workspace.name} deleted (${workspace.id})`)
  }, Effect.scoped)
).pipe(Command.withDescription("Delete a workspace; its name is free again"))

export const workspace = Command.make("workspace").pipe(
  Command.withDescription("Workspaces of an organisation"),
  Command.withSubcommands([create, list, show, remove])
)
