/** Keeps a mount through libfuse alive: who serves it has mounted it, so one that dies is followed by a new mount. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Context, Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import { layer as fuseNative } from "../../adapters/fuse-native/mount.ts"
import { Problem } from "../cli/problem.ts"
import { Mount } from "../ports/mount.ts"
import { writeWhole } from "./files.ts"
import type { Ticket } from "./issue.ts"
import type { SidecarStart } from "./sidecar.ts"
import { renewed, type Said, type Supervised, startFile } from "./supervise.ts"

/** Processes that died before they had served so long, one after another: then the mount is given up. */
const wellMs = 1_000
const youngMax = 8
const pauseMs = 200
/** How long a process may take to end once its mount is gone and all is stored: `unmount` waits as long. */
const endMs = 600_000

interface State {
  child: ChildProcess | undefined
  ending: boolean
}

interface Edges {
  readonly answers: () => void
  readonly said: (said: Said, child: ChildProcess) => void
}

/** One process that mounts and serves, until it ends. */
const life = (file: string, state: State, { answers, said }: Edges) =>
  Effect.callback<{ readonly how: string; readonly isOver: boolean; readonly ageMs: number }>((resume) => {
    const since = performance.now()
    const command = [fileURLToPath(new URL("./serving.ts", import.meta.url)), file]
    const child = spawn(process.execPath, command, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    state.child = child
    child.on("message", (message) => (typeof message === "string" ? answers() : said(message as Said, child)))
    const end = (how: string, isOver: boolean) =>
      resume(Effect.succeed({ how, isOver, ageMs: performance.now() - since }))
    child.once("error", (error) => end(error.message, false))
    child.once("exit", (code, signal) => end(signal ?? `status ${code}`, code === 0))
  })

const lives = Effect.fnUntraced(function* (file: string, state: State, edges: Edges) {
  for (let young = 0; young < youngMax; ) {
    const { how, isOver, ageMs } = yield* life(file, state, edges)
    if (isOver || state.ending) return
    yield* Effect.logWarning("the process that served the mount ended, and another one mounts again", { how })
    young = ageMs >= wellMs ? 0 : young + 1
    yield* Effect.sleep(pauseMs * young)
  }
  return yield* new Problem({ code: "given-up", message: `${youngMax} processes that served the mount ended early` })
})

const ended = (child: ChildProcess | undefined): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** Returns when the mount answers. It ends with the scope. */
export const superviseNative: (
  start: SidecarStart,
  renew: Effect.Effect<Ticket, Problem>
) => Effect.Effect<Supervised, Problem, Scope.Scope> = Effect.fnUntraced(function* (start, renew) {
  const file = startFile(start)
  yield* Effect.sync(() => writeWhole(file, JSON.stringify(start)))
  const kernel = Context.get(yield* Layer.build(fuseNative), Mount)
  const state: State = { child: undefined, ending: false }
  const answering = yield* Deferred.make<void>()
  const gaveUp = yield* Deferred.make<never, Problem>()
  const log = Effect.runForkWith(yield* Effect.context<never>())
  const said = ({ problem, renew: isOver }: Said, child: ChildProcess): void => {
    if (problem !== undefined) Deferred.doneUnsafe(gaveUp, Effect.fail(new Problem(problem)))
    if (isOver === true)
      void log(
        renewed(start, renew).pipe(
          Effect.andThen(Effect.sync(() => child.send({ renewed: true }))),
          Effect.catch((why) => Deferred.fail(gaveUp, why))
        )
      )
  }
  const answers = () => void Deferred.doneUnsafe(answering, Effect.void)
  const over = yield* Effect.forkScoped(
    lives(file, state, { answers, said }).pipe(Effect.tapError((why) => Deferred.fail(gaveUp, why)))
  )
  // Before the loop is interrupted, so that the last one stores what was written.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      state.ending = true
      yield* kernel.unmount(start.directory, false).pipe(
        Effect.catch(() => kernel.unmount(start.directory, true)),
        Effect.orDie
      )
      yield* ended(state.child).pipe(Effect.timeoutOption(endMs))
      state.child?.kill("SIGKILL")
    })
  )
  yield* Effect.raceFirst(Deferred.await(answering), Deferred.await(gaveUp))
  return { pid: () => state.child?.pid, ended: Effect.raceFirst(Fiber.join(over), Deferred.await(gaveUp)) }
})
