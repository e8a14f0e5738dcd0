/** What the SQLite journal promises beyond the port: about its file, its length and those who read beside it. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Context, Effect, Layer, type Scope } from "effect"
import { describe, expect, it, vi } from "vitest"
import { walBytesMax } from "../../adapters/sqlite/checkpoint.ts"
import { layer } from "../../adapters/sqlite/journal.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { entriesOf, entryOf, put, readAll, versions } from "./journal.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "artifacts-sqlite-"))),
  (made) => Effect.sync(() => rmSync(made, { force: true, recursive: true }))
)
const open = (file: string, durability: "sync" | "process" = "sync") =>
  Effect.map(Layer.build(layer({ durability, file })), (context) => Context.get(context, Journal))

const check = (what: string, run: (file: string) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it(what, () => Effect.runPromise(Effect.scoped(Effect.flatMap(directory, (made) => run(join(made, "journal.db"))))))

const altered = (file: string, sql: string) =>
  Effect.sync(() => {
    const database = new DatabaseSync(file)
    database.exec(sql)
    database.close()
  })

/** How often this process has committed to any database from now on. */
const counted = Effect.acquireRelease(
  Effect.sync(() => {
    const commits = { count: 0 }
    const prepare = DatabaseSync.prototype.prepare
    const spy = vi.spyOn(DatabaseSync.prototype, "prepare").mockImplementation(function (this: DatabaseSync, sql) {
      const statement = prepare.call(this, sql)
      if (sql !== "COMMIT") return statement
      const run = statement.run.bind(statement)
      statement.run = () => {
        commits.count++
        return run()
      }
      return statement
    })
    return { commits, spy }
  }),
  ({ spy }) => Effect.sync(() => spy.mockRestore())
).pipe(Effect.map(({ commits }) => commits))

const mebibyte = 1024 * 1024

describe("the file of the sqlite journal", () => {
  check("is refused when a newer version wrote it", (file) =>
    Effect.gen(function* () {
      yield* Effect.scoped(open(file))
      yield* altered(file, "PRAGMA user_version = 2")
      const failure = yield* Effect.flip(open(file))
      expect(failure).toMatchObject({ _tag: "Unavailable", log: file })
      expect(failure.why).toContain("written by a newer version")
    })
  )

  check("is refused when it is another program's database, and left as it was", (file) =>
    Effect.gen(function* () {
      yield* altered(file, "CREATE TABLE theirs (a)")
      const before = readFileSync(file)
      const failure = yield* Effect.flip(open(file))
      expect(failure).toMatchObject({ log: file, why: "the file is another program's database" })
      expect(readFileSync(file).equals(before)).toBe(true)
    })
  )

  check("is named when it is no database at all", (file) =>
    Effect.gen(function* () {
      writeFileSync(file, "x".repeat(8192))
      expect(yield* Effect.flip(open(file))).toMatchObject({ _tag: "Corrupt", log: file })
    })
  )

  check("is named when its pages are overwritten", (file) =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const journal = yield* open(file)
          const log = yield* journal.claim(0, "one")
          for (let n = 1; n <= 50; n++) yield* put(log, [entryOf(n, { events: JSON.stringify("x".repeat(3000)) })])
        })
      )
      const bytes = readFileSync(file)
      bytes.fill(0xa5, 4096 * 2)
      writeFileSync(file, bytes)
      const failure = yield* Effect.flip(
        Effect.gen(function* () {
          const journal = yield* open(file)
          yield* journal.claim(0, "two")
          yield* readAll(journal, 0)
        })
      )
      expect(failure).toMatchObject({ _tag: "Corrupt" })
      expect(JSON.stringify(failure)).toContain("journal.db")
    })
  )

  check("does not grow while what is written is truncated, and neither does its write-ahead log", (file) =>
    Effect.gen(function* () {
      const journal = yield* open(file, "process")
      const log = yield* journal.claim(0, "one")
      const entry = entryOf(1, { events: JSON.stringify("x".repeat(500_000)) })
      for (let n = 0; n < 160; n++) {
        const [position = 0] = yield* put(log, [entry])
        yield* journal.truncate(0, position)
      }
      expect(statSync(file).size).toBeLessThan(24 * mebibyte)
      expect(statSync(`${file}-wal`).size).toBeLessThan(6 * walBytesMax)
    })
  )

  check("commits what waits over all shards together", (file) =>
    Effect.gen(function* () {
      const commits = yield* counted
      const journal = yield* open(file)
      const logs = yield* Effect.forEach(
        Array.from({ length: 32 }, (_, shard) => shard),
        (shard) => journal.claim(shard, "one")
      )
      const rounds = 40
      const before = commits.count
      for (let n = 1; n <= rounds; n++) {
        yield* Effect.forEach(logs, (log) => put(log, entriesOf(n, 1)), { concurrency: "unbounded" })
      }
      // One flush a shard would be 1,280 of them.
      expect(commits.count - before).toBeLessThanOrEqual(2 * rounds)
      for (let shard = 0; shard < 32; shard++) expect(versions(yield* readAll(journal, shard))).toHaveLength(rounds)
    })
  )

  check("answers appends and claims after its end with its name", (file) =>
    Effect.gen(function* () {
      const [journal, log] = yield* Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* open(file)
          return [opened, yield* opened.claim(0, "one")] as const
        })
      )
      expect(yield* Effect.flip(put(log, entriesOf(1, 1)))).toMatchObject({ _tag: "Unavailable", log: file })
      expect(yield* Effect.flip(journal.claim(0, "two"))).toMatchObject({ _tag: "Unavailable" })
    })
  )
})
