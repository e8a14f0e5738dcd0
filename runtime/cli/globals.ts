/** The flags that every command understands, wherever they stand in the line. */
import { Effect, Option } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { usage } from "./problem.ts"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.withMetavar(metavar), Flag.optional)

const Data = GlobalFlag.Setting("data")({
  flag: text("data", "DIR", "Where the node of this host keeps all it has (ARTIFACTS_DATA)")
})
const Server = GlobalFlag.Setting("server")({
  flag: text("server", "URL", "Another node: nats://HOST:PORT or http(s)://HOST:PORT (ARTIFACTS_SERVER)")
})
const Token = GlobalFlag.Setting("token")({
  flag: text("token", "KEY", "An API key for that node (ARTIFACTS_TOKEN)")
})
const Creds = GlobalFlag.Setting("creds")({
  flag: text("creds", "FILE", "A NATS credentials file for that node")
})
const Org = GlobalFlag.Setting("org")({
  flag: Flag.String("org").pipe(
    Flag.withDescription("The organisation to work in"),
    Flag.withMetavar("ORG"),
    Flag.withDefault("local")
  )
})
const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(Flag.withDescription("Answer, and fail, in JSON"), Flag.withDefault(false))
})

export const globals = [Data, Server, Token, Creds, Org, Json] as const

export interface Globals {
  /** As it was given, or undefined. */
  readonly data: string | undefined
  readonly server: string | undefined
  readonly token: string | undefined
  readonly creds: string | undefined
  readonly org: string
  readonly json: boolean
}

export const readGlobals = Effect.gen(function* () {
  const { env } = process
  const given = (flag: Option.Option<string>, variable?: string): string | undefined =>
    Option.getOrUndefined(flag) || (variable === undefined ? undefined : env[variable] || undefined)
  const org = yield* Org
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(org))
    return yield* usage(`--org ${org}: an organisation is small letters, digits and hyphens, 63 at most`)
  const told: Globals = {
    data: given(yield* Data, "ARTIFACTS_DATA"),
    server: given(yield* Server, "ARTIFACTS_SERVER"),
    token: given(yield* Token, "ARTIFACTS_TOKEN"),
    creds: given(yield* Creds),
    org,
    json: yield* Json
  }
  return told
})
