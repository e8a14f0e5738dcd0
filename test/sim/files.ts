/**
 * Files in a simulated world: two hosts have a workspace mounted, with programs on them that write, lock and rename;
 * nodes own the workspace; everything fails that can. In the end a third host has to find what all were told.
 */
import { Effect, Fiber, type Scope } from "effect"
import { mountSessionDecider } from "../../actors/mount-session/session.ts"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { Prng } from "../../adapters/world/prng.ts"
import type { Life } from "../../adapters/world/weather.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { client } from "../../runtime/client.ts"
import { Outline } from "../../runtime/mount/outline.ts"
import type { Sidecar } from "../../runtime/mount/sidecar.ts"
import { leased } from "../../runtime/placement/leased.ts"
import type { Request } from "../../runtime/ports/mount.ts"
import type { Objects } from "../../runtime/ports/objects.ts"
import { isOneHistory } from "./checkers.ts"
import { type App, Appender, type Around, Scribe } from "./files-apps.ts"
import { fingerprint, leaked, type Stored, truthOf } from "./files-checkers.ts"
import { Claims, Maker } from "./files-makers.ts"
import { MountHost, workspace } from "./files-mount.ts"
import type { FilesPlan } from "./files-plan.ts"
import { SeenElsewhere } from "./files-seen.ts"
import { Counter, Namer, raisedTwice } from "./files-sharing.ts"
import { crashes, cuts, type Ground, groundOf, Host, portsOf } from "./host.ts"
import { World } from "./world.ts"

const kinds = new Map(
  [workspaceDecider, mountSessionDecider].map((decider) => {
    const kind = kindOf(decider as never)
    return [kind.name, kind] as const
  })
)
const lease = { ttlMs: 3_000, marginMs: 500 }
/** Longer than anything that a mount still waits for. */
const quietMs = 3_000
/** Within this programs have come to their end, whatever went wrong meanwhile, and the healed world to its. */
const patienceMs = 400_000

export interface Told {
  readonly violation: string | undefined
  readonly reached: ReadonlyMap<string, number>
  readonly trace: string
  readonly steps: number
  readonly entries: number
}

/** The store remembers when each object first came; and now and then it gives something else than it took. */
const remembering = (
  inner: Objects["Service"],
  stored: Map<string, Stored>,
  now: () => number,
  isDamaged: () => boolean
): Objects["Service"] => ({
  ...inner,
  get: (key, range) =>
    Effect.map(inner.get(key, range), (bytes) => {
      if (key.startsWith("acme/") && bytes.length > 0 && isDamaged()) bytes[0] = (bytes[0] as number) ^ 255
      return bytes
    }),
  put: (key, bytes) =>
    Effect.suspend(() => {
      if (key.startsWith("acme/") && !stored.has(key)) stored.set(key, { at: now(), bytes: new Uint8Array(bytes) })
      return inner.put(key, bytes)
    })
})

const node = (ground: Ground, life: Life) =>
  Effect.gen(function* () {
    const { plan } = ground
    const ports = yield* portsOf(ground, life)
    const hosting = { node: life.name, kinds, settings: plan.settings, client: client(ports.bus, plan.settings.shards) }
    yield* leased(ports, hosting, lease)
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.orDie)

/** Every state that a replica came through, by version. */
class Replicas {
  readonly seen: Array<{ readonly of: string; readonly version: number; readonly print: string }> = []
  private readonly reach: (what: string) => void

  constructor(reach: (what: string) => void) {
    this.reach = reach
  }

  watch(of: string, { view }: Sidecar): void {
    // What holds no replica cannot hold a wrong one.
    if (view instanceof Outline) return
    const foresee = view.foresee.bind(view)
    view.foresee = (events) => {
      for (const { _tag } of events) this.reach(`ahead ${_tag}`)
      this.reach("made ahead")
      foresee(events)
    }
    const note = () => {
      // What is made ahead shows before its version.
      if ((view.ahead?.depth ?? 0) > 0) return
      this.seen.push({ of, version: view.version, print: fingerprint(view.tree) })
    }
    const load = view.load.bind(view)
    const apply = view.apply.bind(view)
    view.load = (bytes, version) => {
      load(bytes, version)
      note()
    }
    view.apply = (entries) => {
      apply(entries)
      note()
    }
    note()
  }

  fault(prints: ReadonlyArray<string>): string | undefined {
    const wrong = this.seen.find(({ version, print }) => prints[version] !== print)
    return wrong && `the replica of ${wrong.of} is another one than the actor at version ${wrong.version}`
  }
}

const run = (world: World, hosts: ReadonlyArray<MountHost>, plan: FilesPlan, apps: ReadonlyArray<App>) =>
  Effect.gen(function* () {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    let isOver = false
    const later = (atMs: number, work: Effect.Effect<void>) =>
      void fork(
        Effect.andThen(
          Effect.sleep(atMs),
          Effect.suspend(() => (isOver ? Effect.void : work))
        )
      )
    const running = new Map<App, Fiber.Fiber<void>>()
    const begin = (app: App) => void running.set(app, fork(app.work))
    for (const app of apps) begin(app)
    for (const { step, mount, torn } of plan.kills) world.atStep(step, () => hosts[mount]?.kill(torn))
    for (const { atMs, mount, downMs, disk } of plan.falls) {
      const host = hosts[mount] as MountHost
      const own = apps.filter((app) => app.mount === host)
      const fall = Effect.sync(() => {
        host.fall(disk)
        for (const app of own) {
          running.get(app)?.interruptUnsafe()
          app.fell()
        }
      })
      const rise = Effect.sync(() => {
        host.start()
        for (const app of own) begin(app)
      })
      later(atMs, fall.pipe(Effect.andThen(Effect.sleep(downMs)), Effect.andThen(rise)))
    }
    for (;;) {
      const left = [...running.values()]
      for (const fiber of left) yield* Fiber.await(fiber)
      // Those whose host fell have been begun again, or will be.
      if (hosts.every((host) => host.isUp) && left.every((fiber) => [...running.values()].includes(fiber))) break
      yield* Effect.sleep(100)
    }
    isOver = true
  })

/** Limits come and go, and it is remembered when there were any. */
class Limits {
  private readonly ground: Ground
  private readonly now: () => number
  /** Until when there may be one. */
  private last = 0
  private isOver = false

  constructor(ground: Ground, now: () => number) {
    this.ground = ground
    this.now = now
  }

  readonly wasLimited = (since: number): boolean => this.last > since

  readonly set = Effect.fnUntraced(function* (this: Limits, bytesMax: number, entriesMax: number) {
    if (this.isOver) return
    const { network, plan, weather } = this.ground
    const { ask } = client(network.attach({ name: "admin", alive: true }), plan.settings.shards)
    const address = { verb: "do", kind: "workspace", id: workspace, caller: "admin", name: "Configure" } as const
    const body = JSON.stringify({ bytesMax, entriesMax })
    if (bytesMax > 0) this.last = Number.POSITIVE_INFINITY
    while ((yield* Effect.option(ask({ ...address, body })))._tag === "None") yield* Effect.sleep(100)
    if (bytesMax > 0) weather.reach("limited")
    // What was under way when it was lifted can still be refused.
    else this.last = this.now() + 1_000
  })

  readonly lift = Effect.fnUntraced(function* (this: Limits) {
    yield* this.set(0, 0)
    this.isOver = true
  })
}

const appsOf = (hosts: ReadonlyArray<MountHost>, plan: FilesPlan, around: (name: string) => Around) => {
  const { flock, isServed } = plan
  const counters: Array<Counter> = []
  const claims = new Claims()
  const lapses = { at: 0 }
  const apps = hosts.flatMap((host, number): ReadonlyArray<App> => {
    const own = (what: string) => `${what}-${number}`
    const owner = `00000000000000${10 + number}`
    const counter = new Counter(own("count"), host, { file: "number", owner, flock, lapses }, around(own("count")))
    counters.push(counter)
    return [
      new Scribe(own("scribe"), host, around(own("scribe"))),
      new Appender(own("append"), host, "log", around(own("append"))),
      new Maker(own("makes"), host, claims, { ...around(own("makes")), isServed: isServed[number] === true }),
      new Namer(own("names"), host, around(own("names"))),
      counter
    ]
  })
  return { apps, claims, counters }
}

/** In the healed world everybody is content, and hosts that knew nothing read what the others were told. */
const judged = Effect.fnUntraced(function* (
  hosts: ReadonlyArray<MountHost>,
  fresh: MountHost,
  apps: ReadonlyArray<App>
) {
  for (const app of apps) yield* app.settle
  yield* Effect.sleep(quietMs)
  fresh.start()
  for (const host of [fresh, ...hosts])
    for (const app of apps)
      yield* app
        .check(host)
        .pipe(Effect.catch((errno) => Effect.sync(() => void app.faults.push(`${app.name}: ${errno} on ${host.name}`))))
  for (const host of [...hosts, fresh]) yield* host.unmount()
  yield* Effect.sleep(quietMs)
})

const program: (plan: FilesPlan, world: World) => Effect.Effect<Told, never, Scope.Scope> = Effect.fnUntraced(
  function* (plan, world) {
    const bare = yield* groundOf(plan)
    const stored = new Map<string, Stored>()
    const { logs, weather } = bare
    const prng = new Prng(plan.seed).fork("damage")
    let damages = 0
    // Never twice in a row: what is asked for once more is whole.
    const isDamaged = () => {
      damages = !weather.isHealed && damages === 0 && prng.chance(0.1) ? 1 : 0
      if (damages > 0) weather.reach("block damaged")
      return damages > 0
    }
    const ground: Ground = { ...bare, objects: remembering(bare.objects, stored, () => world.now, isDamaged) }
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const nodes = Array.from(
      { length: plan.nodes },
      (_, index) => new Host(`n${index}`, weather, fork, (life) => node(ground, life))
    )
    for (const one of nodes) one.start()
    const replicas = new Replicas((what) => weather.reach(what))
    const seen = new SeenElsewhere((what) => weather.reach(what))
    const watched = (name: string) => ({
      view: (made: Sidecar, life: Life) => {
        replicas.watch(name, made)
        seen.watch(name, made, life)
      },
      answered: (request: Request) => seen.answered(name, request)
    })
    const host = (name: string, isBounded = false) => new MountHost(name, ground, watched(name), fork, isBounded)
    const hosts = plan.bounded.map((isBounded, index) => host(`m${index}`, isBounded))
    for (const one of hosts) one.start()
    const forked = (work: Effect.Effect<void>) => void fork(work)
    crashes(plan, world, forked, (index) => nodes.slice(index, index + 1))
    cuts(ground, forked)
    cuts({ ...ground, plan: { ...plan, cuts: plan.lonely } }, forked, "m")
    const limits = new Limits(ground, () => world.now)
    for (const { atMs, forMs, bytesMax, entriesMax } of plan.limits)
      forked(
        Effect.sleep(atMs).pipe(
          Effect.andThen(limits.set(bytesMax, entriesMax)),
          Effect.andThen(Effect.sleep(forMs)),
          Effect.andThen(limits.set(0, 0))
        )
      )
    let value = 0
    const around = (name: string): Around => ({
      prng: new Prng(plan.seed).fork(name),
      steps: plan.steps,
      base: plan.base,
      nextValue: () => ++value,
      wasLimited: limits.wasLimited,
      now: () => world.now,
      reach: (what) => weather.reach(what)
    })
    const { apps, claims, counters } = appsOf(hosts, plan, around)
    const asked = () => hosts.map(({ name, kernel }) => `${name} ${kernel.unanswered}`).join("; ")
    let stuck = ""
    const orStuck = (what: string) =>
      Effect.timeoutOrElse({
        duration: patienceMs,
        orElse: () =>
          Effect.sync(() => {
            stuck = `${what}: ${asked()}`
          })
      })
    yield* run(world, hosts, plan, apps).pipe(orStuck("programs do not come to an end"))
    weather.heal()
    yield* limits.lift()
    for (const one of nodes) one.start()
    if (stuck === "") yield* judged(hosts, host("fresh"), apps).pipe(orStuck("a healed world does not come to an end"))
    const { fault, prints, tree, events } = truthOf(logs.ledger, stored)
    for (const [tag, times] of events) weather.reach(`event ${tag}`, times)
    const violation =
      isOneHistory(logs.ledger) ??
      fault ??
      replicas.fault(prints) ??
      seen.fault ??
      apps.flatMap(({ faults }) => faults)[0] ??
      raisedTwice(counters) ??
      claims.fault ??
      leaked(tree, stored) ??
      (stuck === "" ? undefined : stuck)
    return { violation, reached: weather.reached, trace: world.trace, steps: world.steps, entries: logs.ledger.length }
  }
)

export const runFiles = (plan: FilesPlan): Told => {
  const world = new World(plan.seed)
  try {
    return world.run(Effect.scoped(program(plan, world)))
  } catch (error) {
    const violation = error instanceof Error ? error.message : String(error)
    return { violation, reached: new Map(), trace: world.trace, steps: world.steps, entries: 0 }
  }
}
