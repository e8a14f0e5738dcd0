/** `artifacts up` and `artifacts nats-config`: what runs a node, and what prepares a NATS cluster for one. */

import { Effect, Option } from "effect"
import { Command, Flag, GlobalFlag } from "effect/cli"
import { partitionHotBytesMax } from "../../messages/limits.ts"
import {
  type Address,
  dataFlag,
  dataPath,
  httpDefault,
  natsDefault,
  nodeName,
  readAddress,
  type UpOptions
} from "../node/options.ts"
import { command } from "./command.ts"
import { readGlobals } from "./globals.ts"
import { write } from "./print.ts"
import { Problem, usage } from "./problem.ts"
import { quotaFlags, readLimits } from "./quota.ts"
import { version } from "./version.ts"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.withMetavar(metavar), Flag.optional)

/** A day: who wants to keep everything in memory has it there until the night. */
const idleMsMax = 86_400_000

const flags = {
  http: text("http", "HOST:PORT", "Where HTTP listens (127.0.0.1:8080, or a free port when that is taken)"),
  nats: text("nats", "HOST:PORT", "Where the embedded broker listens (127.0.0.1:4222, or a free port)"),
  natsUrl: text("nats-url", "URL", "A NATS server or cluster to join, in place of the embedded broker and journal"),
  natsCreds: text("nats-creds", "FILE", "The credentials for it (node.creds of the data directory)"),
  objects: text("objects", "URL", "s3://BUCKET/PREFIX or file:///DIRECTORY (objects/ in the data directory)"),
  shards: Flag.Int("shards").pipe(
    Flag.withDescription("How many shards to make, at the first start alone (16)"),
    Flag.optional
  ),
  durability: Flag.Literals("durability", ["sync", "process"]).pipe(
    Flag.withDescription("What an acknowledgement survives: power loss (sync, the default), or kill -9 alone"),
    Flag.optional
  ),
  replicas: Flag.Int("replicas").pipe(
    Flag.withDescription("Copies of each log in a NATS cluster"),
    Flag.withDefault(3)
  ),
  node: text("node", "NAME", "What this node is called in a cluster"),
  longPollMs: Flag.Int("long-poll-ms").pipe(
    Flag.withDescription("How long a long-poll on a stream waits (30000)"),
    Flag.optional
  ),
  idleMs: Flag.Int("idle-ms").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("An actor that nobody used for so long leaves memory (60000)"),
    Flag.optional
  ),
  streamHotBytes: Flag.Int("stream-hot-bytes").pipe(
    Flag.withDescription(
      "Bytes that a partition of streams keeps in memory; older ones are in objects (8388608; 0: all)"
    ),
    Flag.optional
  ),
  streamsOpen: Flag.Literals("streams-open", ["yes", "no"]).pipe(
    Flag.withDescription("Whether streams need no API key (yes when HTTP listens on the loopback)"),
    Flag.optional
  ),
  streamSubjects: Flag.Boolean("stream-subjects").pipe(
    Flag.withDescription("Publish what is appended on a NATS subject for each stream"),
    Flag.withDefault(false)
  ),
  ...quotaFlags,
  home: text("home", "DIR", "Make a workspace home, and mount it on this directory while the node runs"),
  jsonLogs: Flag.Boolean("json-logs").pipe(
    Flag.withDescription("Logs as JSON lines also on a terminal"),
    Flag.withDefault(false)
  )
}

const addressOf = (flag: string, given: Option.Option<string>, usual: Address): Effect.Effect<Address, Problem> => {
  if (Option.isNone(given)) return Effect.succeed(usual)
  const read = readAddress(given.value)
  return read === undefined
    ? Effect.fail(usage(`${flag} ${given.value} is no address`, `say HOST:PORT, for example ${flag} 127.0.0.1:0`))
    : Effect.succeed(read)
}

type Given = { readonly [Name in keyof typeof flags]: (typeof flags)[Name] extends Flag.Flag<infer A> ? A : never }

const checkShards = (shards: number | undefined): Effect.Effect<void, Problem> =>
  shards === undefined || (shards >= 1 && shards <= 4096)
    ? Effect.void
    : Effect.fail(usage(`--shards ${shards}: between 1 and 4096`))

const idleMsOf = (given: Given): Effect.Effect<number | undefined, Problem> => {
  const idleMs = Option.getOrUndefined(given.idleMs)
  const isFit = idleMs === undefined || (idleMs >= 100 && idleMs <= idleMsMax)
  return isFit ? Effect.succeed(idleMs) : Effect.fail(usage(`--idle-ms ${idleMs}: between 100 and ${idleMsMax}`))
}

const optionsOf = Effect.fnUntraced(function* (given: Given) {
  const globals = yield* readGlobals
  const natsUrl = Option.getOrUndefined(given.natsUrl)
  const natsCreds = Option.getOrUndefined(given.natsCreds)
  const objects = Option.getOrUndefined(given.objects)
  const shards = Option.getOrUndefined(given.shards)
  const home = Option.getOrUndefined(given.home)
  const longPollMs = Option.getOrUndefined(given.longPollMs)
  const streamsOpen = Option.getOrUndefined(given.streamsOpen)
  if (longPollMs !== undefined && (longPollMs < 10 || longPollMs > 600_000))
    return yield* usage(`--long-poll-ms ${longPollMs}: between 10 and 600000`)
  const idleMs = yield* idleMsOf(given)
  const streamHotBytes = Option.getOrUndefined(given.streamHotBytes)
  if (streamHotBytes !== undefined && (streamHotBytes < 0 || streamHotBytes > partitionHotBytesMax / 2))
    return yield* usage(`--stream-hot-bytes ${streamHotBytes}: between 0 and ${partitionHotBytesMax / 2}`)
  yield* checkShards(shards)
  if (given.replicas !== 1 && given.replicas !== 3) return yield* usage(`--replicas ${given.replicas}: 1 or 3`)
  if (natsUrl !== undefined && Option.isSome(given.nats))
    return yield* usage("--nats places the embedded broker, and --nats-url is there to do without it", "leave one away")
  if (natsUrl === undefined && natsCreds !== undefined) return yield* usage("--nats-creds is for --nats-url")
  const name = yield* Effect.try({
    try: () => nodeName(Option.getOrUndefined(given.node), natsUrl !== undefined),
    catch: (cause) => usage(cause instanceof Error && "why" in cause ? String(cause.why) : String(cause))
  })
  const streamLimits = yield* readLimits(given)
  const options: UpOptions = {
    data: dataPath(globals.data, process.env),
    program: version,
    http: yield* addressOf("--http", given.http, httpDefault),
    nats: yield* addressOf("--nats", given.nats, natsDefault),
    durability: Option.getOrUndefined(given.durability),
    replicas: given.replicas,
    node: name,
    ...(natsUrl !== undefined && { natsUrl }),
    ...(natsCreds !== undefined && { natsCreds }),
    ...(objects !== undefined && { objects }),
    ...(shards !== undefined && { shards }),
    ...(home !== undefined && { home }),
    ...(longPollMs !== undefined && { longPollMs }),
    ...(idleMs !== undefined && { idleMs }),
    ...(streamHotBytes !== undefined && { streamHotBytes }),
    ...(given.streamSubjects && { streamSubjects: true }),
    ...(streamLimits !== undefined && { streamLimits }),
    ...(streamsOpen !== undefined && { streamsOpen: streamsOpen === "yes" })
  }
  return { options, globals }
})

export const up = Command.make(
  "up",
  flags,
  Effect.fnUntraced(function* (given) {
    const { options, globals } = yield* optionsOf(given)
    const logLevel = Option.getOrElse(yield* GlobalFlag.LogLevel, () => "Info" as const)
    const { run } = yield* Effect.promise(() => import("../node/run.ts"))
    const isPretty = !given.jsonLogs && process.stderr.isTTY
    return yield* run(options, {
      logLevel,
      isPretty,
      dataFlag: dataFlag(globals.data),
      command,
      asJson: globals.json
    }).pipe(
      Effect.mapError(
        ({ why, next }) => new Problem({ code: "cannot-start", message: why, ...(next !== undefined && { next }) })
      )
    )
  })
).pipe(Command.withDescription("Run a node, until it is told to stop"))

export const natsConfig = Command.make(
  "nats-config",
  {
    name: Flag.String("name").pipe(
      Flag.withDescription("The server's own name in the cluster"),
      Flag.withDefault("nats-1")
    ),
    store: Flag.String("store").pipe(
      Flag.withDescription("Its directory for JetStream"),
      Flag.withDefault("/var/lib/nats")
    ),
    listen: Flag.String("listen").pipe(
      Flag.withDescription("Where clients reach it"),
      Flag.withDefault("0.0.0.0:4222")
    ),
    cluster: text("cluster", "HOST:PORT", "Where the other servers reach it; leave away for one server alone"),
    routes: text("routes", "HOST:PORT,…", "The other servers' cluster addresses"),
    shards: flags.shards
  },
  Effect.fnUntraced(function* (given) {
    const { data } = yield* readGlobals
    const { natsConfigFor } = yield* Effect.promise(() => import("../node/natsconfig.ts"))
    const cluster = Option.getOrUndefined(given.cluster)
    const routes = Option.getOrElse(given.routes, () => "")
    const shards = Option.getOrUndefined(given.shards)
    yield* checkShards(shards)
    if (cluster === undefined && routes !== "") return yield* usage("--routes is for --cluster")
    const config = yield* natsConfigFor(dataPath(data, process.env), version, {
      name: given.name,
      store: given.store,
      ...(shards !== undefined && { shards }),
      listen: given.listen,
      ...(cluster !== undefined && { cluster: { listen: cluster, routes: routes.split(",").filter(Boolean) } })
    }).pipe(
      Effect.mapError(
        ({ why, next }) => new Problem({ code: "cannot-start", message: why, ...(next !== undefined && { next }) })
      )
    )
    yield* write(config)
  })
).pipe(Command.withDescription("Print the configuration of a NATS server that trusts this installation"))
