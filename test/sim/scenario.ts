/**
 * One world from its plan: nodes and clients under faults, then a healed world in which everything is answered, then
 * the checks.
 */
import { Clock, Effect, Fiber, Schedule, Stream } from "effect"
import { accountDecider } from "../../actors/account/account.ts"
import type { Life } from "../../adapters/world/weather.ts"
import type { EventOf } from "../../messages/protocol.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { client } from "../../runtime/client.ts"
import { type Fold, type Followed, follow } from "../../runtime/follow.ts"
import { leased } from "../../runtime/placement/leased.ts"
import { type Balance, type Bank, bankDecider, bankKind } from "./bank.ts"
import * as checkers from "./checkers.ts"
import type { Asked } from "./history.ts"
import { type Ground as BareGround, crashes, cuts, groundOf, Host, portsOf } from "./host.ts"
import type { Op, Plan, Step } from "./plan.ts"
import { World } from "./world.ts"

const kinds = new Map([
  ["bank", bankKind],
  ["account", kindOf(accountDecider)]
])

const lease = { ttlMs: 400, marginMs: 80 }
/** How long a client keeps on asking while things go wrong, and how long once they do not any more. */
const patienceMs = 3_000
const healedPatienceMs = 60_000
/** Longer than any timer of the workload, and than it takes an outbox to send what it owes. */
const quietMs = 20_000

export interface Outcome {
  readonly violation: string | undefined
  readonly reached: ReadonlyMap<string, number>
  readonly trace: string
  readonly steps: number
  readonly entries: number
}

/** What all processes of the world share, and what is written down of them. */
interface Ground extends BareGround {
  readonly history: Array<Asked>
  /** Every state that each replica came through, by version. */
  readonly replicas: Map<string, Map<number, Balance>>
  readonly followers: Map<string, Followed>
}

const node = (ground: Ground, life: Life) =>
  Effect.gen(function* () {
    const { plan } = ground
    const ports = yield* portsOf(ground, life)
    const asking = client(ports.bus, plan.settings.shards)
    // Where hosts do not tell whether a process before has died, its lease has to end.
    const home = plan.seed % 2 === 0 ? { home: life.name } : {}
    const hosting = { node: life.name, ...home, kinds, settings: plan.settings, client: asking }
    yield* leased(ports, hosting, lease)
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.orDie)

const actor = (ground: Ground, index: number, steps: ReadonlyArray<Step>) => {
  const life: Life = { name: `c${index}`, alive: true }
  const { ask } = client(ground.network.attach(life), ground.plan.settings.shards)
  return Effect.gen(function* () {
    for (const [count, step] of steps.entries()) {
      yield* Effect.sleep(step.pauseMs)
      const commandId = `c${index}-${count}`
      yield* askOnce(ground, ask, { client: index, op: step.op, commandId, patienceMs })
      if (!step.repeat || step.op.verb === "ask") continue
      ground.weather.reach("repeated")
      yield* askOnce(ground, ask, { client: index, op: step.op, commandId, patienceMs })
    }
  })
}

const askOnce = Effect.fnUntraced(function* (
  ground: Ground,
  ask: ReturnType<typeof client>["ask"],
  asking: { readonly client: number; readonly op: Op; readonly commandId: string; readonly patienceMs: number }
) {
  const { op, commandId } = asking
  const startedAt = yield* Clock.currentTimeMillis
  const { kind, id, verb, name } = op
  const body = JSON.stringify(op.fields)
  const answer = yield* ask({
    verb,
    kind,
    id,
    caller: "tester",
    name,
    body,
    commandId,
    patienceMs: asking.patienceMs
  }).pipe(Effect.catch(() => Effect.succeed(undefined)))
  const endedAt = yield* Clock.currentTimeMillis
  ground.weather.reach(answer === undefined ? "unanswered" : `answered ${Object.keys(answer)[0]}`)
  if (answer !== undefined && "failed" in answer) ground.weather.reach(`failed ${answer.failed._tag}`)
  ground.history.push({ client: asking.client, op, commandId, startedAt, endedAt, answer })
  return answer
})

const trouble = (
  ground: Ground,
  hosts: ReadonlyArray<Host>,
  world: World,
  run: (effect: Effect.Effect<void>) => void
) => {
  const { plan } = ground
  // Snapshots can be missing when a node starts; under a living one they are as durable as the store they are in.
  const struck = (index: number) => (plan.wipe ? hosts : hosts.slice(index, index + 1))
  const between = Effect.suspend(() => (plan.wipe && !hosts.some((host) => host.isUp) ? wipe(ground) : Effect.void))
  crashes(plan, world, run, struck, between)
  cuts(ground, run)
}

const wipe = Effect.fnUntraced(function* ({ objects, weather }: Ground) {
  weather.reach("snapshots wiped")
  yield* objects.list("snapshots/").pipe(
    Stream.runForEach((page) => objects.remove(page.map(({ key }) => key))),
    Effect.orDie
  )
})

/** Folds what it hears of one bank from outside, and keeps every state it came through. */
const replica = Effect.fnUntraced(function* (ground: Ground, id: string) {
  const life: Life = { name: `r-${id}`, alive: true }
  const bus = ground.network.attach(life)
  const { shards } = ground.plan.settings
  const target = { kind: "bank", id, caller: "replica", shards }
  const states = new Map<number, Balance>()
  ground.replicas.set(`bank/${id}`, states)
  let state = bankDecider.initial(id)
  const fold: Fold = {
    load: (bytes, version) => {
      state = bankDecider.load(bytes, id)
      states.set(version, { ...state })
      ground.weather.reach("state taken")
    },
    apply: (entries) => {
      for (const { version, at, events } of entries) {
        for (const event of events) state = bankDecider.evolve(state, event as EventOf<Bank>, at)
        states.set(version, { ...state })
      }
    }
  }
  const followed = yield* follow(bus, client(bus, shards), target, fold).pipe(
    Effect.retry(Schedule.spaced("100 millis")),
    Effect.orDie
  )
  ground.followers.set(`bank/${id}`, followed)
  return yield* Effect.never
}, Effect.scoped)

/** The healed world: nobody is refused for want of an owner, and everybody agrees with the log. */
const settle = Effect.fnUntraced(function* (ground: Ground) {
  const life: Life = { name: "last", alive: true }
  const { ask } = client(ground.network.attach(life), ground.plan.settings.shards)
  let count = 0
  const once = (op: Op) => {
    count += 1
    return askOnce(ground, ask, { client: -1, op, commandId: `last-${count}`, patienceMs: healedPatienceMs })
  }
  for (const id of ["b0", "b1", "b2"]) {
    const answer = yield* once({ kind: "bank", id, verb: "do", name: "Deposit", fields: { amount: 1 } })
    if (answer === undefined || !("ok" in answer))
      return `bank/${id} does not take a deposit in a healed world: ${JSON.stringify(answer)}`
  }
  yield* Effect.sleep(quietMs)
  for (const id of ["b0", "b1", "b2"]) {
    const answer = yield* once({ kind: "bank", id, verb: "ask", name: "Balance", fields: {} })
    if (answer === undefined || !("ok" in answer))
      return `bank/${id} does not answer in a healed world: ${JSON.stringify(answer)}`
  }
  return undefined
})

const program = Effect.fnUntraced(function* (plan: Plan, world: World) {
  const bare = yield* groundOf(plan)
  const ground: Ground = { ...bare, history: [], replicas: new Map(), followers: new Map() }
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const hosts = Array.from(
    { length: plan.nodes },
    (_, index) => new Host(`n${index}`, ground.weather, fork, (life) => node(ground, life))
  )
  for (const host of hosts) host.start()
  trouble(ground, hosts, world, (effect) => void fork(effect))
  for (const id of ["b0", "b1"]) fork(replica(ground, id))
  const clients = plan.clients.map((steps, index) => fork(actor(ground, index, steps)))
  for (const fiber of clients) yield* Fiber.join(fiber)
  ground.weather.heal()
  for (const host of hosts) host.start()
  const stuck = yield* settle(ground)
  return { ground, stuck }
})

/** What can be read off the ledger, rather than counted where it happens. */
const countReached = ({ weather, logs, history }: Ground): void => {
  for (const { epoch, placed } of logs.ledger) {
    if (epoch > 1) weather.reach("taken over")
    if (placed.entry.caller === "timer") weather.reach("timer fired")
    if (placed.entry.caller === "outbox" && placed.entry.kind === "bank") weather.reach("obligation met")
  }
  const answered = new Set<string>()
  for (const { commandId, answer } of history) {
    if (answer === undefined || !("ok" in answer)) continue
    if (answered.has(commandId)) weather.reach("answered from the window")
    answered.add(commandId)
  }
}

const check = (ground: Ground): string | undefined => {
  const { history } = ground
  const { ledger } = ground.logs
  const whole = checkers.isOneHistory(ledger)
  if (whole !== undefined) return whole
  const lives = checkers.livesOf(ledger)
  return (
    checkers.isNothingLost(lives, history) ??
    checkers.isReplayTrue(lives) ??
    checkers.isLinear(lives, history) ??
    checkers.isInOrder(lives, history) ??
    checkers.isMoneyKept(lives) ??
    checkers.isReplicaTrue(lives, ground.replicas) ??
    checkers.isRegistrySound(lives)
  )
}

export const runWorld = (plan: Plan): Outcome => {
  const world = new World(plan.seed)
  let ground: Ground | undefined
  let violation: string | undefined
  try {
    const ended = world.run(Effect.scoped(program(plan, world)))
    ground = ended.ground
    countReached(ended.ground)
    violation = ended.stuck ?? check(ended.ground)
  } catch (error) {
    violation = error instanceof Error ? error.message : String(error)
  }
  return {
    violation,
    reached: ground?.weather.reached ?? new Map(),
    trace: world.trace,
    steps: world.steps,
    entries: ground?.logs.ledger.length ?? 0
  }
}
