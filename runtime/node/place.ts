/** Where a host keeps what its mounts need: a record of each that is there, and the cache of each directory. */
import { createHash } from "node:crypto"
import { readdirSync, realpathSync, rmSync } from "node:fs"
import { homedir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, Option, Schema, type Scope } from "effect"
import { makeDirectory, readText, writeWhole } from "./files.ts"

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

type Env = Readonly<Record<string, string | undefined>>

const stateOf = (env: Env): string =>
  join(env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "artifacts", "mounts")

const cachesOf = (env: Env): string => join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "artifacts", "files")

/** The directory's own path, without asking the directory: a mount that hangs would hold whoever looks at it. */
export const pathOf = (directory: string): string => {
  const whole = resolve(directory)
  try {
    return join(realpathSync(dirname(whole)), basename(whole))
  } catch {
    return whole
  }
}

const token = (path: string): string => createHash("sha256").update(path).digest("hex").slice(0, 16)

/** Each directory of a host has a cache of its own for each workspace: two processes never share one. */
export const cacheOf = (env: Env, workspace: string, directory: string): string =>
  join(cachesOf(env), `${workspace}-${token(directory)}`)

export const logOf = (env: Env, directory: string): string => {
  makeDirectory(stateOf(env))
  return join(stateOf(env), `${token(directory)}.log`)
}

const fileOf = (env: Env, directory: string): string => join(stateOf(env), `${token(directory)}.json`)

export const readRecord = (env: Env, directory: string): MountRecord | undefined =>
  Option.getOrUndefined(decode(readText(fileOf(env, pathOf(directory))) ?? ""))

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

export const forgetRecord = (env: Env, directory: string): void => rmSync(fileOf(env, directory), { force: true })

export const keepRecord = (env: Env, record: MountRecord): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        makeDirectory(stateOf(env))
        writeWhole(fileOf(env, record.directory), `${JSON.stringify(record, null, 2)}\n`)
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
