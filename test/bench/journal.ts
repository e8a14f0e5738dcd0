/** How fast journals append and replay, against the plain way of doing the same with the same database or server. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Layer, Stream } from "effect"
import * as JetStream from "../../adapters/jetstream/journal.ts"
import * as Sqlite from "../../adapters/sqlite/journal.ts"
import type { Entry } from "../../messages/entry.ts"
import { type ClaimedLog, Journal } from "../../runtime/ports/journal.ts"
import { find, nats, natsCluster } from "../real/servers.ts"

const commands = 64
const seconds = Number(process.env["BENCH_SECONDS"] ?? 3)

const entryOf = (version: number): Entry => ({
  kind: "account",
  id: `org-${version % 1000}`,
  version,
  cause: `01JABCDEF0123456789-${version}`,
  caller: "operator",
  at: 1_700_000_000_000 + version,
  due: 0,
  events: `[{"_tag":"Deposited","amount":${version},"note":"${"x".repeat(40)}"}]`,
  reply: `{"balance":${version}}`
})

const line = (bench: string, ours: number, baseline: string, theirs: number): void => {
  const ratio = Math.round((ours / theirs) * 100) / 100
  process.stdout.write(
    `${JSON.stringify({ bench, ours: Math.round(ours), baseline, theirs: Math.round(theirs), ratio })}\n`
  )
}

/** Commands that come again as soon as they are answered, behind one writer that packs what has gathered. */
const packed = (log: ClaimedLog, window: number): Effect.Effect<number> =>
  Effect.callback((resume) => {
    const began = performance.now()
    let waiting = commands
    let underWay = 0
    let done = 0
    const turn = (): void => {
      const elapsed = performance.now() - began
      if (elapsed > seconds * 1000) {
        if (underWay === 0) resume(Effect.succeed(done / (elapsed / 1000)))
        return
      }
      while (underWay < window && waiting > 0) {
        const entries = Array.from({ length: waiting }, (_, index) => entryOf(done + index))
        waiting = 0
        underWay += 1
        Effect.runFork(Effect.flatten(log.append(entries))).addObserver((exit) => {
          if (exit._tag === "Failure") throw new Error(`an append failed: ${String(exit.cause)}`)
          underWay -= 1
          done += entries.length
          waiting += entries.length
          turn()
        })
      }
    }
    turn()
  })

const replayed = Effect.fnUntraced(function* (journal: Journal["Service"], shard: number) {
  const began = performance.now()
  let count = 0
  yield* Stream.runForEach(journal.read(shard, 0), (page) =>
    Effect.sync(() => {
      count += page.length
    })
  )
  return { count, rate: count / ((performance.now() - began) / 1000) }
})

const columns = ["kind", "id", "version", "cause", "caller", "at", "due", "events", "reply"] as const

/** One row for each command: committed one by one, and read back as objects. */
const plainTable = (file: string, rows: number) => {
  const database = new DatabaseSync(file)
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE entries (place INTEGER PRIMARY KEY, ${columns.join(", ")})`)
  const insert = database.prepare(
    `INSERT INTO entries (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`
  )
  const add = (version: number) => {
    const entry = entryOf(version)
    insert.run(...columns.map((column) => entry[column]))
  }
  const began = performance.now()
  let done = 0
  while (performance.now() - began < seconds * 1000) add(done++)
  const appends = done / ((performance.now() - began) / 1000)
  database.exec("BEGIN")
  while (done < rows) add(done++)
  database.exec("COMMIT")
  const from = performance.now()
  let read = 0
  for (const _ of database.prepare("SELECT * FROM entries ORDER BY place").iterate()) read += 1
  const replays = read / ((performance.now() - from) / 1000)
  database.close()
  return { appends, replays }
}

const journalOf = (layer: Layer.Layer<Journal, unknown>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, Journal))

const sqlite = Effect.gen(function* () {
  const made = mkdtempSync(join(tmpdir(), "artifacts-bench-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(made, { force: true, recursive: true })))
  const journal = yield* journalOf(Sqlite.layer({ file: join(made, "journal.db") }))
  const ours = yield* packed(yield* journal.claim(0, "bench"), journal.window)
  const { count, rate } = yield* replayed(journal, 0)
  const plain = plainTable(join(made, "plain.db"), Math.min(count, 300_000))
  line(`sqlite: commands/s, ${commands} waiting, sync`, ours, "one transaction for each command", plain.appends)
  line("sqlite: entries/s replayed", rate, "one row for each entry, as objects", plain.replays)
})

const streamName = "PLAIN"

/** One fenced message for each command, with predicted sequences, through the official client. */
export const plainStream = async (connection: NatsConnection, replicas: number) => {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 })
  await manager.streams.add({ name: streamName, num_replicas: replicas, subjects: ["plain"] })
  const client = jetstream(connection)
  const began = performance.now()
  let sent = 0
  const command = async () => {
    while (performance.now() - began < seconds * 1000) {
      const expected = sent++
      await client.publish("plain", JSON.stringify(entryOf(expected)), { expect: { lastSequence: expected } })
    }
  }
  await Promise.all(Array.from({ length: commands }, command))
  return sent / ((performance.now() - began) / 1000)
}

const plainReplay = async (connection: NatsConnection) => {
  const consumer = await jetstream(connection).consumers.get(streamName)
  // In a cluster the first pull of a consumer just made can be lost, which stalls it for half a minute.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const messages = await consumer.consume({ max_messages: 10_000 })
  const began = performance.now()
  let read = 0
  for await (const message of messages) {
    message.json()
    read += 1
    if (message.info.pending === 0) break
  }
  return read / ((performance.now() - began) / 1000)
}

const replicated = (replicas: 1 | 3, servers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const name = replicas === 1 ? "jetstream R1" : "jetstream R3"
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => connect({ servers: [...servers] })),
      (one) => Effect.promise(() => one.close())
    )
    const journal = yield* journalOf(JetStream.layer({ connection: { servers: [...servers] }, replicas }))
    const theirs = yield* Effect.promise(() => plainStream(connection, replicas))
    const ours = yield* packed(yield* journal.claim(0, "bench"), journal.window)
    const sync = "sync_interval always"
    line(`${name}: commands/s, ${commands} waiting, ${sync}`, ours, "one message for each command, pipelined", theirs)
    const { rate } = yield* replayed(journal, 0)
    const plain = yield* Effect.promise(() => plainReplay(connection))
    line(`${name}: entries/s replayed`, rate, "one message for each entry, ordered consumer", plain)
  })

const program = Effect.gen(function* () {
  yield* Effect.scoped(sqlite)
  if (find("nats") === undefined) {
    const skipped = "there is no nats-server; test/real/servers brings it"
    process.stdout.write(`${JSON.stringify({ bench: "jetstream", skipped })}\n`)
    return
  }
  yield* Effect.scoped(Effect.flatMap(nats(), (server) => replicated(1, [server.url])))
  yield* Effect.scoped(Effect.flatMap(natsCluster(), (cluster) => replicated(3, cluster.urls)))
})

export const main = (): Promise<void> => Effect.runPromise(Effect.scoped(program))

if (import.meta.main) await main()
