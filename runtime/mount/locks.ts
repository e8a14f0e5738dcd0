/** Locks on behalf of processes: asked of the actor, waited for in its queue, and given up when the process does. */
import { Effect } from "effect"
import type { Lock, LockFamily } from "../../messages/lock.ts"
import type { AsyncFiles, Errno, LockRange, Request } from "../ports/mount.ts"
import { type Asking, change, changeAnew, query } from "./asking.ts"
import type { Files } from "./files.ts"

const familyOf = ({ flock }: LockRange): LockFamily => (flock ? "flock" : "posix")

const getlk = Effect.fnUntraced(function* (asking: Asking, request: Request<"getlk">) {
  const { node: ino, owner, type, start, end } = request
  if (type === "unlock") return undefined
  const fields = { ino, family: familyOf(request), owner, type, start, end }
  const { conflict } = (yield* query(asking, "Locks", fields)) as { readonly conflict?: Lock }
  if (conflict === undefined) return undefined
  const found: LockRange = {
    owner: conflict.owner,
    flock: request.flock,
    type: conflict.type,
    start: conflict.start,
    end: conflict.end,
    // A process of another host has no number here.
    holder: conflict.session === asking.view.session ? conflict.pid : 0
  }
  return found
})

/** What is written and not committed yet would cover what others write while they have the lock. */
const settled = ({ data }: Files, { node }: Request<"setlk">): Effect.Effect<void, Errno> =>
  data.isDirty(node) ? Effect.mapError(data.ordered(node, Effect.void), ({ errno }) => errno as Errno) : Effect.void

const unlocking = (request: Request<"setlk">) => {
  const { node: ino, owner, start, end } = request
  return { ino, family: familyOf(request), owner, start, end }
}

const release = (asking: Asking, request: Request<"setlk">) =>
  Effect.as(change(asking, request, "Unlock", unlocking(request)), undefined)

/** Whoever has the lock next sees all that was written under it; what cannot be kept so far keeps the lock as well. */
const unlock = (files: Files, request: Request<"setlk">) =>
  Effect.andThen(settled(files, request), release(files, request))

interface Locked {
  readonly granted: boolean
  readonly version: number
  readonly ticket?: number
}

/** What a process is granted that has given up. A process before this one may have given up for it already. */
const letGo = (asking: Asking, request: Request<"setlk">) =>
  Effect.ignore(changeAnew(asking, "Unlock", unlocking(request)))

/** A process that gave up, but not before it was granted, holds nothing either. */
const cancel = (asking: Asking, request: Request<"setlk">, ticket: number) =>
  Effect.gen(function* () {
    const { node: ino, owner } = request
    const place = { ino, family: familyOf(request), owner }
    const reply = (yield* changeAnew(asking, "CancelLock", { ...place, ticket })) as unknown as Locked
    if (reply.granted) yield* letGo(asking, request)
  }).pipe(Effect.ignore)

/** A kernel that does not take notice for so long is not waited for. */
const noticedMs = 1_000

/** What the last holder wrote must not be read from pages that the kernel has from before. */
const noticed = (asking: Asking): Effect.Effect<unknown> =>
  Effect.timeoutOption(
    Effect.suspend(() => asking.view.invalidated),
    noticedMs
  )

/** From asking on, a process that gives up leaves nothing behind: no place in the queue, and no lock. */
const acquire = Effect.fnUntraced(function* (asking: Asking, request: Request<"setlk">) {
  const { node: ino, owner, type, start, end, wait, holder } = request
  const fields = { ino, family: familyOf(request), owner, pid: holder, type, start, end, ...(wait && { wait }) }
  // The process before this one may have been granted it and have given it up again, for whoever asks had a signal: an
  // answer from then is no lock now. To ask anew for what one has or waits for changes nothing.
  const asked = request.resent ? changeAnew(asking, "Lock", fields) : change(asking, request, "Lock", fields)
  const reply = (yield* asked) as unknown as Locked
  const { granted, ticket } = reply
  if (!granted && ticket !== undefined) {
    const { version } = reply
    const waited = Effect.callback<void>((resume) => {
      const wake = () => resume(Effect.void)
      return Effect.sync(asking.view.whenGranted({ family: fields.family, ino, ticket, version, wake }))
    })
    yield* Effect.interruptible(waited).pipe(Effect.onInterrupt(() => cancel(asking, request, ticket)))
  }
  yield* Effect.interruptible(noticed(asking)).pipe(Effect.onInterrupt(() => letGo(asking, request)))
  return undefined
})

/** What is asked again may have been granted already: it is given up only once that is known. */
const setlk = (files: Files, request: Request<"setlk">) => {
  if (request.type === "unlock") return Effect.uninterruptible(unlock(files, request))
  const acquired = Effect.uninterruptible(acquire(files, request))
  const done = Effect.andThen(settled(files, request), acquired)
  return request.resent ? Effect.uninterruptible(done) : done
}

export const locks = (files: Files) =>
  ({
    getlk: (request) => getlk(files, request),
    setlk: (request) => setlk(files, request)
  }) satisfies AsyncFiles
