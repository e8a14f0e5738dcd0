/** `artifacts org`: organisations, each with keys and workspaces of its own. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { account } from "../../messages/account.ts"
import type { ReplyOf } from "../../messages/protocol.ts"
import { accountOf } from "./account.ts"
import { asJson, card, when, write } from "./print.ts"

type Organisation = ReplyOf<typeof account, "ShowOrganisation">["organisation"]

const shown = (organisation: Organisation): string =>
  card([
    ["organisation", organisation.org],
    ["title", organisation.title],
    ["founded", when(organisation.foundedAt)],
    ["workspaces", String(organisation.workspaces)],
    ["keys", String(organisation.keys)]
  ])

const create = Command.make(
  "create",
  { title: Flag.String("title").pipe(Flag.withDescription("What people call it"), Flag.optional) },
  Effect.fnUntraced(function* ({ title }) {
    const to = yield* accountOf
    const body = Option.isSome(title) ? { title: title.value } : {}
    const { organisation } = (yield* to.send("FoundOrganisation", body)) as { organisation: Organisation }
    yield* write(to.json ? asJson(organisation) : `organisation ${organisation.org} created`)
  }, Effect.scoped)
).pipe(Command.withDescription("Make the organisation that --org names"))

const show = Command.make(
  "show",
  {},
  Effect.fnUntraced(function* () {
    const to = yield* accountOf
    const { organisation } = (yield* to.inquire("ShowOrganisation", {})) as { organisation: Organisation }
    yield* write(to.json ? asJson(organisation) : shown(organisation))
  }, Effect.scoped)
).pipe(Command.withDescription("Show the organisation that --org names"))

export const org = Command.make("org").pipe(
  Command.withDescription("Organisations"),
  Command.withSubcommands([create, show])
)
