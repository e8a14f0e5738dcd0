/** A simulated host's kernel: it asks whoever serves the mount, and asks the successor what was never answered. */
import { Clock, Deferred, Effect, Exit, type Fiber, FiberSet } from "effect"
import type { Prng } from "../../adapters/world/prng.ts"
import type { Life, Weather } from "../../adapters/world/weather.ts"
import { open as openBounded } from "../../runtime/mount/bounded.ts"
import { open as openReplica } from "../../runtime/mount/replica.ts"
import type {
  Answer,
  Answers,
  AsyncFiles,
  Errno,
  Later,
  Mount,
  Mounting,
  Operation,
  Request,
  Requests,
  SyncFiles
} from "../../runtime/ports/mount.ts"

type Outcome = Answer | Errno

interface Waiting {
  request: Request
  answer: (outcome: Outcome) => void
  isInterrupted: boolean
  hasBegun: boolean
  fiber: Fiber.Fiber<void> | undefined
}

interface Serving {
  readonly life: Life
  readonly sync: SyncFiles
  readonly files: AsyncFiles
  /** On its way to the synchronous part, which hears it before the next request. */
  readonly told: Array<unknown>
  readonly fork: (work: Effect.Effect<void>) => Fiber.Fiber<void>
}

const out = new Uint8Array(1024)

const isLater = (answer: unknown): answer is Later => typeof answer === "object" && answer !== null && "later" in answer

/** Records are filled again and again, and lists are taken from while they last. */
const kept = (answer: Outcome): Outcome => {
  if (typeof answer !== "object" || answer === null) return answer
  if (Symbol.iterator in answer && !ArrayBuffer.isView(answer) && !Array.isArray(answer))
    return Array.from(answer as Iterable<unknown>, (one) => structuredClone(one)) as never
  return structuredClone(answer)
}

const outcomeOf = (exit: Exit.Exit<Answer, Errno>): Outcome => {
  if (Exit.isSuccess(exit)) return kept(exit.value)
  const failed = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  if (failed !== undefined) return failed.error
  if (Exit.hasInterrupts(exit)) return "EINTR"
  throw new Error(`a request fell: ${String(exit.cause)}`)
}

const resultOf = <Op extends Operation>(outcome: Outcome): Exit.Exit<Answers[Op], Errno> =>
  typeof outcome === "string" ? Exit.fail(outcome as Errno) : Exit.succeed(outcome as Answers[Op])

type Fields<Op extends Operation> = Requests[Op] & { readonly node: number }

export class Kernel {
  private readonly weather: Weather
  private readonly prng: Prng
  private readonly waiting = new Map<number, Waiting>()
  private serving: Serving | undefined
  private nextId = 1
  private isDown = false
  private readonly answered: (request: Request) => void

  /** `answered` is called when a request is done, and before a process hears of it. */
  constructor(weather: Weather, prng: Prng, answered: (request: Request) => void) {
    this.answered = answered
    this.weather = weather
    this.prng = prng
  }

  /** A request of a process. It fails with an errno; a process that gives up interrupts it. */
  ask<Op extends Operation>(op: Op, fields: Fields<Op>): Effect.Effect<Answers[Op], Errno> {
    return Effect.callback<Answers[Op], Errno>((resume) => {
      const waiting = this.begin(op, fields, (outcome) => resume(resultOf<Op>(outcome)))
      // As with a signal: a process goes on when its request is answered, which is soon now.
      return Effect.callback<void>((left) => {
        if (this.isDown) return left(Effect.void)
        waiting.answer = () => {
          this.waiting.delete(waiting.request.id)
          left(Effect.void)
        }
        this.interrupt(waiting)
      })
    })
  }

  /** The same for a process that has a signal after so long, and goes on with what it is answered then. */
  askWithin<Op extends Operation>(op: Op, fields: Fields<Op>, ms: number): Effect.Effect<Answers[Op], Errno> {
    return Effect.gen({ self: this }, function* () {
      const answered = Deferred.makeUnsafe<Answers[Op], Errno>()
      const waiting = this.begin(op, fields, (outcome) => Deferred.doneUnsafe(answered, resultOf<Op>(outcome)))
      const inTime = yield* Effect.timeoutOption(Deferred.await(answered), ms)
      if (inTime._tag === "Some") return inTime.value
      this.interrupt(waiting)
      return yield* Deferred.await(answered)
    })
  }

  private begin<Op extends Operation>(op: Op, fields: Fields<Op>, answered: (outcome: Outcome) => void): Waiting {
    const id = this.nextId++
    const request = { op, ...fields, id, uid: 0, gid: 0, pid: id, resent: false } as unknown as Request
    const answer = (outcome: Outcome): void => {
      this.waiting.delete(id)
      answered(outcome)
    }
    const waiting: Waiting = { request, answer, isInterrupted: false, hasBegun: false, fiber: undefined }
    this.waiting.set(id, waiting)
    this.pass(waiting)
    return waiting
  }

  private interrupt(waiting: Waiting): void {
    waiting.isInterrupted = true
    this.passInterrupt(waiting)
  }

  /** In turn behind the request: a fibre that is interrupted before it begins would answer nothing. */
  private passInterrupt(waiting: Waiting): void {
    if (waiting.hasBegun) this.serving?.fork(Effect.sync(() => waiting.fiber?.interruptUnsafe()))
  }

  /** The host fell, and its processes with it. */
  fall(): void {
    this.isDown = true
    this.serving = undefined
    for (const { answer, isInterrupted } of this.waiting.values()) if (isInterrupted) answer("EINTR")
  }

  /** What was asked and is not answered, for who wonders why nothing goes on. */
  get unanswered(): string {
    return [...this.waiting.values()].map(({ request: { op, node } }) => `${op} ${node}`).join(", ")
  }

  private pass(waiting: Waiting): void {
    const { serving } = this
    if (serving === undefined || !serving.life.alive) return
    const { files, sync, told } = serving
    const { request } = waiting
    waiting.fiber = undefined
    for (const message of told.splice(0)) sync.heard?.(message)
    const first = sync[request.op] as ((request: Request, out: Uint8Array) => Outcome | Later) | undefined
    const answer = first?.(request, out) ?? undefined
    if (first !== undefined && !isLater(answer)) return waiting.answer(kept(answer))
    const later = isLater(answer) ? structuredClone(answer.later) : undefined
    const second = files[request.op] as ((request: Request, later: unknown) => Effect.Effect<Answer, Errno>) | undefined
    if (second === undefined) return waiting.answer("ENOSYS")
    const settle = (exit: Exit.Exit<Answer, Errno>): void => {
      if (serving.life.alive && this.serving === serving) waiting.answer(outcomeOf(exit))
    }
    // What is done may not be answered any more, when the process dies in between.
    const late = this.prng.chance(0.2) ? Effect.sleep(this.prng.below(100)) : Effect.void
    const work = Effect.uninterruptibleMask((restore) => {
      waiting.hasBegun = true
      if (waiting.isInterrupted) this.passInterrupt(waiting)
      return Effect.exit(restore(second(request, later))).pipe(
        Effect.tap((exit) => Effect.sync(() => Exit.isSuccess(exit) && this.answered(request))),
        Effect.tap(late),
        Effect.flatMap((exit) => Effect.sync(() => settle(exit)))
      )
    })
    waiting.hasBegun = false
    waiting.fiber = serving.fork(work)
  }

  private serve(serving: Serving): void {
    this.serving = serving
    for (const waiting of [...this.waiting.values()]) {
      this.weather.reach("request resent")
      waiting.request = { ...waiting.request, resent: true }
      this.pass(waiting)
    }
  }

  /** The port, as one life of a sidecar has it. */
  port(life: Life): Mount["Service"] {
    const mount = Effect.fnUntraced(function* (kernel: Kernel, { files, sync }: Mounting) {
      const run = yield* FiberSet.makeRuntime<never, void, never>()
      const clock = yield* Clock.Clock
      const nowMs = () => clock.currentTimeMillisUnsafe()
      const back: Array<unknown> = []
      const told: Array<unknown> = []
      const hear = Effect.sync(() => {
        for (const message of back.splice(0)) files.heard?.(message)
      })
      const tell = (message: unknown): void => {
        back.push(structuredClone(message))
        run(hear)
      }
      const open = sync.module.endsWith("/bounded.ts") ? openBounded : openReplica
      const serving: Serving = {
        ...{ life, files, told, sync: open(structuredClone(sync.data), { tell, nowMs }) },
        fork: (work) => run(work)
      }
      kernel.serve(serving)
      return {
        tell: (message: unknown) => void told.push(structuredClone(message)),
        invalidate: () => kernel.weather.reach("kernel told"),
        invalidated: Effect.void,
        ended: Effect.never
      }
    })
    return {
      mount: (mounting) => mount(this, mounting),
      unmount: () => Effect.void,
      look: () => Effect.succeed("free")
    }
  }
}
