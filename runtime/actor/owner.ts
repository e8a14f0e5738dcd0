/**
 * Serves one shard for as long as this node may: claim, read the log, decide, append, answer; until the claim is
 * lost.
 */
import { Clock, Effect, Scope } from "effect"
import type { Placed } from "../../messages/entry.ts"
import type { Client } from "../client.ts"
import type { Bus } from "../ports/bus.ts"
import type { Fenced, Journal, Unavailable } from "../ports/journal.ts"
import type { Snapshots } from "../ports/snapshots.ts"
import { activate } from "./activate.ts"
import type { Batch } from "./batch.ts"
import type { Cell } from "./cell.ts"
import { checkpoints } from "./checkpoint.ts"
import { type Delivery, failedText } from "./delivery.ts"
import { handOut } from "./handout.ts"
import type { Kind } from "./kind.ts"
import { meters } from "./meters.ts"
import { Outbox, outboxKind, recordProgress, resumeOutbox, sendOwed } from "./outbox.ts"
import { entryText, type Owned, type Settings } from "./owned.ts"
import { Pipeline, released } from "./pipeline.ts"
import { publish } from "./published.ts"
import { type Recovered, recover } from "./recover.ts"
import { Shard } from "./shard.ts"
import { Signal } from "./signal.ts"
import { timers } from "./timers.ts"

export interface Ports {
  readonly journal: Journal["Service"]
  readonly snapshots: Snapshots["Service"]
  readonly bus: Bus["Service"]
}

export interface Owning {
  readonly shard: number
  /** Names this node in the claim, for a person who reads the log. */
  readonly node: string
  readonly kinds: ReadonlyMap<string, Kind>
  readonly settings: Settings
  readonly client: Client
  /** False once the lease may have ended by this node's own clock. */
  readonly mayAnswer: () => boolean
  /** Hears of every commit on this node, in the turn in which its answers leave. */
  readonly heard?: Heard | undefined
}

/** The batch holds the events as they were decided; it is of no use once the call has returned. */
export type Heard = (shard: number, placed: ReadonlyArray<Placed>, batch: Batch) => void

/** A shard that is being served. */
export interface Serving {
  readonly epoch: number
  readonly actors: Shard
  readonly offer: (delivery: Delivery) => void
  readonly mayAnswer: () => boolean
  /** How much of the log no snapshot covers yet: what a takeover would read. */
  readonly logBytes: () => number
  /** Ends when the shard is lost, with the reason. */
  readonly lost: Effect.Effect<never, Fenced | Unavailable>
}

/** What wakes the fibres of one shard. */
class Bell {
  readonly duesChanged = new Signal()
  readonly wakeUp = new Signal()
  readonly waking: Array<Cell> = []
  readonly handing: Array<Effect.Effect<void>> = []
}

/**
 * Claims the shard and serves it in the current scope; when the scope closes, everybody who waits is told to ask
 * again.
 */
export const serve = Effect.fnUntraced(function* (ports: Ports, owning: Owning) {
  const { shard, settings } = owning
  const kinds = new Map([...owning.kinds, [outboxKind.name, outboxKind]])
  const log = yield* ports.journal.claim(shard, owning.node)
  const recovered = yield* recover(shard, log, { ...ports, kinds })
  meters.replayed(recovered.size.entries)
  const scope = yield* Effect.scope
  const pipeline = new Pipeline()
  const outbox = new Outbox(shard, kinds)
  const bell = new Bell()
  const clock = yield* Clock.Clock
  const actors = actorsOf({
    ports,
    owning,
    recovered,
    pipeline,
    outbox,
    bell,
    now: () => clock.currentTimeMillisUnsafe()
  })
  actors.head = log.head
  for (const [key, position] of recovered.dirty) actors.dirty.set(key, position)
  actors.known = recovered.known
  const offer = (delivery: Delivery): void => {
    if (!pipeline.isOver) actors.offer(delivery)
    else delivery.answer(failedText({ _tag: "Unavailable", why: `shard ${shard} is moving` }))
  }
  const { tails, dues, size } = recovered
  const { journal, snapshots } = ports
  const outboxDone = () => outbox.done
  const checkpoint = { head: recovered.checkpoint, covered: 0, at: 0 }
  const held = { actors, tails, dues, size, checkpoint }
  const owned: Owned = { shard, settings, log, journal, snapshots, ...held, outboxDone, offer }
  const fork = (work: Effect.Effect<void>) => Effect.forkIn(pipeline.watch(actors, work), scope)

  yield* Effect.addFinalizer(() => Effect.sync(() => pipeline.end(actors, released(journal.nameOf(shard)))))
  // What is under way has to outlast the other fibres of this scope, so that it can be drained before they end.
  const underWay = yield* Scope.fork(scope)
  yield* Effect.addFinalizer(() => pipeline.drain(actors))
  yield* Effect.forkIn(pipeline.run(actors, log, journal.window, underWay), underWay)
  yield* fork(wakeActors(owned, bell, scope))
  yield* resumeOutbox(owned, outbox, kinds, recovered.obliging)
  yield* fork(checkpoints(owned))
  yield* fork(timers(owned, bell.duesChanged))
  yield* fork(sendOwed(outbox, owning.client, scope))
  yield* fork(recordProgress(owned, outbox))
  const logBytes = () => size.bytes
  const { mayAnswer } = owning
  return { epoch: log.epoch, actors, offer, mayAnswer, logBytes, lost: pipeline.lost } satisfies Serving
})

const wakeActors = Effect.fnUntraced(function* (owned: Owned, bell: Bell, scope: Scope.Scope) {
  for (;;) {
    yield* bell.wakeUp.wait
    yield* wakeWaiting(owned, bell, scope)
  }
})

/** By itself: what a loop that waits has in its hands stays in memory, and actors are meant to leave it. */
const wakeWaiting = (owned: Owned, bell: Bell, scope: Scope.Scope): Effect.Effect<void> =>
  Effect.suspend(() => {
    const waking = bell.waking.splice(0).map((cell) => activate(owned, cell))
    return Effect.forEach(
      [...waking, ...bell.handing.splice(0)],
      (work) => Effect.forkIn(work, scope, { startImmediately: true }),
      { discard: true }
    )
  })

interface Parts {
  readonly ports: Ports
  readonly owning: Owning
  readonly recovered: Recovered
  readonly pipeline: Pipeline
  readonly outbox: Outbox
  readonly bell: Bell
  readonly now: () => number
}

/** The shard's actors, and what a commit sets off. */
const actorsOf = ({ ports, owning, recovered, pipeline, outbox, bell, now }: Parts): Shard => {
  const { shard } = owning
  // Taken out, so that what was read of the log is not held for as long as the shard is.
  const { size, dues } = recovered
  const committed = (placed: ReadonlyArray<Placed>, batch: Batch): void => {
    meters.committed(placed.length, now() - batch.openedAt)
    for (let index = 0; index < placed.length; index++) {
      const { position, entry } = placed[index] as Placed
      const cell = batch.cells[index] as Cell
      size.add(position, entryText(entry), 1)
      // Only the last that it said in this commit counts.
      if (batch.cells[index + 1] === cell) continue
      dues.set(cell.key, entry.due)
      if (entry.due > 0) bell.duesChanged.set()
    }
    const tell = (): void => publish(ports.bus, outbox.kinds, shard, placed)
    // Who is answered over the bus too hears of the change first.
    if (batch.isForBus) pipeline.tellNow(tell)
    else pipeline.tellLater(tell)
    outbox.committed(placed, batch.events)
    owning.heard?.(shard, placed, batch)
  }
  return new Shard(shard, outbox.kinds, {
    now,
    mayAnswer: owning.mayAnswer,
    wake: pipeline.wake.set,
    activate: (cell) => {
      bell.waking.push(cell)
      bell.wakeUp.set()
    },
    handOut: (cell, answer) => {
      bell.handing.push(handOut(cell, answer))
      bell.wakeUp.set()
    },
    committed,
    defect: meters.defect,
    refused: meters.refused
  })
}
