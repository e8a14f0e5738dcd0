/** Nodes share the shards by leases in a registry: one heartbeat a node, and a record a shard that names its holder. */
import { Clock, Effect, Exit, Random, Scope } from "effect"
import { leasesSubject } from "../../messages/subjects.ts"
import type { Ports } from "../actor/owner.ts"
import { Signal } from "../actor/signal.ts"
import { randomId } from "../client.ts"
import type { Record, Registry, RegistryConflict, RegistryDown } from "../ports/registry.ts"
import { bounded } from "./bounded.ts"
import { type Hosting, type Placement, Served } from "./hosting.ts"
import { type NodeRecord, nodeKey, type ShardRecord, Sightings, shardKey, shareOf, viewOf } from "./view.ts"

export interface LeaseOptions {
  /** After so long without a sign of life a node's shards are taken. */
  readonly ttlMs: number
  /** A node stops answering this long before its lease ends: it covers clocks that run at different speeds. */
  readonly marginMs: number
}

export const leaseOptions: LeaseOptions = { ttlMs: 4_000, marginMs: 800 }

type Failed = RegistryConflict | RegistryDown

/** This node's standing in the registry, which every beat renews. */
class Membership {
  readonly node: string
  private readonly home: string | undefined
  incarnation = ""
  revision = 0
  beats = 0
  /** By this node's own clock; nothing is answered from here on. */
  validUntil = 0

  constructor({ node, home }: Hosting) {
    this.node = node
    this.home = home
  }

  /** Of a process that had this node's name and its home: it has died, and its place is taken at once. */
  isOfPredecessor({ key, value }: Record): boolean {
    return this.home !== undefined && key === nodeKey(this.node) && (JSON.parse(value) as NodeRecord).home === this.home
  }

  record(ttlMs: number): string {
    const { node, incarnation, beats: beat, home } = this
    const record: NodeRecord = { node, incarnation, ttlMs, beat, ...(home !== undefined && { home }) }
    return JSON.stringify(record)
  }

  get holder(): string {
    const record: ShardRecord = { node: this.node, incarnation: this.incarnation }
    return JSON.stringify(record)
  }
}

export const leased = Effect.fnUntraced(function* (
  ports: Ports & { readonly registry: Registry["Service"] },
  hosting: Hosting,
  options: LeaseOptions = leaseOptions
) {
  // A write that is given up may yet be done; what became of it is seen in the records.
  const registry = bounded(ports.registry, options.ttlMs / 3)
  const clock = yield* Clock.Clock
  const served = new Served()
  const me = new Membership(hosting)
  const sightings = new Sightings()
  const holding = new Map<number, Scope.Closeable>()
  const news = new Signal()
  const tell = Effect.sync(() => ports.bus.publish(leasesSubject, ""))
  const mayAnswer = () => clock.currentTimeMillisUnsafe() < me.validUntil

  const start = Effect.fnUntraced(function* (shard: number) {
    if (holding.has(shard)) return
    const scope = yield* Scope.make()
    holding.set(shard, scope)
    yield* served.keep(ports, hosting, shard, mayAnswer).pipe(Scope.provide(scope))
  })
  const stop = Effect.fnUntraced(function* (shard: number) {
    const scope = holding.get(shard)
    holding.delete(shard)
    if (scope !== undefined) yield* Scope.close(scope, Exit.void)
  })
  // All at once: each may have to be drained, and the next sign of life cannot wait for them one by one.
  const stopEach = (shards: ReadonlyArray<number>) =>
    Effect.forEach(shards, stop, { concurrency: "unbounded", discard: true })
  const stopAll = Effect.suspend(() => stopEach([...holding.keys()]))

  const round = Effect.gen(function* () {
    if (me.revision === 0) me.revision = (yield* registry.all).find((each) => me.isOfPredecessor(each))?.revision ?? 0
    const isRenewed = yield* beat(registry, me, options)
    const now = yield* Clock.currentTimeMillis
    const records = yield* registry.all
    // The record of this node's own name may be that of a process before it: it expires like any other.
    const dead = sightings
      .expired(records, now)
      .filter((record) => record.key !== nodeKey(me.node) || incarnationOf(record) !== me.incarnation)
    for (const record of dead) {
      yield* Effect.logWarning(`${record.key} has shown no sign of life and loses its shards`)
      yield* registry.remove(record.key, record.revision)
    }
    if (!isRenewed) return yield* recognise(me, records)
    const view = viewOf(
      records.filter((record) => !dead.includes(record)),
      hosting.settings.shards,
      me
    )
    yield* stopEach([...holding.keys()].filter((shard) => !view.mine.has(shard)))
    for (const shard of view.mine.keys()) yield* start(shard)
    const share = shareOf(hosting.settings.shards, view.live.length)
    const surplus = [...view.mine.keys()].slice(share)
    yield* stopEach(surplus)
    for (const shard of surplus) yield* registry.remove(shardKey(shard), view.mine.get(shard) ?? 0)
    if (surplus.length > 0 || me.beats === 1) yield* tell
    let wanted = share - view.mine.size
    for (const { shard, revision } of yield* Random.shuffle(view.free)) {
      if (wanted <= 0) break
      if (!(yield* take(registry, me, shard, revision))) continue
      yield* start(shard)
      wanted -= 1
    }
  })

  const run = Effect.gen(function* () {
    for (;;) {
      const isLost = yield* round.pipe(
        Effect.as(false),
        Effect.catch((error: Failed | Expelled) => {
          if (error._tag === "RegistryDown") sightings.forget()
          return error._tag === "Expelled" ? Effect.succeed(true) : Effect.as(Effect.logDebug(error), false)
        })
      )
      if (isLost) {
        yield* Effect.logWarning(`${me.node} was declared dead, or another node has this name; it joins anew`)
        yield* stopAll
      }
      // A node that may be dead is looked at as soon as that is certain, and not at the next beat.
      const untilBeat = (options.ttlMs / 4) * (0.8 + 0.4 * (yield* Random.next))
      const untilNews = sightings.nextAt - (yield* Clock.currentTimeMillis)
      const rest = Effect.sleep(Math.ceil(Math.min(untilBeat, Math.max(options.ttlMs / 16, untilNews))))
      // Many that come and go at once are looked at together.
      yield* Effect.raceFirst(rest, Effect.andThen(Effect.sleep(Math.ceil(options.ttlMs / 40)), news.wait))
    }
  })

  const leave = Effect.gen(function* () {
    yield* stopAll
    me.validUntil = 0
    const records = yield* registry.all
    // By what is written, for a beat that was cut short may have been written all the same.
    const own = records.find((record) => record.key === nodeKey(me.node) && incarnationOf(record) === me.incarnation)
    // Without their holder its shards are free: their own records are left to those who take them.
    if (own !== undefined) yield* registry.remove(own.key, own.revision)
    yield* tell
  }).pipe(Effect.timeout("2 seconds"), Effect.ignore)

  yield* ports.bus
    .subscribe(leasesSubject, news.set)
    .pipe(
      Effect.catch((error) => Effect.logWarning("news of leases are not heard; they are found a little later", error))
    )
  yield* Effect.addFinalizer(() => leave)
  yield* Effect.forkScoped(run)
  const isReady = () => mayAnswer() && [...holding.keys()].every((shard) => served.has(shard))
  const ready = Effect.gen(function* () {
    while (!isReady() || holding.size === 0) yield* Effect.sleep(20)
  })
  return { held: () => served.held(), isReady, serving: served.of, ready } satisfies Placement
})

/** Another node declared this one dead, or has its name: whatever it held is no longer its own. */
interface Expelled {
  readonly _tag: "Expelled"
}

const incarnationOf = (record: Record): string => (JSON.parse(record.value) as NodeRecord).incarnation

/** False when another node was quicker. */
const take = (registry: Registry["Service"], me: Membership, shard: number, revision: number) =>
  registry.write(shardKey(shard), me.holder, revision).pipe(
    Effect.as(true),
    Effect.catchTag("RegistryConflict", () => Effect.succeed(false))
  )

/** One sign of life. What was granted counts from when it was asked for. False when somebody wrote in between. */
const beat = Effect.fnUntraced(function* (registry: Registry["Service"], me: Membership, options: LeaseOptions) {
  const asked = yield* Clock.currentTimeMillis
  if (me.incarnation === "") me.incarnation = yield* randomId
  me.beats += 1
  const written = yield* registry
    .write(nodeKey(me.node), me.record(options.ttlMs), me.revision)
    .pipe(Effect.catchTag("RegistryConflict", () => Effect.succeed(undefined)))
  if (written === undefined) return false
  me.revision = written
  me.validUntil = asked + options.ttlMs - options.marginMs
  return true
})

/** Either an earlier beat was written although it seemed to fail, or this node was declared dead. */
const recognise = (me: Membership, records: ReadonlyArray<Record>): Effect.Effect<void, Expelled> => {
  const record = records.find((each) => each.key === nodeKey(me.node))
  if (record !== undefined && incarnationOf(record) === me.incarnation) {
    me.revision = record.revision
    return Effect.void
  }
  me.revision = 0
  me.incarnation = ""
  me.beats = 0
  me.validUntil = 0
  return Effect.fail<Expelled>({ _tag: "Expelled" })
}
