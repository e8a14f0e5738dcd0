/** The journals that need no server keep the promises of the port. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect } from "effect"
import * as Memory from "../../adapters/memory/journal.ts"
import * as Sqlite from "../../adapters/sqlite/journal.ts"
import type { Position } from "../../messages/entry.ts"
import { indexOf, sequenceOf } from "../../runtime/journal/frame.ts"
import { type Bench, journalContract } from "./journal.ts"

journalContract("memory", {
  harms: ["damage"],
  make: Effect.sync((): Bench => {
    const store = Memory.journalStore()
    return {
      damage: (shard, position) => Effect.sync(() => Memory.damage(store, shard, position, "a test said so")),
      layer: Memory.layer(store)
    }
  })
})

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "artifacts-journal-"))),
  (made) => Effect.sync(() => rmSync(made, { force: true, recursive: true }))
)

const withDatabase = (file: string, run: (database: DatabaseSync) => void) =>
  Effect.sync(() => {
    const database = new DatabaseSync(file)
    run(database)
    database.close()
  })

const placeOf = (shard: number, position: Position): number => shard * 2 ** 40 + sequenceOf(position)

/** The bodies stand at the end of a frame, and those of the tests are all of one length. */
const flip = (file: string, shard: number, position: Position) =>
  withDatabase(file, (database) => {
    const row = database.prepare("SELECT frame FROM frames WHERE place = ?").get(placeOf(shard, position))
    const { frame } = row ?? {}
    if (!(frame instanceof Uint8Array)) throw new Error("there is no such frame")
    const bodyBytes = '[{"_tag":"Added","n":1}]{"n":1}'.length
    const at = frame.byteLength - (3 - indexOf(position)) * bodyBytes + 5
    frame[at] = (frame[at] as number) ^ 1
    database.prepare("UPDATE frames SET frame = ? WHERE place = ?").run(frame, placeOf(shard, position))
  })

for (const durability of ["sync", "process"] as const) {
  journalContract(`sqlite, ${durability}`, {
    harms: ["damage", "lose"],
    make: Effect.map(directory, (made): Bench => {
      const file = join(made, "journal.db")
      return {
        damage: (shard, position) => flip(file, shard, position),
        layer: Sqlite.layer({ durability, file }),
        lose: (shard, position) =>
          withDatabase(file, (database) => {
            database.prepare("DELETE FROM frames WHERE place = ?").run(placeOf(shard, position))
          })
      }
    })
  })
}
