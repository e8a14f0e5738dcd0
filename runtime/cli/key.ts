/** `artifacts key`: API keys of an organisation. */

import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { account, KeyInfo } from "../../messages/account.ts"
import type { ReplyOf } from "../../messages/protocol.ts"
import { type Account, accountOf } from "./account.ts"
import { command } from "./command.ts"
import { asJson, table, when, write } from "./print.ts"
import { type Problem, usage } from "./problem.ts"

type Reply<Name> = ReplyOf<typeof account, Name>

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90d`, `12h`, `30m`, `45s` from now. */
const expiryOf = (text: Option.Option<string>): Effect.Effect<object, Problem> => {
  if (Option.isNone(text)) return Effect.succeed({})
  const [, count, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text.value) ?? []
  const millis = Number(count) * (units[unit] ?? 0)
  if (count === undefined || millis === 0)
    return Effect.fail(usage(`--expires ${text.value}: say for example 90d, 12h or 30m`))
  return Effect.sync(() => ({ expiresAt: Date.now() + millis }))
}

const issue = Command.make(
  "issue",
  {
    label: Flag.String("label").pipe(Flag.withDescription("What it is for"), Flag.withDefault("")),
    role: Flag.Literals("role", ["member", "admin"]).pipe(
      Flag.withDescription("An admin manages keys besides"),
      Flag.withDefault("member")
    ),
    expires: Flag.String("expires").pipe(
      Flag.withDescription("For how long it is good, like 90d or 12h"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ label, role, expires }) {
    const expiry = yield* expiryOf(expires)
    const to = yield* accountOf
    const { newToken, tokenText, verifierOf } = yield* Effect.promise(() => import("../keys.ts"))
    const token = newToken(to.org)
    const verifier = yield* verifierOf(token.secret)
    const { key } = (yield* to.send("IssueKey", {
      key: token.key,
      label,
      role,
      verifier,
      ...expiry
    })) as Reply<"IssueKey">
    const text = tokenText(token)
    if (to.json) return yield* write(asJson({ key, token: text }))
    yield* write(`key ${key.key} (${key.role}) issued; this is the only time that all of it is shown:\n${text}`)
  }, Effect.scoped)
).pipe(Command.withDescription("Make a key and show it, once"))

const everything = Effect.fnUntraced(function* (to: Account) {
  const all: Array<KeyInfo> = []
  for (let after: string | undefined; ; ) {
    const { keys, more } = (yield* to.inquire("ListKeys", after === undefined ? {} : { after })) as Reply<"ListKeys">
    all.push(...keys)
    after = keys.at(-1)?.key
    if (!more || after === undefined) return all
  }
})

const standing = ({ revokedAt, expiresAt }: KeyInfo): string => {
  if (revokedAt !== undefined) return `revoked ${when(revokedAt)}`
  if (expiresAt === undefined) return "good"
  return expiresAt <= Date.now() ? `expired ${when(expiresAt)}` : `good until ${when(expiresAt)}`
}

const list = Command.make(
  "list",
  {},
  Effect.fnUntraced(function* () {
    const to = yield* accountOf
    const all = yield* everything(to)
    if (to.json) return yield* write(asJson(all))
    if (all.length === 0) return yield* write("no keys yet")
    const row = (each: KeyInfo) => [each.key, each.role, standing(each), when(each.issuedAt), each.issuedBy, each.label]
    yield* write(table(["KEY", "ROLE", "STANDING", "ISSUED", "BY", "LABEL"], all.map(row)))
  }, Effect.scoped)
).pipe(Command.withDescription("List keys, without their secrets"), Command.withAlias("ls"))

const revoke = Command.make(
  "revoke",
  { key: Argument.String("KEY").pipe(Argument.withDescription("The key's id, as `key list` shows it")) },
  Effect.fnUntraced(function* ({ key: id }) {
    if (!/^[a-z0-9]{8,32}$/.test(id))
      return yield* usage(`${JSON.stringify(id)} is no key's id: see ${command} key list`)
    const to = yield* accountOf
    const { key } = (yield* to.send("RevokeKey", { key: id })) as Reply<"RevokeKey">
    yield* write(to.json ? asJson(key) : `key ${key.key} revoked`)
  }, Effect.scoped)
).pipe(Command.withDescription("Revoke a key: it is refused from now on"))

export const key = Command.make("key").pipe(
  Command.withDescription("API keys of an organisation"),
  Command.withSubcommands([issue, list, revoke])
)
