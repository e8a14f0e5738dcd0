/** What goes wrong in a simulated world, and how often: one place that every faulty adapter asks. */
import { Effect } from "effect"
import { Prng } from "./prng.ts"

export type Service = "bus" | "journal" | "objects" | "registry"

/** Probabilities of one operation, unless they say otherwise. */
export interface Faults {
  readonly delayMsMax: number
  /** The request does not arrive. */
  readonly lost: number
  /** It arrives and is done, and the answer does not come back. */
  readonly lostAck: number
  /** A message arrives twice. */
  readonly duplicated: number
  /** It takes twenty times as long. */
  readonly slow: number
}

export const calm: Faults = { delayMsMax: 2, lost: 0, lostAck: 0, duplicated: 0, slow: 0 }

/** One run of a node's or a client's process: what it had under way dies with it, what it had sent does not. */
export interface Life {
  readonly name: string
  alive: boolean
}

export class Weather {
  /** Runs what nobody waits for: a message on its way outlives its sender. */
  readonly run: (travel: Effect.Effect<void>) => void
  private readonly prng: Prng
  private faults: Readonly<Record<Service, Faults>>
  private readonly cuts = new Set<string>()
  isHealed = false
  /** How often each thing happened that a scenario wants to have happened. */
  readonly reached = new Map<string, number>()

  constructor(seed: number, faults: Readonly<Record<Service, Faults>>, run: (travel: Effect.Effect<void>) => void) {
    this.prng = new Prng(seed).fork("weather")
    this.run = run
    this.faults = faults
  }

  reach(what: string, times = 1): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + times)
  }

  /** From now on nothing goes wrong. */
  heal(): void {
    this.faults = { bus: calm, journal: calm, objects: calm, registry: calm }
    this.cuts.clear()
    this.isHealed = true
  }

  cut(name: string, service: Service): void {
    if (this.isHealed) return
    this.cuts.add(`${name}/${service}`)
    this.reach(`cut from ${service}`)
  }

  mend(name: string, service: Service): void {
    this.cuts.delete(`${name}/${service}`)
  }

  isCut(name: string, service: Service): boolean {
    return this.cuts.has(`${name}/${service}`)
  }

  chance(service: Service, fault: "lost" | "lostAck" | "duplicated"): boolean {
    const happens = this.prng.chance(this.faults[service][fault])
    if (happens) this.reach(`${service} ${fault}`)
    return happens
  }

  pickDelayMs(service: Service): number {
    const { delayMsMax, slow } = this.faults[service]
    const delay = this.prng.below(delayMsMax + 1)
    return this.prng.chance(slow) ? delay * 20 : delay
  }

  delay(service: Service): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(this.pickDelayMs(service)))
  }

  /** One operation on a service, as a life sees it: late, perhaps not done, perhaps done without its knowing. */
  operate<A, E, F>(
    life: Life,
    service: Service,
    operation: Effect.Effect<A, E>,
    down: (why: string) => F
  ): Effect.Effect<A, E | F> {
    const weather = this
    return Effect.gen(function* () {
      if (!life.alive) return yield* Effect.never
      yield* weather.delay(service)
      if (weather.isCut(life.name, service) || weather.chance(service, "lost"))
        return yield* Effect.fail(down("the request was lost"))
      if (!life.alive) return yield* Effect.never
      const done = yield* operation
      yield* weather.delay(service)
      if (weather.isCut(life.name, service) || weather.chance(service, "lostAck"))
        return yield* Effect.fail(down("the answer was lost"))
      if (!life.alive) return yield* Effect.never
      return done
    })
  }
}
