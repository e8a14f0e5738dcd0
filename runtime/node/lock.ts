/**
 * The lock on a data directory: the kernel lets go of it when its holder dies, so nothing stale is ever left behind.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, type Scope } from "effect"
import { CannotStart } from "./fault.ts"
import { readText } from "./files.ts"

const sqliteBusy = 5

const isBusy = (cause: unknown): boolean =>
  cause instanceof Error && "errcode" in cause && (Number(cause.errcode) & 0xff) === sqliteBusy

/** Written after the lock was taken, so it names the holder, or for a moment the one before. */
export const holderOf = (data: string): string => {
  try {
    const pid = readFileSync(join(data, "pid"), "utf8").trim()
    return /^\d+$/.test(pid) ? `by the process ${pid}` : "by another process"
  } catch {
    return "by another process"
  }
}

/**
 * SQLite is used for its file lock alone, which Node has no call of its own for. It belongs to the open file of this
 * process: kill -9 ends it, and neither a reused pid nor two starts at the same moment can mislead it.
 */
const take = (data: string): DatabaseSync => {
  const database = new DatabaseSync(join(data, "lock"), { timeout: 0 })
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    writeFileSync(join(data, "pid"), `${process.pid}\n`, { mode: 0o600 })
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** Names a directory as nothing else is named while this host runs; undefined where the host does not tell its starts. */
export const homeOf = (data: string): string | undefined => {
  const start = readText("/proc/sys/kernel/random/boot_id")
  if (start === undefined) return undefined
  const { dev, ino } = statSync(data)
  return `${start.trim()}/${dev}:${ino}`
}

/** Holds the directory until the scope closes. */
export const lock = (data: string): Effect.Effect<void, CannotStart, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => take(data),
      catch: (cause) =>
        isBusy(cause)
          ? new CannotStart({
              why: `the data directory ${data} is in use ${holderOf(data)}`,
              next: "stop that process first, or choose another directory with --data"
            })
          : new CannotStart({ why: `the data directory ${data} cannot be locked: ${String(cause)}` })
    }),
    (database) => Effect.sync(() => database.close())
  ).pipe(Effect.asVoid)
