/** Keeps a mount alive: holds the kernel's descriptor, and starts another sidecar when the one that serves has died. */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, Schedule, type Scope } from "effect"
import { takeEarly } from "../../adapters/fuse/early.ts"
import { type Holding, hold } from "../../adapters/fuse/holder.ts"
import { Problem } from "../cli/problem.ts"
import { mountOptionsOf } from "../mount/sidecar.ts"
import { writeWhole } from "./files.ts"
import type { Ticket } from "./issue.ts"
import { isReadOnly, type SidecarStart } from "./sidecar.ts"

export interface Supervised {
  /** Of the process that serves now. */
  readonly pid: () => number | undefined
  /** Waits for the end of the mount, whoever ended it. */
  readonly ended: Effect.Effect<void, Problem>
}

/** What a sidecar says that gives up, or that needs another session. */
export interface Said {
  readonly renew?: true
  readonly problem?: { readonly code: string; readonly message: string; readonly next?: string }
}

/** Beside the stage, for this user alone: the sidecar's secret is in it. */
export const startFile = (start: SidecarStart): string => join(start.cache, "start.json")

const refused = ({ reason, why }: { readonly reason: string; readonly why: string }) =>
  new Problem({ code: reason, message: why })

/** A node that is away is asked again after this. */
const renewPauseMs = 2_000
const passing = new Set(["no-node", "unreachable", "Busy", "unanswered", "503", "502", "504"])

/**
 * The session is over, and the mount goes on with another one. What the first one had accepted and not committed is
 * given up: committed now, it would cover what others have done since. The stage says whose it was, and they are told.
 */
export const renewed = Effect.fnUntraced(function* (start: SidecarStart, renew: Effect.Effect<Ticket, Problem>) {
  const ticket = yield* renew.pipe(
    Effect.retry({ schedule: Schedule.spaced(renewPauseMs), while: ({ code }) => passing.has(code) })
  )
  writeWhole(startFile(start), JSON.stringify({ ...start, ticket }))
  yield* Effect.logWarning("the mount's session was over, and it goes on with another one", {
    session: ticket.issued.session.session
  })
})

/** Returns when the mount answers. It ends with the scope. */
export const supervise: (
  start: SidecarStart,
  renew: Effect.Effect<Ticket, Problem>
) => Effect.Effect<Supervised, Problem, Scope.Scope> = Effect.fnUntraced(function* (start, renew) {
  const file = startFile(start)
  yield* Effect.sync(() => writeWhole(file, JSON.stringify(start)))
  let serving: Holding | undefined
  const gaveUp = yield* Deferred.make<never, Problem>()
  const log = Effect.runForkWith(yield* Effect.context<never>())
  const heard = (message: unknown): void => {
    const { problem, renew: isOver } = message as Said
    if (isOver === true)
      void log(
        renewed(start, renew).pipe(
          Effect.andThen(Effect.sync(() => serving?.send({ renewed: true }))),
          Effect.catch((why) => Deferred.fail(gaveUp, why))
        )
      )
    if (problem !== undefined) Deferred.doneUnsafe(gaveUp, Effect.fail(new Problem(problem)))
  }
  const options = mountOptionsOf({
    name: start.ticket.issued.workspace.name,
    readOnly: isReadOnly(start),
    writeback: start.writeback,
    allowOther: start.allowOther
  })
  const holding = yield* Effect.raceFirst(
    hold({
      place: start.directory,
      options,
      command: [fileURLToPath(new URL("./serving.ts", import.meta.url)), file],
      early: takeEarly(),
      spare: false,
      heard,
      died: (how) =>
        void log(Effect.logWarning("the process that served the mount ended, and another one takes over", { how }))
    }).pipe(Effect.mapError(refused)),
    Deferred.await(gaveUp)
  )
  serving = holding
  return {
    pid: holding.pid,
    ended: Effect.raceFirst(holding.ended.pipe(Effect.mapError(refused)), Deferred.await(gaveUp))
  }
})
