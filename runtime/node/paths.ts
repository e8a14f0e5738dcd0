/** The paths of what a host keeps for its mounts. Nothing is loaded for them that takes time. */
import { createHash } from "node:crypto"
import { realpathSync } from "node:fs"
import { homedir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { makeDirectory } from "./files.ts"

export type Env = Readonly<Record<string, string | undefined>>

export const stateOf = (env: Env): string =>
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

/** Where the record of a mount on this directory is. */
export const recordFile = (env: Env, directory: string): string => join(stateOf(env), `${token(directory)}.json`)
