/** Where a node keeps all it has: made at the first start, stamped with its format, locked while it is in use. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { CannotStart } from "./fault.ts"
import { makeDirectory, readText, writeWhole } from "./files.ts"
import { lock } from "./lock.ts"
import { fillCreds, readSecrets, type Secrets, secretNames } from "./secrets.ts"

/** The form of the directory that this version writes; it reads no newer one. */
export const format = 1

const shardsDefault = 16
/** The journal's own bound: a shard's number shares an integer with the places in its log. */
export const shardsMax = 4096

export interface DataDir {
  readonly path: string
  readonly shards: number
  readonly secrets: Secrets
  /** Made just now. */
  readonly isNew: boolean
}

/** What an interrupted first start may have left. */
const ours = new Set([...secretNames, "lock", "pid", "shards", "store", "version"])
const isOurs = (name: string): boolean => ours.has(name.replace(/\.new$|-journal$/, ""))

const refuse = (why: string, next?: string): never => {
  throw new CannotStart(next === undefined ? { why } : { why, next })
}

/** Whether the directory is complete. One that is not ours is refused before anything is written into it. */
const inspect = (path: string, program: string): boolean => {
  const version = readText(join(path, "version"))?.trim()
  if (version === undefined) {
    const strange = readdirSync(path).filter((name) => !isOurs(name))
    if (strange.length > 0) {
      const some = strange.slice(0, 3).join(", ")
      refuse(
        `${path} is no data directory of artifacts, and it is not empty: it holds ${some}`,
        "choose an empty one with --data"
      )
    }
    return false
  }
  if (!/^\d{1,9}$/.test(version)) refuse(`${join(path, "version")} is damaged: it says ${JSON.stringify(version)}`)
  if (Number(version) > format) {
    const knows = `artifacts ${program} knows formats up to ${format}`
    refuse(`the data directory ${path} has format ${version}, and ${knows}`, "start it with the newer version")
  }
  return true
}

const readShards = (path: string): number => {
  const file = join(path, "shards")
  const text = readText(file)?.trim()
  if (text === undefined)
    return refuse(`${file} is missing: the number of shards was fixed when the directory was made`)
  const shards = Number(text)
  if (!/^\d+$/.test(text) || shards < 1 || shards > shardsMax)
    refuse(`${file} is damaged: it says ${JSON.stringify(text)}`)
  return shards
}

export const writeShards = (path: string, shards: number): void => writeWhole(join(path, "shards"), `${shards}\n`)

/** There once this installation has written its name into its object store. */
const storeFile = (path: string): string => join(path, "store")

export const hasStore = (path: string): boolean => readText(storeFile(path)) !== undefined

export const keepStore = (path: string, place: string): void => writeWhole(storeFile(path), `${place}\n`)

const fill = (path: string, shards: number): void => {
  if (readText(join(path, "shards")) === undefined) writeShards(path, shards)
  readSecrets(path, true)
  // Last: a directory with a version is complete.
  writeWhole(join(path, "version"), `${format}\n`)
}

const openLocked = (path: string, program: string, shards: number | undefined): DataDir => {
  const isComplete = inspect(path, program)
  if (!isComplete) fill(path, shards ?? shardsDefault)
  const fixed = readShards(path)
  if (shards !== undefined && shards !== fixed) {
    const made = `${path} was made with ${fixed} shards, and that cannot change`
    refuse(`--shards ${shards}: ${made}`, `leave --shards away, or say --shards ${fixed}`)
  }
  const secrets = readSecrets(path, false)
  fillCreds(path, secrets)
  return { path, shards: fixed, secrets, isNew: !isComplete }
}

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, CannotStart> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      cause instanceof CannotStart
        ? cause
        : new CannotStart({
            why: `the data directory ${path} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
            next: "choose another one with --data"
          })
  })

/** Opens the directory, or makes it, and holds it until the scope closes. */
export const openDataDir = (
  path: string,
  program: string,
  shards?: number
): Effect.Effect<DataDir, CannotStart, Scope.Scope> =>
  Effect.gen(function* () {
    yield* attempt(path, () => {
      makeDirectory(path)
      inspect(path, program)
    })
    yield* lock(path)
    return yield* attempt(path, () => openLocked(path, program, shards))
  })

/** Reads a complete directory without holding it: for commands beside a running node. */
export const readDataDir = (path: string, program: string): Effect.Effect<DataDir | undefined, CannotStart> =>
  attempt(path, () => {
    if (readText(join(path, "version")) === undefined) return undefined
    inspect(path, program)
    return { path, shards: readShards(path), secrets: readSecrets(path, false), isNew: false }
  })
