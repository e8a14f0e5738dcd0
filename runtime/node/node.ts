/** A node, put together: the only place where kinds, ports, placement, HTTP and the data directory meet. */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { accountDecider } from "../../actors/account/account.ts"
import { mountSessionDecider } from "../../actors/mount-session/session.ts"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { type Kind, kindOf } from "../actor/kind.ts"
import { settings } from "../actor/owned.ts"
import { type Client, client } from "../client.ts"
import { gateway } from "../http/gateway.ts"
import { type About, type Health, health, healthOf } from "../http/health.ts"
import { type Gauge, metrics } from "../http/metrics.ts"
import { type Route, router } from "../http/router.ts"
import { type CannotServe, type HttpServer, httpServer } from "../http/server.ts"
import { type Issuing, sessions } from "../http/sessions.ts"
import { streamGauges } from "../http/streams/gauges.ts"
import { type KeyCheck, keyCheck } from "../keys.ts"
import { heedful } from "../placement/heedful.ts"
import type { Hosting, Placement } from "../placement/hosting.ts"
import { leased } from "../placement/leased.ts"
import { standalone } from "../placement/standalone.ts"
import { Live } from "../streams/live.ts"
import { type DataDir, openDataDir } from "./datadir.ts"
import { Doorkeeper } from "./doorkeeper.ts"
import { CannotStart } from "./fault.ts"
import { found } from "./founding.ts"
import { type Ground, ownGround } from "./ground.ts"
import { signer } from "./issuing.ts"
import { listenAt } from "./listen.ts"
import { homeOf } from "./lock.ts"
import { leaveNotice } from "./notice.ts"
import type { UpOptions } from "./options.ts"
import { revoking } from "./revoking.ts"
import { streams } from "./streams.ts"
import { trimming } from "./trim.ts"
import { tellWhere } from "./where.ts"

/** A node whose shards are not all there after this long says so, and goes on trying. */
const readyMs = 20_000

export interface Running {
  readonly data: DataDir
  readonly http: HttpServer
  readonly health: () => Health
  readonly isReady: boolean
}

const kinds = (): ReadonlyMap<string, Kind> =>
  new Map(
    [kindOf(accountDecider), kindOf(mountSessionDecider), kindOf(partitionDecider), kindOf(workspaceDecider)].map(
      (kind) => [kind.name, kind]
    )
  )

const groundOf = (
  options: UpOptions,
  data: DataDir,
  doorkeeper: Doorkeeper
): Effect.Effect<Ground, CannotStart, Scope.Scope> =>
  options.natsUrl === undefined
    ? ownGround(options, data, { issuers: [data.secrets.account.publicKey], token: doorkeeper.admit })
    : Effect.flatMap(
        Effect.promise(() => import("./cluster.ts")),
        ({ clusterGround }) => clusterGround(options, data, options.natsUrl as string)
      )

const unusable = (ground: Ground) => (error: { readonly why: string }) =>
  new CannotStart({ why: `the bus ${ground.busUrl} cannot be used: ${error.why}` })

/** Where others may die that are asked, nobody waits for their answers any longer than need be. */
const impatient = (ground: Ground): Effect.Effect<Ground, CannotStart, Scope.Scope> =>
  ground.registry === undefined
    ? Effect.succeed(ground)
    : heedful(ground.bus).pipe(
        Effect.map((bus) => ({ ...ground, bus })),
        Effect.mapError(unusable(ground))
      )

const placementOf = (ground: Ground, hosting: Hosting): Effect.Effect<Placement, never, Scope.Scope> =>
  ground.registry === undefined
    ? standalone(ground, hosting)
    : leased({ ...ground, registry: ground.registry }, hosting)

const aboutOf = (options: UpOptions, ground: Ground): About => ({
  version: options.program,
  node: options.node,
  pid: process.pid,
  startedAt: Date.now(),
  mode: ground.mode,
  durability: ground.journal.durability,
  bus: ground.busUrl,
  journal: ground.journalPlace,
  objects: ground.objects.place,
  shards: ground.shards
})

const leases = (ground: Ground, placement: Placement): Gauge => ({
  name: "artifacts_leases",
  help: "Shards that are leased to this node; a node on its own needs no lease",
  type: "gauge",
  value: ground.registry === undefined ? 0 : placement.held().length
})

const settingsOf = ({ idleMs = settings.idleMs }: UpOptions, shards: number) => ({ ...settings, shards, idleMs })

/** Every path that the node serves. */
const routes = Effect.fnUntraced(function* (parts: {
  readonly ground: Ground
  readonly placement: Placement
  readonly about: About
  readonly asking: Client
  readonly keys: KeyCheck
  readonly data: DataDir
  readonly options: UpOptions
  readonly live: Live
}) {
  const { ground, placement, about, asking, keys, data, options, live } = parts
  const issuing: Issuing = {
    client: asking,
    keys,
    nats: ground.busUrl,
    shards: data.shards,
    objects: options.objects ?? join(options.data, "objects"),
    sign: signer(data.secrets.account, data.shards)
  }
  const all: ReadonlyArray<Route> = [
    health(about, placement),
    yield* metrics(placement, () => [leases(ground, placement), ...streamGauges(live), ...ground.gauges()]),
    ...gateway(asking, keys),
    sessions(issuing),
    ...(yield* streams(parts))
  ]
  return all
})

/** Serves until the scope closes: the last that came up goes down first. */
export const node = Effect.fnUntraced(function* (options: UpOptions) {
  const opened = yield* openDataDir(options.data, options.program, options.shards)
  yield* Effect.forkScoped(trimming)
  const doorkeeper = new Doorkeeper()
  const ground = yield* Effect.flatMap(groundOf(options, opened, doorkeeper), impatient)
  const { shards } = ground
  // A new node has taken the number from its cluster.
  const data = { ...opened, shards }
  yield* tellWhere(ground.bus, shards).pipe(Effect.mapError(unusable(ground)))
  const asking = client(ground.bus, shards)
  const keys = keyCheck(asking)
  doorkeeper.keys = keys
  yield* revoking(ground.bus, keys, (caller) => ground.drop?.(caller)).pipe(Effect.mapError(unusable(ground)))
  const live = new Live((work) => void setImmediate(work))
  const { heard } = live
  // The directory is locked: while this process lives, no other one is at home in it.
  const home = homeOf(data.path)
  const own = { node: options.node, ...(home !== undefined && { home }) }
  const hosting = { ...own, kinds: kinds(), settings: settingsOf(options, shards), client: asking, heard }
  const placement = yield* placementOf(ground, hosting)
  const about = aboutOf(options, ground)
  const route = router(yield* routes({ ground, placement, about, asking, keys, data, options, live }))
  const { host } = options.http
  const http = yield* listenAt<HttpServer, CannotServe>("HTTP", "--http", options.http, (port) =>
    httpServer({ host, port }, route)
  )
  const { node: name, program: version } = options
  const notice = { pid: process.pid, node: name, version, nats: ground.busUrl, http: http.url, shards }
  yield* leaveNotice(options.data, notice)
  const isReady = yield* placement.ready.pipe(
    Effect.as(true),
    Effect.timeoutOrElse({ duration: readyMs, orElse: () => Effect.succeed(false) })
  )
  if (!isReady) yield* Effect.logError("not every shard is served yet; the lines above say why")
  yield* found(asking, options.data).pipe(
    Effect.catch((error) => Effect.logError("the organisation local could not be looked after", error))
  )
  const running: Running = { data, http, health: () => healthOf(about, placement), isReady }
  return running
})
