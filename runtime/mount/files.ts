/**
 * The part of a mount that answers in its own time: changes by command, bytes through the data plane, locks in a
 * queue.
 */
import { Effect } from "effect"
import type { Data } from "../files/data.ts"
import type { AsyncFiles, Errno, Request } from "../ports/mount.ts"
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

/**
 * What was begun is done: a signal to the process, which may be no more than an alarm, does not make a rename fail.
 * Only what waits for others may be given up. The fibre is the request's own and ends with it, so nothing has to be
 * restored.
 */
const steady = <A>(effect: Effect.Effect<A, Errno>): Effect.Effect<A, Errno> =>
  Effect.withFiber((fiber) => {
    const own = fiber as unknown as { interruptible: boolean }
    own.interruptible = false
    return effect
  })

type Handlers = Readonly<Record<string, (request: Request, later: unknown) => Effect.Effect<unknown, Errno>>>

/** A process that is killed is let go of its waiting for these: the store, or another's lock, may be away for long. */
const patient = new Set(["setlk", "read", "fsync", "syncfs"])

const steadied = (handlers: Handlers): Handlers =>
  Object.fromEntries(
    Object.entries(handlers).map(([op, handler]) => [
      op,
      patient.has(op) ? handler : (request: Request, later: unknown) => steady(handler(request, later))
    ])
  )

export const asyncFiles = (files: Files): AsyncFiles => {
  const handlers = { ...names(files), ...bytes(files), ...locks(files), ...stale(files) } as unknown as Handlers
  const heard = (message: FromReplica): void => {
    if (message.kind === "closed") files.data.released(message.handle)
    else if (message.kind === "invalidate") files.view.invalidate(message.invalidations)
    else if (message.kind === "line") files.own.line(message.line)
  }
  return { ...steadied(handlers), heard } as unknown as AsyncFiles
}
