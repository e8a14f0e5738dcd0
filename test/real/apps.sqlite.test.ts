/** SQLite on mounts: WAL on one host, its rollback journal on several, and no transaction is lost or torn. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Ground, patientMs, together, without } from "./apps.ts"

const why = without("SQLite")
const program = join(import.meta.dirname, "apps-sqlite.ts")
const times = 25

const check = (file: string, count: number): void => {
  const database = new DatabaseSync(file)
  expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" })
  expect(database.prepare("SELECT count(*) AS n, max(n) AS last FROM counts").get()).toEqual({ n: count, last: count })
  database.close()
}

const counting = (...all: ReadonlyArray<readonly [string, string, string]>): Promise<void> =>
  together(
    ".",
    process.execPath,
    all.map(([file, mode, who]) => [program, file, mode, who, String(times)])
  )

describe.skipIf(why !== undefined)("SQLite", () => {
  const ground = new Ground()
  beforeAll(() => ground.begin(), patientMs)
  afterAll(() => ground.end(), patientMs)

  it("counts in WAL mode, two processes of one host at once", { timeout: patientMs }, async () => {
    const file = join(ground.a, "wal.db")
    await counting([file, "wal", "one"])
    await counting([file, "wal", "two"], [file, "wal", "three"])
    check(file, 3 * times)
  })

  it("counts with a rollback journal, two processes of one host at once", { timeout: patientMs }, async () => {
    const file = join(ground.a, "rollback.db")
    await counting([file, "delete", "one"], [file, "delete", "two"])
    check(file, 2 * times)
  })

  it("counts with a rollback journal on two hosts at once: the locks hold across them", {
    timeout: patientMs
  }, async () => {
    const [a, b] = [join(ground.a, "both.db"), join(ground.b, "both.db")]
    await counting([a, "delete", "first"])
    await counting([a, "delete", "a"], [b, "delete", "b"])
    check(b, 3 * times)
    check(a, 3 * times)
  })
})
