/** The journals where their disks matter: a full one under SQLite, and what a NATS server tells of its own. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { syncPolicyOf } from "../../adapters/jetstream/server.ts"
import { layer } from "../../adapters/sqlite/journal.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { entriesOf, entryOf, put, readAll, versions } from "../contract/journal.ts"
import { have, nats, skipped } from "./servers.ts"

const file = "test/real/journal.disk.test.ts"
const isRoot = process.getuid?.() === 0
if (!isRoot) skipped(file, "a full disk is a small one that is mounted, and mounting needs root")

const run = (test: Effect.Effect<void, unknown, Scope.Scope>) => Effect.runPromise(Effect.scoped(test))

const smallDisk = (megabytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const at = mkdtempSync(join(tmpdir(), "artifacts-full-"))
      const disk = join(at, "disk")
      mkdirSync(disk)
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", disk])
      return { at, disk }
    }),
    ({ at, disk }) =>
      Effect.sync(() => {
        execFileSync("umount", [disk])
        rmSync(at, { force: true, recursive: true })
      })
  )

describe.skipIf(!isRoot)("sqlite on a full disk", () => {
  it("says so, writes nothing of what it refused, and goes on when there is room again", () =>
    run(
      Effect.gen(function* () {
        const { disk } = yield* smallDisk(24)
        const build = Layer.build(layer({ file: join(disk, "journal.db") }))
        const journal = Context.get(yield* build, Journal)
        const log = yield* journal.claim(0, "one")
        yield* put(log, entriesOf(1, 10))
        const ballast = join(disk, "ballast")
        writeFileSync(ballast, Buffer.alloc(12 * 1024 * 1024))
        let written = 10
        const large = () => [
          entryOf(written + 1, { events: JSON.stringify("x".repeat(900_000)) }),
          entryOf(written + 2)
        ]
        const failure = yield* Effect.flip(
          Effect.gen(function* () {
            for (;;) {
              yield* put(log, large())
              written += 2
            }
          })
        )
        expect(failure).toMatchObject({ _tag: "Unavailable", why: expect.stringMatching(/full/) })
        expect(yield* Effect.flip(put(log, entriesOf(999, 1)))).toMatchObject({ _tag: "Unavailable" })
        rmSync(ballast)
        const again = yield* journal.claim(0, "two")
        yield* put(again, entriesOf(written + 1, 5))
        const all = entriesOf(1, written + 5).map((entry) => entry.version)
        expect(versions(yield* readAll(journal, 0))).toEqual(all)
      })
    ))
})

const accounts = `
accounts {
  SYS { users: [{ user: system, password: test }] }
  APP { jetstream: enabled, users: [{ user: app, password: test }] }
}
system_account: SYS
`

describe.skipIf(!have(file, "nats"))("what a NATS server says of its disk", () => {
  it("is heard by the system account, and not known to anybody else", () =>
    run(
      Effect.gen(function* () {
        for (const sync of ["always", "default"] as const) {
          const server = yield* nats({ config: accounts, sync })
          const policyFor = (user: string) =>
            Effect.promise(async () => {
              const connection = await connect({ pass: "test", servers: server.url, user })
              const policy = await syncPolicyOf(connection)
              await connection.close()
              return policy
            })
          expect(yield* policyFor("system")).toEqual({ always: sync === "always", known: true })
          expect(yield* policyFor("app")).toEqual({ known: false })
        }
      })
    ))
})
