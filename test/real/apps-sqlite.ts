/** Counts in a database that others count in too: `apps-sqlite.ts FILE JOURNAL-MODE WHO TIMES`. */
import { DatabaseSync } from "node:sqlite"

const [file = "", mode = "wal", who = "", times = "1"] = process.argv.slice(2)
const database = new DatabaseSync(file)
database.exec("PRAGMA busy_timeout = 60000")
database.exec(`PRAGMA journal_mode = ${mode}`)
database.exec("PRAGMA synchronous = NORMAL")
database.exec("CREATE TABLE IF NOT EXISTS counts (n INTEGER PRIMARY KEY, who TEXT, filler TEXT)")
for (let time = 0; time < Number(times); time++) {
  database.exec("BEGIN IMMEDIATE")
  const { n } = database.prepare("SELECT coalesce(max(n), 0) AS n FROM counts").get() as { n: number }
  database.prepare("INSERT INTO counts VALUES (?, ?, ?)").run(n + 1, who, "x".repeat(200))
  database.exec("COMMIT")
}
database.close()
