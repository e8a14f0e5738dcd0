/** Serves one shard for as long as this node may: claim, read the log, decide, append, answer; until the claim is lost. */
import { Clock, Deferred, Effect } from "effect"
import type { Placed } from "../../messages/entry.ts"
import { eventsSubject } from "../../messages/subjects.ts"
import type { Client } from "../client.ts"
import type { Bus } from "../ports/bus.ts"
import { type Fenced, type Journal, Unavailable } from "../ports/journal.ts"
import type { Snapshots } from "../ports/snapshots.ts"
import { activate } from "./activate.ts"
import type { Batch } from "./batch.ts"
import type { Cell } from "./cell.ts"
import { checkpoints } from "./checkpoint.ts"
import { type Delivery, failedText } from "./delivery.ts"
import type { Kind } from "./kind.ts"
import { meters } from "./meters.ts"
import { Outbox, outboxKind, recordProgress, sendOwed } from "./outbox.ts"
import { entryText, type Owned, type Settings } from "./owned.ts"
import { recover } from "./recover.ts"
import { Shard } from "./shard.ts"
import { Signal } from "./signal.ts"
import { timers } from "./timers.ts"
import { outboxCaller } from "./window.ts"

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
}

/** A shard that is being served. */
export interface Serving {
  readonly epoch: number
  readonly actors: Shard
  readonly offer: (delivery: Delivery) => void
  /** How much of the log no snapshot covers yet: what a takeover would read. */
  readonly logBytes: () => number
  /** Ends when the shard is lost, with the reason. */
  readonly lost: Effect.Effect<never, Fenced | Unavailable>
}

/** Claims the shard and serves it in the current scope; when the scope closes, everybody who waits is told to ask again. */
export const serve = Effect.fnUntraced(function* (ports: Ports, owning: Owning) {
  const { shard, settings } = owning
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const kinds = new Map([...owning.kinds, [outboxKind.name, outboxKind]])
  const log = yield* ports.journal.claim(shard, owning.node)
  const recovered = yield* recover(shard, log, { ...ports, kinds })
  meters.replayed(recovered.size.entries)
  const lost = yield* Deferred.make<never, Fenced | Unavailable>()
  const wake = new Signal()
  const duesChanged = new Signal()
  const waking: Array<Cell> = []
  const wakeUp = new Signal()
  const outbox = new Outbox(shard, kinds)

  const committed = (placed: ReadonlyArray<Placed>, batch: Batch): void => {
    const now = clock.currentTimeMillisUnsafe()
    meters.committed(placed.length, now - batch.openedAt)
    for (const { position, entry } of placed) {
      owned.size.add(position, entryText(entry), 1)
      owned.dues.set(`${entry.kind}/${entry.id}`, entry.due)
      if (entry.due > 0) duesChanged.set()
      if (entry.kind !== outboxKind.name)
        ports.bus.publish(eventsSubject(entry.kind, shard, entry.id), eventsText(position, entry))
    }
    outbox.committed(placed)
  }

  const actors = new Shard(shard, kinds, {
    now: () => clock.currentTimeMillisUnsafe(),
    mayAnswer: owning.mayAnswer,
    wake: wake.set,
    activate: (cell) => {
      waking.push(cell)
      wakeUp.set()
    },
    committed,
    defect: (cell, doing, error) => {
      meters.defect()
      defects.push({ cell, doing, error })
    },
    refused: meters.refused
  })
  const defects: Array<{ readonly cell: Cell; readonly doing: string; readonly error: unknown }> = []
  actors.head = log.head
  for (const [key, position] of recovered.dirty) actors.dirty.set(key, position)

  const isOver = () => Deferred.isDoneUnsafe(lost)
  const offer = (delivery: Delivery): void => {
    if (isOver()) delivery.answer(failedText({ _tag: "Unavailable", why: `shard ${shard} is moving` }))
    else actors.offer(delivery)
  }
  const owned: Owned = {
    shard,
    settings,
    log,
    journal: ports.journal,
    snapshots: ports.snapshots,
    actors,
    tails: recovered.tails,
    dues: recovered.dues,
    size: recovered.size,
    outboxDone: () => outbox.done,
    offer
  }

  const inFlight = new Set<Batch>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      Deferred.doneUnsafe(lost, Effect.fail(new Unavailable({ log: ports.journal.nameOf(shard), why: "released" })))
      actors.abandon(inFlight)
    })
  )
  const lose = (error: Fenced | Unavailable) =>
    Effect.sync(() => {
      if (isOver()) return
      meters.lost()
      Deferred.doneUnsafe(lost, Effect.fail(error))
      actors.abandon(inFlight)
    })

  const settle = (batch: Batch, acknowledged: ReturnType<typeof log.append> extends Effect.Effect<infer A> ? A : never) =>
    acknowledged.pipe(
      Effect.flatMap((positions) =>
        Effect.sync(() => {
          inFlight.delete(batch)
          if (isOver()) return
          actors.commit(batch, positions)
          wake.set()
        })
      ),
      Effect.catch(lose)
    )

  const loop = Effect.gen(function* () {
    while (!isOver()) {
      yield* wake.wait
      // Whatever this turn of the event loop still brings is decided with it.
      yield* Effect.yieldNow
      while (inFlight.size < ports.journal.window && !isOver()) {
        const batch = actors.turn()
        for (const { cell, doing, error } of defects.splice(0))
          yield* Effect.logError(`${cell.key} fell while handling ${doing} and is read again`, error)
        if (batch === undefined) {
          if (actors.hasWork) continue
          break
        }
        inFlight.add(batch)
        const acknowledged = yield* log.append(batch.entries)
        yield* Effect.forkIn(settle(batch, acknowledged), scope, { startImmediately: true })
      }
    }
  })

  const wakes = Effect.gen(function* () {
    for (;;) {
      yield* wakeUp.wait
      for (const cell of waking.splice(0)) yield* Effect.forkIn(activate(owned, cell), scope, { startImmediately: true })
    }
  })

  yield* Effect.forkIn(loop, scope)
  yield* Effect.forkIn(wakes, scope)
  yield* resumeOutbox(owned, outbox, kinds, recovered.obliging)
  yield* Effect.forkIn(checkpoints(owned), scope)
  yield* Effect.forkIn(timers(owned, duesChanged), scope)
  yield* Effect.forkIn(sendOwed(outbox, owning.client, scope), scope)
  yield* Effect.forkIn(recordProgress(outbox, settings.outboxRecordMs, (to) => advance(owned, to)), scope)
  return {
    epoch: log.epoch,
    actors,
    offer,
    logBytes: () => owned.size.bytes,
    lost: Deferred.await(lost)
  } satisfies Serving
})

const eventsText = (position: number, entry: Placed["entry"]): string =>
  `{"version":${entry.version},"position":${position},"at":${entry.at},"caller":"${entry.caller}",` +
  `"cause":${JSON.stringify(entry.cause)},"events":${entry.events}}`

/** What was committed before the claim and is still owed: from the place that the last owner wrote down. */
const resumeOutbox = Effect.fnUntraced(function* (
  owned: Owned,
  outbox: Outbox,
  kinds: ReadonlyMap<string, Kind>,
  obliging: ReadonlyArray<Placed>
) {
  const cell = owned.actors.cellOf(kinds.get(outboxKind.name) as Kind, String(owned.shard))
  while (cell.stage === "waking") yield* Effect.sleep(1)
  const done = typeof cell.state === "number" ? cell.state : 0
  outbox.committed(obliging.filter((placed) => placed.position > done))
  outbox.startAt(owned.log.head)
})

const advance = (owned: Owned, to: number): void =>
  owned.offer({
    verb: "do",
    kind: outboxKind.name,
    id: String(owned.shard),
    caller: outboxCaller,
    name: "Advance",
    body: `{"to":${to}}`,
    commandId: `advance:${to}`,
    deadline: 0,
    answer: () => {}
  })
