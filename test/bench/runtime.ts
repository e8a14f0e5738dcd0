/** The actor runtime in figures: in memory, over broker and SQLite from another process, replay, and JetStream R3. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { headers } from "@nats-io/nats-core"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import "effect/schema/SchemaJITCompiler/enable"
import type { Decider } from "../../actors/decider.ts"
import { layer as jetstream } from "../../adapters/jetstream/journal.ts"
import { layer as memoryBus } from "../../adapters/memory/bus.ts"
import { layer as memoryJournal } from "../../adapters/memory/journal.ts"
import { layer as memoryObjects } from "../../adapters/memory/objects.ts"
import { broker } from "../../adapters/nats/broker/broker.ts"
import { busOver } from "../../adapters/nats/bus.ts"
import { connection } from "../../adapters/nats/connection.ts"
import { layer as sqlite } from "../../adapters/sqlite/journal.ts"
import type { Entry } from "../../messages/entry.ts"
import { protocol } from "../../messages/protocol.ts"
import { shardOf, subjectOf } from "../../messages/subjects.ts"
import { keep } from "../../runtime/actor/keep.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { settings } from "../../runtime/actor/owned.ts"
import { type Serving, serve } from "../../runtime/actor/owner.ts"
import { client } from "../../runtime/client.ts"
import { Bus } from "../../runtime/ports/bus.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { Snapshots } from "../../runtime/ports/snapshots.ts"
import { layer as snapshots } from "../../runtime/snapshots.ts"
import { directory } from "../real/child.ts"
import { find, natsCluster } from "../real/servers.ts"
import { plainStream } from "./journal.ts"

const counter = protocol({
  kind: "counter",
  commands: { Add: { input: Schema.Struct({ by: Schema.Natural }), reply: Schema.Struct({ sum: Schema.Natural }) } },
  queries: {},
  refusal: Schema.TaggedUnion({ Never: {} }),
  event: Schema.TaggedUnion({ Added: { by: Schema.Natural } })
})

const counterDecider: Decider<{ sum: number }, typeof counter> = {
  protocol: counter,
  snapshotVersion: 1,
  initial: () => ({ sum: 0 }),
  decide: (state, command) =>
    command._tag === "Add"
      ? { events: [{ _tag: "Added", by: command.by }], reply: { sum: state.sum + command.by } }
      : { events: [], reply: {} },
  evolve: (state, event) => {
    state.sum += event.by
    return state
  },
  answer: () => ({ refused: { _tag: "Never" } }),
  save: (state) => Buffer.from(JSON.stringify(state)),
  load: (bytes) => JSON.parse(Buffer.from(bytes).toString())
}

const kinds = new Map([["counter", kindOf(counterDecider)]])
const shards = 1

const print = (line: object): void => console.log(JSON.stringify(line))

const round = (value: number): number => Number(value.toPrecision(4))

const grounds = snapshots().pipe(Layer.provide(memoryObjects))

/** Serves one shard over these ports for as long as the scope lasts. */
const serving = (journal: Journal["Service"], bus: Bus["Service"], truncates: boolean) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(grounds)
    const ports = { journal, bus, snapshots: Context.get(context, Snapshots) }
    const hosting = {
      shard: 0,
      node: "bench",
      kinds,
      settings: { ...settings, shards, ...(truncates ? {} : { logBytesMax: 1e12, logEntriesMax: 1e12 }) },
      client: client(bus, shards),
      mayAnswer: () => true
    }
    return { ports, hosting }
  })

/** Keeps this many commands waiting, and gives commands per second. */
const load = (served: Serving, inFlight: number, count: number): Promise<number> =>
  new Promise((resolve, reject) => {
    let sent = 0
    let done = 0
    const started = performance.now()
    const send = (): void => {
      const index = sent++
      served.offer({
        verb: "do",
        kind: "counter",
        id: `c${index % 16}`,
        caller: "bench",
        name: "Add",
        body: '{"by":1}',
        commandId: `${started}:${index}`,
        deadline: 0,
        answer: (text) => {
          if (!text.startsWith('{"ok"')) reject(new Error(text))
          done += 1
          if (sent < count) send()
          if (done === count) resolve((count / (performance.now() - started)) * 1000)
        }
      })
    }
    for (let lane = 0; lane < inFlight; lane++) send()
  })

const best = async (times: number, run: () => Promise<number>): Promise<number> => {
  let top = 0
  for (let time = 0; time < times; time++) top = Math.max(top, await run())
  return top
}

const inMemory = Effect.gen(function* () {
  const journal = Context.get(yield* Layer.build(memoryJournal()), Journal)
  const bus = Context.get(yield* Layer.build(memoryBus), Bus)
  const { ports, hosting } = yield* serving(journal, bus, true)
  const served = yield* serve(ports, hosting)
  for (const inFlight of [1, 64, 1024]) {
    const count = inFlight === 1 ? 30_000 : 300_000
    const cpu = process.cpuUsage()
    const ours = yield* Effect.promise(() => best(3, () => load(served, inFlight, count)))
    const { user, system } = process.cpuUsage(cpu)
    const cpuUs = (user + system) / (3 * count)
    print({
      bench: `actor command in memory, ${inFlight} in flight`,
      unit: "commands/s",
      ours: Math.round(ours),
      baseline: "100,000/s, wanted",
      theirs: 100_000,
      ratio: round(ours / 100_000),
      cpuUsPerCommand: round(cpuUs)
    })
  }
})

const small = (version: number): Entry => ({
  kind: "counter",
  id: `c${version % 16}`,
  version: Math.floor(version / 16) + 1,
  cause: `bench:${version}`,
  caller: "bench",
  at: 1_700_000_000_000 + version,
  due: 0,
  events: '[{"_tag":"Added","by":1}]',
  reply: `{"sum":${version}}`
})

/** From the claim of a long log to every actor being live again. */
const replay = Effect.gen(function* () {
  const folder = yield* directory("bench-replay")
  const journal = Context.get(yield* Layer.build(sqlite({ file: `${folder}/journal.sqlite` })), Journal)
  const bus = Context.get(yield* Layer.build(memoryBus), Bus)
  const log = yield* journal.claim(0, "filler")
  const entries = 1_000_000
  for (let from = 0; from < entries; from += 1000) {
    const batch = Array.from({ length: 1000 }, (_, index) => small(from + index))
    yield* Effect.flatten(log.append(batch))
  }
  const { ports, hosting } = yield* serving(journal, bus, false)
  const started = performance.now()
  const served = yield* serve(ports, hosting)
  const claimed = performance.now()
  yield* Effect.promise(() => load(served, 16, 16))
  const seconds = (performance.now() - started) / 1000
  print({
    bench: `replay of ${entries} small entries (SQLite)`,
    unit: "entries/s",
    ours: Math.round(entries / seconds),
    baseline: "500,000/s, wanted",
    theirs: 500_000,
    ratio: round(entries / seconds / 500_000),
    readSeconds: round((claimed - started) / 1000),
    replaySeconds: round(seconds - (claimed - started) / 1000)
  })
})

// A node of its own process: broker, SQLite and one shard.

const nodeProcess = (durability: "sync" | "process"): Effect.Effect<never, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = yield* directory("bench-node")
    const journal = Context.get(yield* Layer.build(sqlite({ file: `${folder}/journal.sqlite`, durability })), Journal)
    const { url, bus } = yield* broker({ port: 0 })
    const { ports, hosting } = yield* serving(journal, bus, true)
    yield* Effect.forkScoped(keep(ports, { ...hosting, changed: (served) => served !== undefined && console.log(url) }))
    return yield* Effect.never
  })

const overBroker = (durability: "sync" | "process") =>
  Effect.gen(function* () {
    const node = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [import.meta.filename, "node", durability], { stdio: ["ignore", "pipe", "inherit"] })
      ),
      (child) => Effect.sync(() => child.kill("SIGTERM"))
    )
    const [url] = yield* Effect.promise(() => once(createInterface({ input: node.stdout }), "line"))
    const asking = yield* busOver(yield* connection({ servers: String(url), name: "bench" }))
    const lane = async (count: number, name: string, times: Array<number>): Promise<void> => {
      for (let index = 0; index < count; index++) {
        const id = `c${index % 16}`
        const subject = subjectOf({
          verb: "do",
          kind: "counter",
          shard: shardOf("counter", id, shards),
          id,
          caller: "bench",
          name: "Add"
        })
        const from = performance.now()
        const reply = await Effect.runPromise(asking.request(subject, { body: '{"by":1}', timeoutMs: 10_000 }))
        times.push(performance.now() - from)
        const text = Buffer.from(reply.body).toString()
        if (!text.startsWith('{"ok"')) throw new Error(`${name}: ${text}`)
      }
    }
    const run = async (inFlight: number, count: number) => {
      const times: Array<number> = []
      const started = performance.now()
      const lanes = Array.from({ length: inFlight }, (_, index) => lane(Math.ceil(count / inFlight), `${index}`, times))
      await Promise.all(lanes)
      const perSecond = times.length / ((performance.now() - started) / 1000)
      const sorted = times.toSorted((a, b) => a - b)
      return { perSecond, p50: sorted[sorted.length >> 1] ?? 0, p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 }
    }
    yield* Effect.promise(() => run(64, 20_000))
    const one = yield* Effect.promise(() => run(1, 5_000))
    print({
      bench: `command over broker and SQLite (${durability}), 1 in flight`,
      unit: "p50 µs",
      ours: Math.round(one.p50 * 1000),
      baseline: "250 µs, wanted",
      theirs: 250,
      ratio: round(one.p50 / 0.25),
      p99Us: Math.round(one.p99 * 1000),
      perSecond: Math.round(one.perSecond)
    })
    const many = yield* Effect.promise(() => run(64, 100_000))
    print({
      bench: `command over broker and SQLite (${durability}), 64 in flight`,
      unit: "commands/s",
      ours: Math.round(many.perSecond),
      baseline: "15,000/s, wanted",
      theirs: 15_000,
      ratio: round(many.perSecond / 15_000),
      p50Us: Math.round(many.p50 * 1000),
      p99Us: Math.round(many.p99 * 1000)
    })
  })

/** The same journal for the same runtime, but every entry is a message of its own, all of them under way at once. */
const unpacked = (journal: Journal["Service"]): Journal["Service"] => ({
  ...journal,
  claim: (shard, owner) =>
    Effect.map(journal.claim(shard, owner), (log) => ({
      ...log,
      append: (entries) =>
        Effect.gen(function* () {
          const acknowledged = yield* Effect.forEach(entries, (entry) => log.append([entry]))
          return Effect.map(Effect.all(acknowledged), (positions) => positions.flat())
        })
    }))
})

/** 64 commands waiting on one shard over R3, beside the same and bare publishes with one message a command. */
const replicated = Effect.gen(function* () {
  if (find("nats") === undefined) {
    print({ bench: "commands over JetStream R3", skipped: "there is no nats-server; test/real/servers brings it" })
    return
  }
  const { urls } = yield* natsCluster({ sync: "always" })
  const nats = yield* connection({ servers: [...urls], name: "bench" })
  const bus = Context.get(yield* Layer.build(memoryBus), Bus)
  const commands = (shard: number, made: (journal: Journal["Service"]) => Journal["Service"], window?: number) =>
    Effect.gen(function* () {
      const options = { connection: { servers: [...urls] }, replicas: 3, ...(window === undefined ? {} : { window }) }
      const journal = Context.get(yield* Layer.build(jetstream({ ...options, replicas: 3 })), Journal)
      const { ports, hosting } = yield* serving(made(journal), bus, false)
      const served = yield* serve(ports, { ...hosting, shard })
      yield* Effect.promise(() => load(served, 64, 5_000))
      return yield* Effect.promise(() => best(3, () => load(served, 64, 20_000)))
    }).pipe(Effect.scoped)
  const ours = yield* commands(0, (journal) => journal)
  const single = yield* commands(1, unpacked, 64)
  const raw = (isFenced: boolean) =>
    Effect.promise(() => best(3, () => rawPublishes(nats, { inFlight: 64, count: 10_000, isFenced })))
  const official = Effect.promise(() => plainStream(nats, 3))
  const baselines = [
    { baseline: "the same runtime with one message per command", theirs: single },
    { baseline: "the official client, one fenced message per command", theirs: yield* official },
    { baseline: "bare publishes, one fenced message per command", theirs: yield* raw(true) },
    { baseline: "bare publishes, one message per command, without a fence", theirs: yield* raw(false) }
  ]
  for (const { baseline, theirs } of baselines)
    print({
      bench: "commands over JetStream R3 (sync_interval always), 64 in flight",
      unit: "commands/s",
      ours: Math.round(ours),
      baseline,
      theirs: Math.round(theirs),
      ratio: round(ours / theirs)
    })
})

type Connection = Effect.Success<ReturnType<typeof connection>>

/** With the fence, each message expects the sequence of the one before it, which is still under way. */
const rawPublishes = async (
  nats: Connection,
  { inFlight, count, isFenced }: { readonly inFlight: number; readonly count: number; readonly isFenced: boolean }
): Promise<number> => {
  const ask = (subject: string, body: object) =>
    nats.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 10_000 })
  await ask("STREAM.CREATE.RAW", { name: "RAW", subjects: ["raw.>"], num_replicas: 3, storage: "file" })
  const payload = Buffer.alloc(200, "x")
  let sent = 0
  const lane = async (): Promise<void> => {
    while (sent < count) {
      const fence = headers()
      if (isFenced) fence.set("Nats-Expected-Last-Sequence", String(sent))
      sent += 1
      const reply = await nats.request("raw.one", payload, { timeout: 10_000, headers: fence })
      if (reply.string().includes('"error"')) throw new Error(reply.string())
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: inFlight }, lane))
  const perSecond = count / ((performance.now() - started) / 1000)
  await ask("STREAM.DELETE.RAW", {})
  return perSecond
}

const parts: Readonly<Record<string, Effect.Effect<void, unknown, Scope.Scope>>> = {
  memory: inMemory,
  replay,
  embedded: Effect.andThen(overBroker("sync"), overBroker("process")),
  replicated
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const wanted = args.filter((arg) => !arg.startsWith("--"))
  for (const [name, part] of Object.entries(parts))
    if (wanted.length === 0 || wanted.includes(name)) await Effect.runPromise(Effect.scoped(part))
  if (wanted.length === 0 || wanted.includes("broker")) await (await import("./broker.ts")).main()
}

if (import.meta.main && process.argv[2] === "node") {
  const durability = process.argv[3] === "process" ? "process" : "sync"
  process.once("SIGTERM", () => process.exit(0))
  await Effect.runPromise(Effect.scoped(nodeProcess(durability)))
}
