/** A mount's session: begun before anything is asked, kept alive by heartbeats, and let go of at the end. */
import { Deferred, Effect, Exit, Schema } from "effect"
import { beatsPerLife } from "../../messages/limits.ts"
import type { Client } from "../client.ts"

/** The session is not there, or not any more. */
export class SessionLost extends Schema.TaggedError<SessionLost>()("SessionLost", {
  session: Schema.String,
  why: Schema.String,
  /** It has ended for good: nobody has to try again. */
  isOver: Schema.Boolean
}) {}

export interface Place {
  readonly session: string
  readonly workspace: string
  readonly host: string
  readonly directory: string
  /** Without a sign of life for so long it expires. */
  readonly lifeMs: number
}

/** The workspace hears of a session a moment after it was issued. */
const beginMs = 15_000
const beginPauseMs = 20
/** So long a process waits for its first answer; then something is wrong, and it says what. */
const patienceMs = 10_000

const own = Effect.fnUntraced(function* (client: Client, { session }: Place, name: string, fields: object) {
  const asking = { verb: "do", kind: "mount-session", id: session, caller: session, name, patienceMs } as const
  const answer = yield* client
    .ask({ ...asking, body: JSON.stringify(fields) })
    .pipe(Effect.mapError(({ why }) => lost(session, `${name} was not answered: ${why}`)))
  if ("ok" in answer) return { over: undefined }
  if ("refused" in answer) return { over: JSON.stringify(answer.refused) }
  return yield* lost(session, JSON.stringify(answer.failed))
})

const lost = (session: string, why: string) => new SessionLost({ session, why, isOver: false })

/** How many entries the workspace has; undefined while it does not know the session. */
const space = Effect.fnUntraced(function* (client: Client, { session, workspace }: Place) {
  const asking = { verb: "ask", kind: "workspace", id: workspace, caller: session, name: "StatFs" } as const
  const answer = yield* client
    .ask({ ...asking, body: "{}", patienceMs })
    .pipe(Effect.mapError(({ why }) => lost(session, `the workspace does not answer: ${why}`)))
  if ("ok" in answer) return (answer.ok as { readonly entries: number }).entries
  if ("refused" in answer && answer.refused._tag === "SessionOver") return undefined
  return yield* lost(session, JSON.stringify("refused" in answer ? answer.refused : answer.failed))
})

const begun = Effect.fnUntraced(function* (client: Client, place: Place) {
  for (let pause = beginPauseMs; (yield* space(client, place)) === undefined; pause *= 1.5) yield* Effect.sleep(pause)
})

export const entriesOf = (client: Client, place: Place) => Effect.map(space(client, place), (entries) => entries ?? 0)

/** Comes back once the workspace serves the session. `over` completes when it has ended before this scope did. */
export const attach = Effect.fnUntraced(function* (client: Client, place: Place) {
  const { session, host, directory } = place
  // First of all: a session that is over is known for it at once.
  const { over } = yield* own(client, place, "Attach", { host, directory })
  if (over !== undefined) return yield* new SessionLost({ session, why: over, isOver: true })
  yield* begun(client, place).pipe(
    Effect.timeoutOrElse({
      duration: beginMs,
      orElse: () =>
        Effect.fail(new SessionLost({ session, why: "the workspace does not know the session", isOver: true }))
    })
  )
  // A process that fails leaves the session to the one that takes its place; else it expires by itself.
  yield* Effect.addFinalizer((exit) =>
    Exit.isFailure(exit)
      ? Effect.void
      : own(client, place, "Detach", {}).pipe(
          Effect.catch((error) => Effect.logWarning("the session could not be detached; it expires by itself", error))
        )
  )
  const ended = yield* Deferred.make<string>()
  const beat = Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep(place.lifeMs / beatsPerLife)
      const beaten = yield* own(client, place, "Heartbeat", {}).pipe(
        Effect.catch((error) =>
          Effect.as(Effect.logWarning("the session could not be renewed", error), { over: undefined })
        )
      )
      if (beaten.over === undefined) continue
      yield* Effect.logError("the session is over: nothing that is written from now on is kept", { why: beaten.over })
      yield* Deferred.succeed(ended, beaten.over)
      return
    }
  })
  yield* Effect.forkScoped(beat)
  return {
    over: Deferred.await(ended),
    /** Somebody else heard of it first. */
    end: (why: string): void => void Deferred.doneUnsafe(ended, Effect.succeed(why))
  }
})
