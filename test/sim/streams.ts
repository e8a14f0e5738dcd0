/**
 * Streams in a simulated world: nodes that own partitions, fold each other's and move data into segments, under faults;
 * producers and readers who go from node to node; and in the end every tail that was told is checked.
 */
import { Clock, Effect, Fiber, FiberMap, type Scope } from "effect"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { Life } from "../../adapters/world/weather.ts"
import { partitionKind } from "../../messages/stream.ts"
import type { Appended, Payload } from "../../messages/stream-partition.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { client } from "../../runtime/client.ts"
import { heedful } from "../../runtime/placement/heedful.ts"
import { leased } from "../../runtime/placement/leased.ts"
import { announced } from "../../runtime/streams/announced.ts"
import { Live } from "../../runtime/streams/live.ts"
import { isSheet, type Opened, open } from "../../runtime/streams/open.ts"
import { type Command, type Outcome, Partitions } from "../../runtime/streams/partitions.ts"
import { Replicas } from "../../runtime/streams/replicas.ts"
import { Sealer } from "../../runtime/streams/sealer.ts"
import { Store } from "../../runtime/streams/store.ts"
import { type Ground as BareGround, crashes, cuts, groundOf, Host, portsOf } from "./host.ts"
import { leftovers } from "./leftovers.ts"
import { type Plan, planOf } from "./plan.ts"
import { type Op, tailFaults } from "./tails.ts"
import { World } from "./world.ts"

const kinds = new Map([[partitionKind, kindOf(partitionDecider)]])
const lease = { ttlMs: 400, marginMs: 80 }
/** So little that the smallest streams are moved. */
const sealing = { hotBytes: 600, idleMs: 200, everyMs: 40, graceMs: 300, mergeMs: 40, mergeLeast: 2, plannedMs: 1_000 }
const keys = ["sim/a", "sim/b"]
const contentType = "application/octet-stream"
/** A node that has died never answers: another one is asked then. */
const askMs = 1_500

interface Ground extends BareGround {
  readonly ops: Map<string, Array<Op>>
  /** What was read of a stream from its start, while others wrote. */
  readonly read: Array<{ readonly key: string; readonly bytes: Buffer }>
}

/** What of a node its clients reach. */
export interface Reached {
  readonly partitions: Partitions
  readonly store: Store
}

export const node = (ground: BareGround, life: Life, ready: (reached: Reached) => void) =>
  Effect.gen(function* () {
    const { plan, weather } = ground
    const { shards } = plan.settings
    const { objects, snapshots, bus, journal, registry } = yield* portsOf(ground, life)
    const live = new Live()
    const heeding = yield* heedful(bus)
    const asking = client(heeding, shards)
    const hosting = { node: life.name, kinds, settings: plan.settings, client: asking, heard: live.heard }
    const { serving } = yield* leased({ bus, journal, snapshots, registry }, hosting, lease)
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const runOne = yield* FiberMap.runtime(yield* FiberMap.make<number, unknown, unknown>())()
    const replicas = new Replicas({
      ...{ bus, client: asking, live, shards, now },
      isServedHere: (partition) => serving(partition)?.mayAnswer() === true,
      ask: (work) => void fork(work),
      run: (partition, work) => runOne(partition, Effect.scoped(work))
    })
    const run = (work: Effect.Effect<void>) => void fork(work)
    const around = {
      shards,
      bus: heeding,
      serving,
      client: asking,
      now,
      replicas,
      run,
      idPrefix: `${life.name}-${now()}`
    }
    const partitions = new Partitions(around)
    yield* Effect.forkScoped(replicas.look)
    const sealer = new Sealer(partitions, objects, sealing)
    yield* Effect.forkScoped(sealer.run)
    yield* Effect.addFinalizer(() => Effect.sync(() => weather.reach("sealed", sealer.told.segments)))
    yield* Effect.addFinalizer(() => Effect.sync(() => weather.reach("merged", sealer.told.merged)))
    yield* Effect.addFinalizer(() => Effect.sync(() => weather.reach("deleted", sealer.told.deleted)))
    ready({ partitions, store: new Store(objects) })
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.orDie)

type Node = Host<Reached>

const isDone = (outcome: Outcome | undefined): outcome is { readonly ok: unknown } =>
  outcome !== undefined && "ok" in outcome

/** A client that goes to another node with every request. */
export class Visitor {
  private turn: number
  private readonly hosts: ReadonlyArray<Node>

  constructor(hosts: ReadonlyArray<Node>, turn: number) {
    this.hosts = hosts
    this.turn = turn
  }

  private next(): Reached | undefined {
    this.turn += 1
    return this.hosts[this.turn % this.hosts.length]?.reached
  }

  visit<A, E>(use: (reached: Reached) => Effect.Effect<A, E>): Effect.Effect<A | undefined> {
    const reached = this.next()
    if (reached === undefined) return Effect.as(Effect.sleep(20), undefined)
    return use(reached).pipe(
      Effect.timeoutOrElse({ duration: askMs, orElse: () => Effect.succeed(undefined) }),
      Effect.catch(() => Effect.succeed(undefined))
    )
  }

  tell(key: string, command: Command): Effect.Effect<Outcome | undefined> {
    return this.visit(({ partitions }) => partitions.told(partitions.of(key), command, "tester"))
  }

  insist(key: string, command: Command): Effect.Effect<unknown> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const outcome = yield* this.tell(key, command)
        if (isDone(outcome)) return outcome.ok
        yield* Effect.sleep(30)
      }
    })
  }

  stored(key: string, text: string): Effect.Effect<Payload | undefined> {
    return this.visit(({ partitions, store }) => {
      const write = (object: string) => store.put(object, contentType, Buffer.from(text))
      return announced(partitions, partitions.of(key), write, { forMs: sealing.plannedMs })
    })
  }

  /** What a read from this offset would be answered with, once it may be. */
  private opened(
    { partitions }: Reached,
    key: string,
    from: number,
    bytesMax: number
  ): Effect.Effect<Opened | undefined> {
    return Effect.callback<Opened | undefined>((resume) => {
      open(partitions, key, { from, bytesMax }, (opened) => {
        if (!isSheet(opened) || opened.here === undefined) return resume(Effect.succeed(opened))
        partitions.settled(opened.here, (isSettled) => resume(Effect.succeed(isSettled ? opened : undefined)))
      })
    })
  }

  tail(key: string): Effect.Effect<number | undefined> {
    return this.visit((reached) =>
      Effect.map(this.opened(reached, key, Number.MAX_SAFE_INTEGER, 1), (opened) =>
        opened !== undefined && isSheet(opened) ? opened.tail : undefined
      )
    )
  }

  /** Everything, page by page, from one node. */
  whole(key: string, pageBytes: number): Effect.Effect<Buffer | undefined> {
    return this.visit((reached) =>
      Effect.gen({ self: this }, function* () {
        const pages: Array<Buffer> = []
        for (let at = 0; ; ) {
          const opened = yield* this.opened(reached, key, at, pageBytes)
          if (opened === undefined || !isSheet(opened)) return undefined
          pages.push(...(yield* reached.store.bytesOf(opened.parts)))
          at = opened.next
          if (opened.next >= opened.tail) return Buffer.concat(pages)
        }
      })
    )
  }
}

const markOf = (id: string, seq: number): string => `${id}:${seq}${".".repeat(20 + ((seq * 37) % 60))}`

/** As large bodies are: an object first, and each time a new one, for the last may have come too late. */
const appended = Effect.fnUntraced(function* (
  visitor: Visitor,
  command: Omit<Command & { readonly _tag: "Append" }, "body">,
  { text, isStored }: { readonly text: string; readonly isStored: boolean }
) {
  const { stream } = command
  if (!isStored) return (yield* visitor.insist(stream, { ...command, body: { text } })) as Appended
  for (let each = 0; each < triesMax; each++) {
    const body = yield* visitor.stored(stream, text)
    const outcome = body && (yield* visitor.tell(stream, { ...command, body }))
    if (isDone(outcome)) return outcome.ok as Appended
    yield* Effect.sleep(30)
  }
  throw new Error(`no node takes an append to ${stream}`)
})

const triesMax = 500

const produce = Effect.fnUntraced(function* (ground: Ground, visitor: Visitor, key: string, id: string) {
  const ops = ground.ops.get(key) as Array<Op>
  for (let seq = 0; seq < 24; seq++) {
    yield* Effect.sleep((seq * 67) % 230)
    const mark = markOf(id, seq)
    const start = yield* Clock.currentTimeMillis
    const producer = { id, epoch: 0, seq }
    const command = { _tag: "Append" as const, stream: key, contentType, producer }
    const { tail } = yield* appended(visitor, command, { text: `${mark};`, isStored: seq % 12 === 3 })
    ops.push({ who: id, kind: "append", mark, start, end: yield* Clock.currentTimeMillis, tail })
  }
})

const watch = Effect.fnUntraced(function* (ground: Ground, visitor: Visitor, key: string, id: string) {
  for (let turn = 0; ; turn++) {
    yield* Effect.sleep(25)
    const start = yield* Clock.currentTimeMillis
    const tail = yield* visitor.tail(key)
    const end = yield* Clock.currentTimeMillis
    if (tail !== undefined) ground.ops.get(key)?.push({ who: id, kind: "tail", start, end, tail })
    if (turn % 4 !== 0) continue
    const bytes = yield* visitor.whole(key, 1 + ((turn * 131) % 900))
    if (bytes !== undefined) ground.read.push({ key, bytes })
  }
})

const contentOf = (bytes: Buffer) => {
  let end = 0
  const marks = bytes.toString().split(";").slice(0, -1)
  return marks.map((mark) => {
    end += mark.length + 1
    return { mark, end }
  })
}

/** In the healed world every node has to say the same, and it has to explain what everybody was told. */
const judged = Effect.fnUntraced(function* (ground: Ground, hosts: ReadonlyArray<Node>) {
  const faults: Array<string> = []
  for (const key of keys) {
    const wholes: Array<Buffer> = []
    for (const host of hosts) {
      const visitor = new Visitor([host], 0)
      for (let tries = 0; tries < 100; tries++) {
        const bytes = yield* visitor.whole(key, 333)
        if (bytes !== undefined) {
          wholes.push(bytes)
          break
        }
        yield* Effect.sleep(100)
      }
    }
    const [first] = wholes
    if (first === undefined || wholes.length < hosts.length) return [`${key} cannot be read from everywhere`]
    if (!wholes.every((bytes) => bytes.equals(first))) faults.push(`${key} differs from node to node`)
    for (const { key: of, bytes } of ground.read)
      if (of === key && !first.subarray(0, bytes.length).equals(bytes)) faults.push(`${key} was read otherwise before`)
    faults.push(...tailFaults(ground.ops.get(key) ?? [], contentOf(first)))
  }
  return faults
})

const program: (plan: Plan, world: World) => Effect.Effect<Told, never, Scope.Scope> = Effect.fnUntraced(
  function* (plan, world) {
    const ground: Ground = { ...(yield* groundOf(plan)), ops: new Map(keys.map((key) => [key, []])), read: [] }
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const hosts = Array.from(
      { length: plan.nodes },
      (_, index) => new Host<Reached>(`n${index}`, ground.weather, fork, (life, ready) => node(ground, life, ready))
    )
    for (const host of hosts) host.start()
    const run = (work: Effect.Effect<void>) => void fork(work)
    for (const key of keys) yield* new Visitor(hosts, 0).insist(key, { _tag: "CreateStream", stream: key, contentType })
    crashes(plan, world, run, (index) => hosts.slice(index, index + 1))
    cuts(ground, run)
    const each = <A>(work: (visitor: Visitor, key: string, id: string) => Effect.Effect<A>) =>
      keys.flatMap((key) => [0, 1].map((n) => fork(work(new Visitor(hosts, n), key, `${key}-${n}`))))
    const producers = each((visitor, key, id) => produce(ground, visitor, key, id))
    const watchers = each((visitor, key, id) => watch(ground, visitor, key, id))
    for (const fiber of producers) yield* Fiber.join(fiber)
    for (const fiber of watchers) yield* Fiber.interrupt(fiber)
    ground.weather.heal()
    for (const host of hosts) host.start()
    yield* Effect.sleep(sealing.plannedMs + 2_000)
    const faults = yield* judged(ground, hosts)
    const nodes = hosts.flatMap(({ reached }) => (reached === undefined ? [] : [reached.partitions]))
    faults.push(...(yield* leftovers(ground.objects, nodes)))
    for (const host of hosts) host.kill()
    const ops = [...ground.ops.values()].reduce((sum, { length }) => sum + length, 0)
    return { faults, ops, reads: ground.read.length, steps: world.steps, reached: ground.weather.reached }
  }
)

export interface Told {
  readonly faults: ReadonlyArray<string>
  readonly ops: number
  readonly reads: number
  readonly steps: number
  readonly reached: ReadonlyMap<string, number>
}

/** Crashes come after the streams are there, within the steps that such a world has. */
export const streamPlanOf = (seed: number, fence = true): Plan => {
  const plan = planOf(seed, fence)
  const later = plan.crashes.map((crash) => ({ ...crash, step: crash.step * 3 }))
  return { ...plan, nodes: 3, wipe: false, crashes: later }
}

/** Far more than any of these worlds takes. */
const stepsMax = 200_000

export const runStreams = (plan: Plan): Told => runIn(new World(plan.seed), plan)

const runIn = (world: World, plan: Plan): Told => world.run(Effect.scoped(program(plan, world)), stepsMax)

/** The same as one of many worlds: one that does not come to an end has failed. */
export const streamOutcome = (plan: Plan) => {
  const world = new World(plan.seed)
  try {
    const { faults, ops, reached } = runIn(world, plan)
    return { violation: faults[0], reached, trace: world.trace, entries: ops }
  } catch (error) {
    const violation = error instanceof Error ? error.message : String(error)
    return { violation, reached: new Map<string, number>(), trace: world.trace, entries: 0 }
  }
}
