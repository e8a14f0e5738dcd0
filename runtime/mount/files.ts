/**
 * The part of a mount that answers in its own time: changes by command, bytes through the data plane, locks in a
 * queue.
 */
import type { Data } from "../files/data.ts"
import type { AsyncFiles } from "../ports/mount.ts"
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
  readonly nextHandle: () => number
}

export const asyncFiles = (files: Files): AsyncFiles => {
  const handlers = { ...names(files), ...bytes(files), ...locks(files), ...stale(files) }
  const heard = (message: FromReplica): void => {
    if (message.kind === "closed") files.data.released(message.handle)
    else if (message.kind === "invalidate") files.view.invalidate(message.invalidations)
    else if (message.kind === "line") files.own.line(message.line)
  }
  return { ...handlers, heard: (message) => heard(message as FromReplica) }
}
