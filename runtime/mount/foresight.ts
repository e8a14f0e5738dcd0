/** How a mount comes to make things ahead of its workspace: what a process before it had made is told first. */
import { Clock, Effect, FiberSet, type Scope } from "effect"
import { aheadMax, numberOf, type Step } from "../../messages/workspace.ts"
import type { Client } from "../client.ts"
import { CommandRefused, CommandUnanswered } from "../files/commands.ts"
import type { Data } from "../files/data.ts"
import type { Followed } from "../follow.ts"
import type { Errno } from "../ports/mount.ts"
import type { ScratchFailed, Tape } from "../ports/scratch.ts"
import { Ahead } from "./ahead.ts"
import { errnoOf, shown, speak } from "./asking.ts"
import { Diary, type Remembered } from "./diary.ts"
import { inosOf, isMissing } from "./steps.ts"
import type { View } from "./view.ts"

/** What was not answered is told again after this. */
const againMs = 250
/** At the end of a mount what it made is waited for, but not for ever. */
const endMs = 60_000

export interface Parts {
  readonly client: Client
  readonly view: View
  readonly followed: Pick<Followed, "reached" | "version">
  readonly over: (why: string) => void
  readonly patienceMs: number
  readonly tape: Tape
  readonly resumed: boolean
}

interface Stood {
  readonly version: number
}

interface Saying {
  readonly tell: (steps: ReadonlyArray<Step>) => Effect.Effect<void>
  readonly giveBack: (inos: ReadonlyArray<number>) => Effect.Effect<void, Errno>
}

/** One message after another, until each is answered. What is refused is lost, and the session with it. */
const sayingOf = ({ client, view, followed, over }: Parts): Saying => {
  const speaker = { client, workspace: view.workspace, session: view.session, over }
  const tell = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
    const id = `a${steps[0] === undefined ? 0 : numberOf(steps[0])}-${steps.length}`
    for (;;) {
      const reply = yield* speak(speaker, "do", "TellAhead", { made: steps }, id).pipe(
        Effect.catch((error) => Effect.succeed(error))
      )
      if (reply instanceof CommandRefused) {
        yield* Effect.logError("what was made ahead is refused and lost", reply)
        over(`what was made ahead was refused: ${reply.why}`)
        return yield* Effect.never
      }
      if (!(reply instanceof CommandUnanswered)) return yield* shown({ followed }, (reply as Stood).version)
      yield* Effect.sleep(againMs)
    }
  })
  const giveBack = (inos: ReadonlyArray<number>) =>
    speak(speaker, "do", "GiveBack", { inos }).pipe(
      Effect.mapError(errnoOf),
      Effect.flatMap((reply) => shown({ followed }, (reply as Stood).version))
    )
  return { tell, giveBack }
}

/** What of another session the workspace does not have. */
const lostOf = ({ view }: Parts, found: ReadonlyArray<Remembered>): ReadonlyArray<Step> =>
  found
    .filter(({ isTold, step, session }) => !isTold && session !== view.session && isMissing(view.tree, step))
    .map(({ step }) => step)

const inTurns = function* <A>(all: ReadonlyArray<A>): Generator<ReadonlyArray<A>> {
  for (let at = 0; at < all.length; at += aheadMax) yield all.slice(at, at + aheadMax)
}

/** Before anything is served: what an earlier process had made is told, and what was lent to it is given back. */
const takeOver = Effect.fnUntraced(function* (parts: Parts, saying: Saying, found: ReadonlyArray<Remembered>) {
  const { view } = parts
  const own = found.filter(({ session }) => session === view.session)
  const left = own.map(({ step }) => step).filter((step) => !view.tree.loans.isUsed(numberOf(step), view.session))
  for (const some of inTurns(left)) yield* saying.tell(some)
  if (left.length > 0) yield* Effect.logInfo("what a process that ended had made is told", { entries: left.length })
  const loans = [...view.tree.loans.all].filter(([, { session }]) => session === view.session).map(([ino]) => ino)
  for (const some of inTurns(loans))
    while ((yield* Effect.exit(saying.giveBack(some)))._tag === "Failure") yield* Effect.sleep(againMs)
  return own
})

export interface Foresight {
  readonly ahead: Ahead
  /** How much is ahead, for the thread that answers at once. */
  readonly depth: SharedArrayBuffer
  /** Says of each file that was lost with an earlier session that it was. */
  readonly mourn: (data: Data) => void
}

export const foresight: (parts: Parts) => Effect.Effect<Foresight, ScratchFailed, Scope.Scope> = Effect.fnUntraced(
  function* (parts) {
    const { tape, view, resumed } = parts
    const diary = new Diary(tape, view.session)
    const saying = sayingOf(parts)
    const found = yield* diary.recover
    const own = yield* takeOver(parts, saying, found)
    const lost = lostOf(parts, found)
    if (lost.length > 0)
      yield* Effect.logWarning("what a session had made and not told when it ended is lost", { entries: lost.length })
    const clock = yield* Clock.Clock
    const run = yield* FiberSet.makeRuntime<never, void, never>()
    const depth = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const ahead = new Ahead(
      {
        ...{ view, diary, ...saying },
        now: () => clock.currentTimeMillisUnsafe(),
        patienceMs: parts.patienceMs,
        fork: (work) => void run(work),
        depth: new Int32Array(depth)
      },
      resumed
    )
    ahead.inherit(own, resumed ? lost : [])
    view.ahead = ahead
    yield* Effect.forkScoped(ahead.telling)
    yield* Effect.addFinalizer(() =>
      ahead.drained.pipe(
        Effect.timeoutOrElse({ duration: endMs, orElse: () => Effect.fail("EIO" as const) }),
        Effect.catch(() => Effect.logError("something that was made could not be told", { entries: ahead.depth }))
      )
    )
    const mourn = (data: Data): void => {
      const inos = new Set((resumed ? lost : []).flatMap(inosOf))
      for (const ino of inos) data.fail(ino, "EIO", "the session that it was changed in is over")
    }
    return { ahead, depth, mourn }
  }
)
