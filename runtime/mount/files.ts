/**
 * The part of a mount that answers in its own time: changes by command, bytes through the data plane, locks in a
 * queue.
 */

import { Effect } from "effect"
import type { Data } from "../files/data.ts"
import type { AsyncFiles, Operation, Request } from "../ports/mount.ts"
import type { Asking } from "./asking.ts"
import { bytes } from "./bytes.ts"
import { locks } from "./locks.ts"
import { names } from "./names.ts"
import type { Own } from "./own.ts"
import { stale } from "./stale.ts"
import type { FromReplica } from "./telling.ts"

/** What all of the parts need. */
export interface Files extends Asking {
  readonly data: Data
  readonly own: Own
  /** How long the kernel may keep what it is told. */
  readonly entryMs: number
  readonly attrMs: number
  /** Close does not wait until what was written is stored: fsync does, and who unlocks. */
  readonly storesLate: boolean
  readonly nextHandle: () => number
  /** The workspace need not keep this for this host. */
  readonly letGo: (ino: number) => void
}

type Handler = (request: Request, later: unknown) => Effect.Effect<unknown, never>

/** The other thread has to be told of a change before a process is told that it is made: so it has to be there. */
const connected = <H extends AsyncFiles>({ view }: Files, handlers: H): H => {
  const behind = ([op, handler]: [string, Handler]): [string, Handler] => [
    op as Operation,
    (request, later) => {
      if (view.isConnected) return handler(request, later)
      const begun = Effect.andThen(
        view.connected,
        Effect.suspend(() => handler(request, later))
      )
      // Who gives up before that may hold what a process before this one was granted.
      return op === "setlk" ? Effect.uninterruptible(begun) : begun
    }
  ]
  return Object.fromEntries(Object.entries(handlers as unknown as Record<string, Handler>).map(behind)) as never
}

export const asyncFiles = (files: Files): AsyncFiles => {
  const handlers = connected(files, { ...names(files), ...bytes(files), ...locks(files), ...stale(files) })
  const heard = (message: FromReplica): void => {
    if (message.kind === "closed") files.data.released(message.handle)
    else if (message.kind === "invalidate") files.view.invalidate(message.invalidations)
    else if (message.kind === "unheld") files.letGo(message.ino)
  }
  return { ...handlers, heard: (message) => heard(message as FromReplica) }
}
