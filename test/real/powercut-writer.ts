/** The process whose power is cut: appends to a SQLite journal without a pause and prints what is acknowledged. */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { layer } from "../../adapters/sqlite/journal.ts"
import { Journal } from "../../runtime/ports/journal.ts"

/** Old entries are truncated, so that deletion and reuse of pages are under way as well when the power goes. */
const keptAppends = 2_000
const shards = 4

const [directory = "", durability = "sync"] = process.argv.slice(2)

const entry = (shard: number, version: number) => ({
  kind: "account",
  id: `shard-${shard}`,
  version,
  cause: `command-${version}`,
  caller: "writer",
  at: version,
  due: 0,
  events: JSON.stringify(["x".repeat(version % 700)]),
  reply: "{}"
})

const shardLoad = Effect.fnUntraced(function* (journal: Journal["Service"], shard: number) {
  const log = yield* journal.claim(shard, "writer")
  const places: Array<number> = []
  for (let version = 1; ; version++) {
    const [position = 0] = yield* Effect.flatten(log.append([entry(shard, version)]))
    process.stdout.write(`${shard} ${version}\n`)
    places.push(position)
    if (places.length < 2 * keptAppends) continue
    places.splice(0, keptAppends)
    yield* journal.truncate(shard, places[0] ?? 0)
  }
})

const program = Effect.gen(function* () {
  const journal = Context.get(
    yield* Layer.build(
      layer({ durability: durability === "process" ? "process" : "sync", file: join(directory, "journal.db") })
    ),
    Journal
  )
  const all = Array.from({ length: shards }, (_, shard) => shardLoad(journal, shard))
  yield* Effect.all(all, { concurrency: "unbounded" })
})

await Effect.runPromise(Effect.scoped(program))
