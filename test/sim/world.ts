/** The real program on one thread: a seed picks which ready task runs next, and timers fire in virtual time. */
import { Clock, Context, Duration, Effect, Exit, Random, References, Scheduler } from "effect"
import { Prng } from "../../adapters/world/prng.ts"

interface Timer {
  readonly at: number
  readonly order: number
  readonly wake: () => void
  cancelled: boolean
}

/** The moment at which every world begins. */
const beginning = 1_700_000_000_000

export class World {
  readonly seed: number
  now = beginning
  steps = 0
  private readonly prng: Prng
  private readonly ready: Array<() => void> = []
  private readonly timers: Array<Timer> = []
  private timersMade = 0
  private hash = 0
  /** Called at the steps that a plan names, between two tasks. */
  private readonly interventions = new Map<number, Array<() => void>>()

  constructor(seed: number) {
    this.seed = seed
    this.prng = new Prng(seed).fork("scheduler")
  }

  /** Does something between two steps: what a crash at any moment needs. */
  atStep(step: number, intervene: () => void): void {
    const there = this.interventions.get(step)
    if (there === undefined) this.interventions.set(step, [intervene])
    else there.push(intervene)
  }

  /** Two runs of one seed have the same trace, or something in them is not of this world. */
  get trace(): string {
    return `${this.steps}/${this.now - beginning}/${(this.hash >>> 0).toString(16)}`
  }

  run<A, E>(program: Effect.Effect<A, E>, stepsMax = 2_000_000): A {
    const fiber = Effect.runForkWith(this.context())(program)
    let done: Exit.Exit<A, E> | undefined
    fiber.addObserver((exit) => {
      done = exit
    })
    while (done === undefined) {
      this.steps += 1
      if (this.steps > stepsMax) throw new Error(`seed ${this.seed}: nothing ended within ${stepsMax} steps`)
      this.step()
    }
    if (Exit.isSuccess(done)) return done.value
    throw new Error(`seed ${this.seed}: ${String(done.cause)}`)
  }

  private step(): void {
    const interventions = this.interventions.get(this.steps)
    if (interventions !== undefined) for (const intervene of interventions) intervene()
    if (this.ready.length === 0) {
      this.wakeNext()
      return
    }
    const index = this.prng.below(this.ready.length)
    const task = this.ready[index] as () => void
    const last = this.ready.pop() as () => void
    if (index < this.ready.length) this.ready[index] = last
    this.hash = Math.imul(this.hash ^ (index + this.ready.length), 0x01000193)
    task()
  }

  private wakeNext(): void {
    for (let timer = this.takeTimer(); timer !== undefined; timer = this.takeTimer()) {
      if (timer.cancelled) continue
      this.now = Math.max(this.now, timer.at)
      this.hash = Math.imul(this.hash ^ timer.at, 0x01000193)
      timer.wake()
      return
    }
    throw new Error(`seed ${this.seed}: everything waits, and nothing will come; a Promise may have got in`)
  }

  /** Timers are kept in the order in which they fire, the latest first, so that the next one is the last. */
  private takeTimer(): Timer | undefined {
    return this.timers.pop()
  }

  private addTimer(at: number, wake: () => void): Timer {
    const timer: Timer = { at, order: this.timersMade++, wake, cancelled: false }
    let low = 0
    let high = this.timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.timers[middle] as Timer).at > at) low = middle + 1
      else high = middle
    }
    this.timers.splice(low, 0, timer)
    return timer
  }

  private context(): Context.Context<never> {
    const nanos = () => BigInt(this.now) * 1_000_000n
    const sleep = (duration: Duration.Duration) =>
      Effect.callback<void>((resume) => {
        const timer = this.addTimer(Math.ceil(this.now + Math.max(0, Duration.toMillis(duration))), () =>
          resume(Effect.void)
        )
        return Effect.sync(() => {
          timer.cancelled = true
        })
      })
    const random = this.prng.fork("random")
    return Context.make(Scheduler.Scheduler, {
      executionMode: "async" as const,
      // A fibre can lose its turn between any two of its steps.
      shouldYield: () => this.prng.chance(0.02),
      makeDispatcher: () => ({
        scheduleTask: (task: () => void) => void this.ready.push(task),
        flush: () => {}
      })
    }).pipe(
      Context.add(Clock.Clock, {
        currentTimeMillisUnsafe: () => this.now,
        currentTimeMillis: Effect.sync(() => this.now),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: nanos,
        monotonicTimeNanos: Effect.sync(nanos),
        sleep
      }),
      Context.add(Random.Random, {
        nextIntUnsafe: () => random.below(2 ** 31),
        nextDoubleUnsafe: () => random.next()
      }),
      Context.add(References.MinimumLogLevel, process.env["SIM_LOG"] === undefined ? "None" : "Debug")
    ) as Context.Context<never>
  }
}
