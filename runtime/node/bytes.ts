/** The data plane of a workspace's files, with the sizes that were asked for, and the local disk behind it. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { shelf, tape } from "../../adapters/disk/scratch.ts"
import type { Layout } from "../../messages/account.ts"
import type { Commands } from "../files/commands.ts"
import type { Committed } from "../files/data.ts"
import { openData } from "../files/open.ts"
import type { Objects } from "../ports/objects.ts"

/** What may be asked for; what is not is as the data plane has it. */
export interface Sizes {
  readonly cacheBytes: number | undefined
  readonly bufferBytes: number | undefined
  readonly memoryBytes: number | undefined
  readonly uploadsMax: number | undefined
}

export interface Bytes {
  readonly objects: Objects["Service"]
  readonly commands: Commands
  readonly onCommitted: (committed: Committed) => void
  readonly org: string
  readonly workspace: string
  readonly layout: Layout
  readonly cache: string
  /** What another session left on the stage is not taken over: it would be laid over the work of others. */
  readonly session: string
  /** An earlier process was here in the same session. */
  readonly resumed: boolean
  readonly sizes: Sizes
}

/** Where what is accepted and not stored yet survives the process that accepted it. */
export const stageOf = (cache: string): string => join(cache, "stage")

/** Where what is made ahead of the workspace survives the process that made it. */
export const diaryOf = (cache: string): string => join(cache, "diary")

/** The store is a directory on the disk of the cache: what is kept of it there would be a second copy of the same. */
const isBeside = (store: string, cache: string): boolean => {
  if (!store.startsWith("/")) return false
  const [one, other] = [store, cache].map((path) => statSync(path, { throwIfNoEntry: false })?.dev)
  return one !== undefined && one === other
}

/** At the end what was written is stored: only then may the scope close. */
export const dataOf = Effect.fnUntraced(function* (bytes: Bytes) {
  const { objects, commands, onCommitted, org, workspace, layout, cache, session, resumed, sizes } = bytes
  const { cacheBytes, bufferBytes, memoryBytes, uploadsMax } = sizes
  const data = yield* openData({
    objects,
    commands,
    shelf: isBeside(objects.place, cache) ? undefined : shelf(join(cache, "blocks")),
    tape: yield* tape(stageOf(cache)),
    options: {
      prefix: `${org}/${workspace}`,
      layout,
      workspace,
      session,
      resumed,
      ...(cacheBytes === undefined ? {} : { cacheBytes }),
      ...(bufferBytes === undefined ? {} : { bufferBytes }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(uploadsMax === undefined ? {} : { uploadsMax }),
      onCommitted
    }
  })
  yield* Effect.addFinalizer(() =>
    data.flushAll.pipe(
      Effect.catch((error) => Effect.logError("something that was written could not be stored", error))
    )
  )
  return data
})
