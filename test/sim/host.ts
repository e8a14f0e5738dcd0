/**
 * What simulated worlds have in common: the ground that all processes stand on, processes that are started and killed,
 * and the trouble that a plan makes.
 */
import { Context, Effect, type Fiber, Layer } from "effect"
import { layer as memoryJournal } from "../../adapters/memory/journal.ts"
import { make as memoryObjects } from "../../adapters/memory/objects.ts"
import { layer as memoryRegistry } from "../../adapters/memory/registry.ts"
import { Network } from "../../adapters/world/bus.ts"
import { Logs } from "../../adapters/world/journal.ts"
import { faultyObjects } from "../../adapters/world/objects.ts"
import { faultyRegistry } from "../../adapters/world/registry.ts"
import { type Life, Weather } from "../../adapters/world/weather.ts"
import { Journal } from "../../runtime/ports/journal.ts"
import { Objects } from "../../runtime/ports/objects.ts"
import { Registry } from "../../runtime/ports/registry.ts"
import { Snapshots } from "../../runtime/ports/snapshots.ts"
import { layer as snapshotsLayer } from "../../runtime/snapshots.ts"
import type { Plan } from "./plan.ts"
import type { World } from "./world.ts"

/** What all processes of a world share. */
export interface Ground {
  readonly plan: Plan
  readonly weather: Weather
  readonly network: Network
  readonly logs: Logs
  readonly objects: Objects["Service"]
  readonly registry: Registry["Service"]
}

export const groundOf = Effect.fnUntraced(function* (plan: Plan) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const weather = new Weather(plan.seed, plan.faults, (travel) => void run(travel))
  const journal = Context.get(yield* Layer.build(memoryJournal()), Journal)
  const registry = Context.get(yield* Layer.build(memoryRegistry()), Registry)
  const ground: Ground = {
    plan,
    weather,
    network: new Network(weather),
    logs: new Logs(journal, weather, plan),
    objects: memoryObjects(),
    registry
  }
  return ground
})

/** The ports of a node, as one life of it sees them. */
export const portsOf = Effect.fnUntraced(function* (ground: Ground, life: Life) {
  const { weather } = ground
  const objects = faultyObjects(ground.objects, weather, life)
  const layer = Layer.provide(snapshotsLayer(), Layer.succeed(Objects, objects))
  const snapshots = Context.get(yield* Layer.build(layer), Snapshots)
  const bus = ground.network.attach(life)
  const journal = ground.logs.attach(life)
  const registry = faultyRegistry(ground.registry, weather, life)
  return { objects, snapshots, bus, journal, registry }
})

/** A process that runs for ever; it says when it can be reached, and by what. */
type Process<Reached> = (life: Life, ready: (reached: Reached) => void) => Effect.Effect<never>

type Run = (effect: Effect.Effect<never>) => Fiber.Fiber<never>

/** A process that is started, killed at any moment, and started again. */
export class Host<Reached = never> {
  readonly name: string
  reached: Reached | undefined
  private readonly weather: Weather
  private readonly run: Run
  private readonly process: Process<Reached>
  private life: Life | undefined
  private fiber: Fiber.Fiber<never> | undefined

  constructor(name: string, weather: Weather, run: Run, process: Process<Reached>) {
    this.name = name
    this.weather = weather
    this.run = run
    this.process = process
  }

  get isUp(): boolean {
    return this.life !== undefined
  }

  start(): void {
    if (this.life !== undefined) return
    const life: Life = { name: this.name, alive: true }
    this.life = life
    this.fiber = this.run(
      this.process(life, (reached) => {
        if (life.alive) this.reached = reached
      })
    )
  }

  /** As kill -9 does it: nothing is said to anybody, and what is under way arrives all the same. */
  kill(what = "killed"): void {
    if (this.life === undefined) return
    this.weather.reach(what)
    this.life.alive = false
    this.life = undefined
    this.reached = undefined
    this.fiber?.interruptUnsafe()
    this.fiber = undefined
  }
}

interface Starting {
  readonly kill: () => void
  readonly start: () => void
}

/** Kills what a plan says at its steps, and starts it again later. Those that fall together rise together. */
export const crashes = (
  plan: Pick<Plan, "crashes">,
  world: World,
  run: (work: Effect.Effect<void>) => void,
  struck: (node: number) => ReadonlyArray<Starting>,
  between: Effect.Effect<void> = Effect.void
): void => {
  for (const { step, node, downMs } of plan.crashes)
    world.atStep(step, () => {
      const falling = struck(node)
      for (const one of falling) one.kill()
      const rise = Effect.sync(() => {
        for (const one of falling) one.start()
      })
      run(Effect.sleep(downMs).pipe(Effect.andThen(between), Effect.andThen(rise)))
    })
}

export const cuts = ({ plan, weather }: Ground, run: (work: Effect.Effect<void>) => void, prefix = "n"): void => {
  for (const { atMs, forMs, node, service } of plan.cuts) {
    const name = `${prefix}${node}`
    const cut = Effect.sync(() => weather.cut(name, service))
    const mend = Effect.sync(() => weather.mend(name, service))
    run(Effect.sleep(atMs).pipe(Effect.andThen(cut), Effect.andThen(Effect.sleep(forMs)), Effect.andThen(mend)))
  }
}
