/** `artifacts do`, `ask` and `subject`: any actor, by kind and id. */
import { join } from "node:path"
import { text as allOf } from "node:stream/consumers"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { tokenPattern } from "../../messages/ids.ts"
import { eventsSubject, shardOf, subjectOf, type Verb } from "../../messages/subjects.ts"
import { readNotice } from "../node/notice.ts"
import { dataPath } from "../node/options.ts"
import { readGlobals } from "./globals.ts"
import { asJson, card, write } from "./print.ts"
import { type Problem, usage } from "./problem.ts"
import { ask, noNode, remote } from "./remote.ts"

const kind = Argument.String("KIND").pipe(Argument.withDescription("The kind of actor, for example account"))
const id = Argument.String("ID").pipe(Argument.withDescription("Its id; for an account, the organisation"))
const body = Argument.String("JSON").pipe(
  Argument.withDescription("The fields as a JSON object; - reads them from the standard input"),
  Argument.withDefault("{}")
)

const checkTokens = (tokens: Readonly<Record<string, string>>): Effect.Effect<void, Problem> => {
  const wrong = Object.entries(tokens).find(([, token]) => !tokenPattern.test(token))
  if (wrong === undefined) return Effect.void
  return Effect.fail(
    usage(`${wrong[0]} ${JSON.stringify(wrong[1])}: letters, digits, _ and - are allowed, 128 at most`)
  )
}

const jsonOf = Effect.fnUntraced(function* (given: string) {
  const read = given === "-" ? yield* Effect.promise(() => allOf(process.stdin)) : given
  return yield* Effect.try({
    try: () => JSON.stringify(JSON.parse(read)),
    catch: (cause) => usage(`that is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  })
})

const actorCommand = (verb: Verb, what: string, description: string) =>
  Command.make(
    verb,
    {
      kind,
      id,
      name: Argument.String(what).pipe(Argument.withDescription(`The ${what.toLowerCase()}'s name`)),
      body,
      commandId: Flag.String("id").pipe(
        Flag.withDescription("The command's id: one that is repeated is done once"),
        Flag.withMetavar("COMMAND-ID"),
        Flag.optional
      )
    },
    Effect.fnUntraced(function* (given) {
      const { name, commandId } = given
      yield* checkTokens({ KIND: given.kind, ID: given.id, [what]: name })
      const json = yield* jsonOf(given.body)
      const to = yield* remote(yield* readGlobals)
      const repeat = Option.isSome(commandId) ? { commandId: commandId.value } : {}
      yield* write(asJson(yield* ask(to, { verb, kind: given.kind, id: given.id, name, body: json, ...repeat })))
    }, Effect.scoped)
  ).pipe(Command.withDescription(description))

export const doIt = actorCommand("do", "COMMAND", "Send a command to an actor, and print its reply")
export const askIt = actorCommand("ask", "QUERY", "Ask an actor, and print its answer")

/** The installation's number of shards: the node of this host knows it, also when it is stopped. */
const shardsOf = Effect.fnUntraced(function* (given: Option.Option<number>) {
  if (Option.isSome(given)) return given.value
  const globals = yield* readGlobals
  const path = dataPath(globals.data, process.env)
  const shards = readNotice(path)?.shards
  if (shards !== undefined) return shards
  return yield* noNode(globals)
})

export const subject = Command.make(
  "subject",
  {
    kind,
    id,
    shards: Flag.Int("shards").pipe(Flag.withDescription("Of an installation elsewhere"), Flag.optional),
    caller: Flag.String("caller").pipe(Flag.withDescription("In whose name"), Flag.withDefault("admin"))
  },
  Effect.fnUntraced(function* ({ caller, ...given }) {
    yield* checkTokens({ KIND: given.kind, ID: given.id, "--caller": caller })
    const { json, data, creds } = yield* readGlobals
    const { adminCreds, inboxOf } = yield* Effect.promise(() => import("../node/secrets.ts"))
    const inbox = inboxOf(creds ?? join(dataPath(data, process.env), adminCreds))
    const shards = yield* shardsOf(given.shards)
    if (shards < 1) return yield* usage(`--shards ${shards}: there is one at least`)
    const shard = shardOf(given.kind, given.id, shards)
    const address = { kind: given.kind, shard, id: given.id, caller }
    const commands = subjectOf({ ...address, verb: "do", name: "COMMAND" })
    const queries = subjectOf({ ...address, verb: "ask", name: "QUERY" })
    const events = eventsSubject(given.kind, shard, given.id)
    if (json) return yield* write(asJson({ shard, shards, commands, queries, events, inbox }))
    const rows = [
      ["shard", `${shard} of ${shards}`],
      ["commands", commands],
      ["queries", queries],
      ["events", events],
      ...(inbox === undefined ? [] : [["inbox", inbox] as const])
    ] as const
    yield* write(card(rows))
  })
).pipe(Command.withDescription("Print the NATS subjects of an actor"))
