/** Real servers for tests: where they are, and scoped effects that start them on the loopback and end them again. */
import { existsSync, mkdirSync, statfsSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { delimiter, join } from "node:path"
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import { Effect, type Scope } from "effect"
import { answers, type Child, directory, freePorts, launched, ServerFailed } from "./child.ts"

export type ServerName = "nats" | "nats-floor" | "moto" | "versitygw"

const places: Record<ServerName, { readonly files: ReadonlyArray<string>; readonly program?: string }> = {
  nats: {
    files: ["nats/nats-server", "nats/usr/sbin/nats-server", "nats/usr/bin/nats-server"],
    program: "nats-server"
  },
  "nats-floor": { files: ["nats-floor/nats-server", "nats-floor/usr/sbin/nats-server"] },
  moto: { files: ["moto/moto_server"] },
  versitygw: { files: ["versitygw/versitygw"], program: "versitygw" }
}

const home = (): string =>
  process.env["ARTIFACTS_TEST_SERVERS"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "artifacts-test-servers")

/** The server's executable, where `test/real/servers` put it or on the path. */
export const find = (name: ServerName): string | undefined => {
  const { files, program } = places[name]
  const onPath =
    program === undefined ? [] : (process.env["PATH"] ?? "").split(delimiter).map((at) => join(at, program))
  return [...files.map((file) => join(home(), file)), ...onPath].find((at) => existsSync(at))
}

const told = new Set<string>()

/** Says, once for each test file, what is not run and why; where servers are required it is a failure instead. */
export const skipped = (file: string, why: string): void => {
  if (process.env["ARTIFACTS_REQUIRE_SERVERS"] === "1") throw new Error(`${file} may not be skipped: ${why}`)
  if (told.has(file)) return
  told.add(file)
  process.stderr.write(`skipped in ${file}: ${why}\n`)
}

/** For `describe.skipIf(!have(...))`: whether all of these servers are here, and the line that says which are not. */
export const have = (file: string, ...names: ReadonlyArray<ServerName>): boolean => {
  const lacking = names.filter((name) => find(name) === undefined)
  if (lacking.length > 0) skipped(file, `no ${lacking.join(", ")}; test/real/servers brings them`)
  return lacking.length === 0
}

const located = (name: ServerName): Effect.Effect<string, ServerFailed> => {
  const at = find(name)
  return at === undefined
    ? Effect.fail(new ServerFailed({ server: name, why: "it is not here; test/real/servers brings it" }))
    : Effect.succeed(at)
}

export interface NatsOptions {
  readonly which?: "nats" | "nats-floor"
  /** JetStream is on unless this says otherwise. */
  readonly jetstream?: boolean
  /** `always` writes to disk before it acknowledges; `default` is the server's own two minutes. */
  readonly sync?: "always" | "default"
  /** Where streams are kept; without it, in a directory that goes with the scope. */
  readonly store?: string
  /** More lines for the configuration file, such as `operator:` and `resolver_preload`. */
  readonly config?: string
}

export interface NatsServer extends Child {
  readonly url: string
  readonly port: number
  readonly monitor: string
  readonly store: string
}

interface Member {
  readonly index: number
  readonly ports: ReadonlyArray<number>
  readonly routes: ReadonlyArray<number>
}

const natsConfig = (member: Member, store: string, options: NatsOptions): string => {
  const [client, monitor, route] = member.ports
  const lines = [`server_name: n${member.index}`, `listen: "127.0.0.1:${client}"`, `http: "127.0.0.1:${monitor}"`]
  if (options.jetstream !== false) {
    const sync = options.sync === "default" ? "" : "  sync_interval: always\n"
    lines.push(`jetstream {\n  store_dir: ${JSON.stringify(store)}\n${sync}}`)
  }
  if (member.routes.length > 1) {
    const routes = member.routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ")
    lines.push(
      `cluster {\n  name: test\n  listen: "127.0.0.1:${route}"\n  no_advertise: true\n  routes: [${routes}]\n}`
    )
  }
  return `${[...lines, options.config ?? ""].join("\n")}\n`
}

const natsMember = Effect.fnUntraced(function* (member: Member, options: NatsOptions) {
  const command = yield* located(options.which ?? "nats")
  const own = yield* directory("nats")
  const store = options.store === undefined ? own : join(options.store, `n${member.index}`)
  mkdirSync(store, { recursive: true })
  const file = join(own, "nats.conf")
  writeFileSync(file, natsConfig(member, store, options))
  const [port = 0, monitorPort] = member.ports
  const monitor = `http://127.0.0.1:${monitorPort}`
  // Without JetStream there is nothing to recover, and the question about it would be answered with an error.
  const health = options.jetstream === false ? `${monitor}/varz` : `${monitor}/healthz?js-server-only=true`
  const child = yield* launched({
    name: `nats-server n${member.index}`,
    command,
    args: ["-c", file],
    log: join(own, "nats.log"),
    ready: () => answers(health)
  })
  return { ...child, url: `nats://127.0.0.1:${port}`, port, monitor, store } satisfies NatsServer
})

/** One nats-server, ready. */
export const nats = (options: NatsOptions = {}): Effect.Effect<NatsServer, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* natsMember({ index: 1, ports: yield* freePorts(2), routes: [] }, options)
    yield* server.ready
    return server
  })

export interface NatsCluster {
  readonly servers: ReadonlyArray<NatsServer>
  /** Any one of them will do: a client is given all. */
  readonly urls: ReadonlyArray<string>
}

/**
 * Asks the members until they agree who leads JetStream, and the leader sees all the others: before that it may find no
 * place for a stream.
 */
const elected = (servers: ReadonlyArray<NatsServer>): Effect.Effect<void, ServerFailed> =>
  Effect.tryPromise({
    try: async () => {
      let seen: ReadonlyArray<Meta | undefined> = []
      for (let attempt = 0; attempt < 400; attempt++) {
        seen = await Promise.all(servers.map(metaSeenBy))
        const leader = seen[0]?.leader
        const isAgreed = leader !== undefined && seen.every((meta) => meta?.leader === leader)
        if (isAgreed && seen.some((meta) => meta?.followers === servers.length - 1)) return
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      throw new Error(`no leader that sees all the others after 40 s, but ${JSON.stringify(seen)}`)
    },
    catch: (cause) => new ServerFailed({ server: "nats cluster", why: String(cause) })
  })

interface Meta {
  readonly leader: string | undefined
  /** Those that are there and have caught up; told by the leader alone. */
  readonly followers: number
}

const metaSeenBy = async (server: NatsServer): Promise<Meta | undefined> => {
  try {
    const answer = await fetch(`${server.monitor}/jsz`, { signal: AbortSignal.timeout(1000) })
    const { meta_cluster: meta } = (await answer.json()) as {
      meta_cluster?: { leader?: string; replicas?: ReadonlyArray<{ current?: boolean; offline?: boolean }> }
    }
    const followers = (meta?.replicas ?? []).filter(({ current, offline }) => current === true && offline !== true)
    return { leader: meta?.leader || undefined, followers: followers.length }
  } catch {
    return undefined
  }
}

/** Three nats-servers that replicate JetStream among them, with a leader elected. */
const formed = (options: NatsOptions): Effect.Effect<NatsCluster, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const ports = yield* freePorts(9)
    const routes = ports.slice(6)
    const servers: Array<NatsServer> = []
    for (let index = 0; index < 3; index++) {
      const own = [ports[index * 2] ?? 0, ports[index * 2 + 1] ?? 0, routes[index] ?? 0]
      servers.push(yield* natsMember({ index: index + 1, ports: own, routes }, options))
    }
    yield* Effect.forEach(servers, (server) => server.ready, { concurrency: "unbounded" })
    if (options.jetstream !== false) yield* elected(servers)
    return { servers, urls: servers.map((server) => server.url) }
  })

/** Old servers that all begin at the same moment sometimes never find each other: then three others are begun. */
export const natsCluster = (options: NatsOptions = {}): Effect.Effect<NatsCluster, ServerFailed, Scope.Scope> =>
  Effect.retry(formed(options), { times: 2 })

export interface S3Server extends Child {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** The bucket as the objects adapter takes it. Credentials are not in it. */
  readonly url: string
}

const credentials = { accessKeyId: "test-access", secretAccessKey: "test-secret-of-no-value" }

const createBucket = (endpoint: string, bucket: string): Effect.Effect<void, ServerFailed> =>
  Effect.tryPromise({
    try: async () => {
      const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials })
      try {
        await client.send(new CreateBucketCommand({ Bucket: bucket }))
      } finally {
        client.destroy()
      }
    },
    catch: (cause) => new ServerFailed({ server: endpoint, why: `bucket ${bucket}: ${String(cause)}` })
  })

const reached = async (endpoint: string): Promise<boolean> => {
  try {
    await (await fetch(endpoint, { signal: AbortSignal.timeout(1000) })).arrayBuffer()
    return true
  } catch {
    return false
  }
}

const tmpfs = 0x01021994

const argsOf = (which: "moto" | "versitygw", port: number, own: string): ReadonlyArray<string> => {
  if (which === "moto") return ["-H", "127.0.0.1", "-p", String(port)]
  const kept = join(own, "kept")
  mkdirSync(kept)
  const flags = ["--port", `127.0.0.1:${port}`, "--quiet"]
  // It keeps what it knows of an object in the file's own attributes, at once with it; an older tmpfs has none.
  if (statfsSync(own).type !== tmpfs) return [...flags, "posix", kept]
  const side = join(own, "sidecar")
  mkdirSync(side)
  return [...flags, "posix", "--sidecar", side, kept]
}

/** An S3 server with one empty bucket. moto forgets all when it stops; versitygw keeps it in its directory. */
export const s3 = (which: "moto" | "versitygw"): Effect.Effect<S3Server, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const command = yield* located(which)
    const own = yield* directory(which)
    const [port = 0] = yield* freePorts(1)
    const endpoint = `http://127.0.0.1:${port}`
    const child = yield* launched({
      name: which,
      command,
      args: argsOf(which, port, own),
      env: { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey },
      log: join(own, `${which}.log`),
      ready: () => reached(endpoint)
    })
    yield* child.ready
    const bucket = "artifacts"
    yield* createBucket(endpoint, bucket)
    const query = new URLSearchParams({ endpoint, region: "us-east-1", pathStyle: "true" })
    return { ...child, ...credentials, endpoint, bucket, url: `s3://${bucket}?${query}` } satisfies S3Server
  })
