/** Where a host keeps what its mounts need: a record of each that is there, and the cache of each directory. */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Option, Schema, type Scope } from "effect"
import { makeDirectory, readText, writeWhole } from "./files.ts"
import { type Env, pathOf, recordFile, stateOf } from "./paths.ts"

export const MountRecord = Schema.Struct({
  workspace: Schema.String,
  name: Schema.String,
  org: Schema.String,
  directory: Schema.String,
  session: Schema.String,
  mode: Schema.Literals(["rw", "ro"]),
  /** Of the process to be told to stop. */
  pid: Schema.Natural,
  startedAt: Schema.Natural,
  cache: Schema.String,
  log: Schema.optionalKey(Schema.String)
})
export type MountRecord = typeof MountRecord.Type
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(MountRecord))

export const readRecord = (env: Env, directory: string): MountRecord | undefined =>
  Option.getOrUndefined(decode(readText(recordFile(env, pathOf(directory))) ?? ""))

/** All that this host's records name. One whose process was killed is still there. */
export const records = (env: Env): ReadonlyArray<MountRecord> => {
  try {
    return readdirSync(stateOf(env))
      .filter((name) => name.endsWith(".json"))
      .flatMap((name) => Option.toArray(decode(readText(join(stateOf(env), name)) ?? "")))
  } catch {
    return []
  }
}

export const forgetRecord = (env: Env, directory: string): void => rmSync(recordFile(env, directory), { force: true })

export const keepRecord = (env: Env, record: MountRecord): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        makeDirectory(stateOf(env))
        writeWhole(recordFile(env, record.directory), `${JSON.stringify(record, null, 2)}\n`)
      }),
      () => Effect.sync(() => forgetRecord(env, record.directory))
    )
  )

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

const isMounted = (directory: string): boolean =>
  (readText("/proc/self/mountinfo") ?? "").split("\n").some((line) => line.split(" ")[4] === directory)

export interface Found extends MountRecord {
  /** `lost`: its process is gone. */
  readonly health: "mounted" | "lost"
}

export const mounts = (env: Env): ReadonlyArray<Found> =>
  records(env).map((record) => ({
    ...record,
    health: isAlive(record.pid) && isMounted(record.directory) ? "mounted" : "lost"
  }))
