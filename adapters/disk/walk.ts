/** Lists a directory tree in the order of its keys, holding one bounded part of one directory at each level. */
import { opendir, stat } from "node:fs/promises"
import { join } from "node:path"
import { compareKeys, keyFault } from "../../messages/keys.ts"
import type { Stored } from "../../runtime/ports/objects.ts"
import { codeOf } from "./fault.ts"

export interface WalkLimits {
  /** Keys a page. */
  readonly pageKeysMax: number
  /** Names of one directory held at once; a larger directory is read again for each further part. */
  readonly directoryNamesMax: number
}

/** A few megabytes at most, and fifteen passes over a directory of a million names. */
export const walkLimits: WalkLimits = { pageKeysMax: 1000, directoryNamesMax: 65_536 }

/** Sizes are asked for this many at a time: the thread pool is no wider, and other work waits behind it. */
const statsAtOnce = 32

/** `key` ends in a slash for a directory: that is how it sorts among its neighbours, `a-b` before `a/`. */
interface Found {
  readonly key: string
  readonly directory: boolean
}

const wanted = (key: string, directory: boolean, prefix: string, after: string | undefined): boolean => {
  if (directory) {
    if (!key.startsWith(prefix) && !prefix.startsWith(key)) return false
    return after === undefined || compareKeys(key, after) > 0 || after.startsWith(key)
  }
  return key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0)
}

const byKey = (a: Found, b: Found): number => compareKeys(a.key, b.key)

/** The first names of a directory behind `last`, in order, and whether there are more. */
const part = async (
  root: string,
  folder: string,
  accepts: (found: Found) => boolean,
  namesMax: number
): Promise<{ readonly found: Array<Found>; readonly more: boolean }> => {
  const kept: Array<Found> = []
  let more = false
  const trim = (): void => {
    kept.sort(byKey)
    if (kept.length > namesMax) {
      kept.length = namesMax
      more = true
    }
  }
  try {
    for await (const entry of await opendir(join(root, folder), { bufferSize: 512 })) {
      const directory = entry.isDirectory()
      if (entry.name.startsWith(".") || !(directory || entry.isFile())) continue
      const found = { key: `${folder}${entry.name}${directory ? "/" : ""}`, directory }
      if (!accepts(found)) continue
      kept.push(found)
      if (kept.length >= namesMax * 2) trim()
    }
  } catch (cause) {
    // A prefix may name a folder that is not there, or an object.
    if (codeOf(cause) !== "ENOENT" && codeOf(cause) !== "ENOTDIR") throw cause
  }
  trim()
  return { found: kept, more }
}

async function* keysIn(
  root: string,
  folder: string,
  prefix: string,
  after: string | undefined,
  limits: WalkLimits
): AsyncGenerator<string> {
  let last: string | undefined
  for (;;) {
    const behind = last
    const accepts = (found: Found): boolean =>
      wanted(found.key, found.directory, prefix, after) && (behind === undefined || compareKeys(found.key, behind) > 0)
    const { found, more } = await part(root, folder, accepts, limits.directoryNamesMax)
    for (const { key, directory } of found) {
      if (directory) yield* keysIn(root, key, prefix, after, limits)
      else yield key
    }
    last = found.at(-1)?.key
    if (!more) return
  }
}

const sizes = async (root: string, keys: ReadonlyArray<string>): Promise<Array<Stored>> => {
  const stored: Array<Stored> = []
  for (let at = 0; at < keys.length; at += statsAtOnce) {
    const some = keys.slice(at, at + statsAtOnce)
    const found = await Promise.all(some.map((key) => sizeOf(root, key)))
    for (const one of found) if (one !== undefined) stored.push(one)
  }
  return stored
}

const sizeOf = async (root: string, key: string): Promise<Stored | undefined> => {
  try {
    return { key, size: (await stat(join(root, key))).size }
  } catch (cause) {
    // It was deleted since its name was read, so it is not listed.
    if (codeOf(cause) === "ENOENT") return undefined
    throw cause
  }
}

/** Pages of what lies under the root with this prefix, from behind `after`. */
export async function* walk(
  root: string,
  prefix: string,
  after: string | undefined,
  limits: WalkLimits = walkLimits
): AsyncGenerator<ReadonlyArray<Stored>> {
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1)
  // No key lies in such a folder, and it must not lead out of the root either.
  if (folder !== "" && keyFault(folder.slice(0, -1)) !== undefined) return
  let keys: Array<string> = []
  for await (const key of keysIn(root, folder, prefix, after, limits)) {
    if (keys.push(key) < limits.pageKeysMax) continue
    yield await sizes(root, keys)
    keys = []
  }
  if (keys.length > 0) yield await sizes(root, keys)
}
