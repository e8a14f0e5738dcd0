/**
 * Keeps a mount alive over the deaths of who serves it: the descriptor stays here, and a new child takes the old
 * one's place.
 */
import { writeSync } from "node:fs"
import { Deferred, Effect, Fiber, type Scope } from "effect"
import { type MountOptions, MountRefused } from "../../runtime/ports/mount.ts"
import { Child } from "./child.ts"
import { connect, release } from "./device.ts"
import type { Early } from "./early.ts"
import { resend } from "./notice.ts"
import { mounted } from "./place.ts"
import { write } from "./reply.ts"
import type { Device } from "./serving.ts"

/** A child that answered and lived as long was well: what ended it was not the request that it is sent again. */
const wellMsUsual = 1000
/** The second child that dies young may be bad luck; from the third on the next one starts later and later. */
const youngUsual = 2
const pauseFirstMs = 50
const pauseMaxMs = 2000
/** Children that died young, one after another: then the mount ends, for an error is better than to hang for ever. */
const youngMax = 8
/** How long a child may take to end once its mount is gone. */
const endMs = 5000

export interface Held {
  readonly place: string
  readonly options: MountOptions
  /** What to run with Node: a module and its arguments. It serves what `inherited()` gives and says `iAnswer`. */
  readonly command: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** The first child, started already with the same module. */
  readonly early?: Early | undefined
  /** Another child is kept ready, which costs its memory and spares its start. */
  readonly spare: boolean
  /** How long a child that answers must live for its death not to count among those that lead to giving up. */
  readonly wellMs?: number
  /** Hears what the serving child sends. */
  readonly heard?: (message: unknown) => void
  /** Hears how a child ended that served. */
  readonly died?: (how: string) => void
}

export interface Holding {
  /** The process that serves now. */
  readonly pid: () => number | undefined
  readonly send: (message: object) => void
  /** How many have served, the first one included. */
  readonly children: () => number
  /** How many of them have come to answer. */
  readonly answered: () => number
  /** Waits for the end of the mount: by being unmounted, or because no child stayed alive. */
  readonly ended: Effect.Effect<void, MountRefused>
}

interface State {
  serving: Child | undefined
  spare: Child | undefined
  children: number
  answered: number
  ending: boolean
}

const pause = (young: number): Effect.Effect<void> =>
  young <= youngUsual ? Effect.void : Effect.sleep(Math.min(pauseFirstMs * 2 ** (young - youngUsual), pauseMaxMs))

const givenUp = (place: string, how: string) =>
  new MountRefused({
    place,
    reason: "given-up",
    why: `${youngMax} processes that served ${place} ended soon after their start, the last one with ${how}`
  })

/** One child after another on one device. True when the mount is gone, false when only a new mount can help. */
const lives = Effect.fnUntraced(function* (held: Held, device: Device, state: State, answers: () => void) {
  const resends = device.negotiated.flags.includes("hasResend")
  for (let young = 0; ; ) {
    const child = state.spare ?? new Child(held, device)
    state.spare = undefined
    state.serving = child
    state.children++
    const answeredBefore = state.answered
    const { ageMs, how } = yield* child.serve(held.heard, () => {
      state.answered++
      answers()
      if (held.spare) state.spare ??= new Child(held, device)
    })
    if (state.ending || (how === "status 0" && mounted(held.place) === undefined)) return true
    held.died?.(how)
    if (!resends) return false
    // Before the next child reads anything: what that has read would be sent again too.
    write(() => writeSync(device.fd, resend()))
    const well = state.answered > answeredBefore && ageMs >= (held.wellMs ?? wellMsUsual)
    young = well ? 0 : young + 1
    if (young >= youngMax) return yield* givenUp(held.place, how)
    yield* pause(young)
  }
})

/**
 * Without resending, what a dead child had read is lost: its mount ends with an error for those, and another begins.
 */
const mounts = Effect.fnUntraced(function* (held: Held, first: Device, state: State, answers: () => void) {
  if (yield* lives(held, first, state, answers)) return
  yield* release(held.place)
  for (let silent = 0; silent < youngMax; ) {
    // A spare one was started with the device of before.
    state.spare?.kill()
    state.spare = undefined
    const answeredBefore = state.answered
    const gone = yield* Effect.scoped(
      Effect.flatMap(connect(held.place, held.options), (device) => lives(held, device, state, answers))
    )
    if (gone) return
    silent = state.answered > answeredBefore ? 0 : silent + 1
    yield* pause(silent)
  }
  return yield* givenUp(held.place, "no answer")
})

const end = Effect.fnUntraced(function* (held: Held, state: State) {
  state.ending = true
  yield* release(held.place)
  state.spare?.kill()
  yield* state.serving?.ended.pipe(Effect.timeoutOption(endMs)) ?? Effect.void
  state.serving?.kill()
})

/** Mounts, and has it served until the scope closes. Returns when the first child answers. */
export const hold: (held: Held) => Effect.Effect<Holding, MountRefused, Scope.Scope> = Effect.fnUntraced(
  function* (held) {
    const { early } = held
    if (early !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => early.process.kill("SIGKILL")))
    const device = yield* connect(held.place, held.options, early?.fd)
    const first = early === undefined ? undefined : new Child(held, device, early)
    const state: State = { serving: undefined, spare: first, children: 0, answered: 0, ending: false }
    const answering = yield* Deferred.make<void>()
    const answers = () => Deferred.doneUnsafe(answering, Effect.void)
    const ended = yield* Effect.forkScoped(mounts(held, device, state, answers))
    // Before the loop is interrupted and before the device is closed, so that the last requests are answered.
    yield* Effect.addFinalizer(() => end(held, state))
    yield* Effect.raceFirst(Deferred.await(answering), Fiber.join(ended))
    return {
      pid: () => state.serving?.pid,
      send: (message) => state.serving?.send(message),
      children: () => state.children,
      answered: () => state.answered,
      ended: Fiber.join(ended)
    }
  }
)
