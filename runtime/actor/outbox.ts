/**
 * Turns committed events into commands for other actors: sent at least once, in order for each of them, applied once.
 */
import { Effect, Schema, type Scope } from "effect"
import type { Decider, Obligation } from "../../actors/decider.ts"
import type { Placed, Position } from "../../messages/entry.ts"
import { tokenPattern } from "../../messages/ids.ts"
import { protocol } from "../../messages/protocol.ts"
import type { Client } from "../client.ts"
import { keyOf } from "./delivery.ts"
import { type Kind, kindOf } from "./kind.ts"
import { meters } from "./meters.ts"
import type { Owned } from "./owned.ts"
import { Signal } from "./signal.ts"
import { outboxCaller, outboxId } from "./window.ts"

/** How far an outbox has come is an actor too: one per shard, in the shard's own log. */
const progress = protocol({
  kind: "outbox",
  commands: {
    Advance: { input: Schema.Struct({ to: Schema.Natural }), reply: Schema.Struct({}) }
  },
  queries: {},
  refusal: Schema.TaggedUnion({ Never: {} }),
  event: Schema.TaggedUnion({ Advanced: { to: Schema.Natural } })
})

const progressDecider: Decider<number, typeof progress> = {
  protocol: progress,
  snapshotVersion: 1,
  initial: () => 0,
  decide: (state, command) =>
    command._tag === "Advance" && command.to > state
      ? { events: [{ _tag: "Advanced", to: command.to }], reply: {} }
      : { events: [], reply: {} },
  evolve: (state, event) => Math.max(state, event.to),
  answer: () => ({ refused: { _tag: "Never" } }),
  save: (state) => Buffer.from(String(state)),
  load: (bytes) => Number(Buffer.from(bytes).toString())
}

export const outboxKind: Kind = kindOf(progressDecider)

interface Owed {
  readonly position: Position
  readonly index: number
  readonly obligation: Obligation
}

const nothing: ReadonlyArray<Obligation> = []

export class Outbox {
  /** Places with obligations that are not all met yet, in the order of the log. */
  private readonly open = new Map<Position, number>()
  private readonly chains = new Map<string, Array<Owed>>()
  private readonly shard: number
  readonly kinds: ReadonlyMap<string, Kind>
  private seen: Position = 0
  /** An actor is owed something and has no fibre yet that sends it. */
  readonly owing = new Signal()
  /** An obligation was met. */
  readonly progress = new Signal()
  /** Actors that have a chain and no fibre that sends it. */
  readonly idle: Array<string> = []
  /** Entries that could not be asked what they oblige to, until that is reported. */
  readonly untold: Array<{ readonly position: Position; readonly key: string; readonly error: unknown }> = []

  constructor(shard: number, kinds: ReadonlyMap<string, Kind>) {
    this.shard = shard
    this.kinds = kinds
  }

  /** Everything up to here is done. */
  get done(): Position {
    const first = this.open.keys().next()
    return first.done === true ? this.seen : first.value - 1
  }

  /** All that is committed up to here has been looked at. */
  startAt(position: Position): void {
    this.seen = Math.max(this.seen, position)
  }

  /** `events`: those of each entry, when they are at hand. */
  committed(placed: ReadonlyArray<Placed>, events?: ReadonlyArray<ReadonlyArray<unknown>>): void {
    for (let at = 0; at < placed.length; at++) {
      const each = placed[at] as Placed
      const { position, entry } = each
      this.startAt(position)
      const kind = this.kinds.get(entry.kind)
      if (kind?.oblige === undefined) continue
      const owed = this.owedBy(kind, each, events?.[at])
      if (owed.length === 0) continue
      this.open.set(position, owed.length)
      for (const [index, obligation] of owed.entries()) this.chain({ position, index, obligation })
    }
  }

  /** Sends what one actor is owed, in order. */
  send(key: string, client: Client): Effect.Effect<void> {
    const chains = this.chains
    const met = (owed: Owed) => this.met(owed)
    const { shard } = this
    return Effect.gen(function* () {
      for (let owed = chains.get(key)?.[0]; owed !== undefined; owed = chains.get(key)?.[0]) {
        yield* sendOne(shard, owed, client)
        chains.get(key)?.shift()
        met(owed)
      }
      chains.delete(key)
    })
  }

  /** One that cannot be told stays open for ever: the log is kept, and what it owes can be told by a better release. */
  private owedBy(kind: Kind, { position, entry }: Placed, events?: ReadonlyArray<unknown>): ReadonlyArray<Obligation> {
    try {
      let owed: ReadonlyArray<Obligation> = nothing
      for (const event of events ?? kind.readEvents(entry.events)) {
        const more = kind.oblige?.(event, entry.id) ?? nothing
        if (more.length > 0) owed = [...owed, ...more]
      }
      return owed
    } catch (error) {
      this.open.set(position, 1)
      this.untold.push({ position, key: keyOf(entry.kind, entry.id), error })
      this.owing.set()
      return []
    }
  }

  private chain(owed: Owed): void {
    const key = keyOf(owed.obligation.kind, owed.obligation.id)
    const chain = this.chains.get(key)
    if (chain !== undefined) {
      chain.push(owed)
      return
    }
    this.chains.set(key, [owed])
    this.idle.push(key)
    this.owing.set()
  }

  private met({ position }: Owed): void {
    const left = (this.open.get(position) ?? 1) - 1
    if (left > 0) {
      this.open.set(position, left)
      return
    }
    this.open.delete(position)
    this.progress.set()
  }
}

/** Until it is answered: an obligation is given up only when the answer says that it can never be met. */
const sendOne = Effect.fnUntraced(function* (shard: number, { position, index, obligation }: Owed, client: Client) {
  const { _tag, ...fields } = obligation.command
  const ask = {
    verb: "do" as const,
    kind: obligation.kind,
    id: obligation.id,
    caller: outboxCaller,
    name: _tag,
    body: JSON.stringify(fields),
    commandId: outboxId(shard, position, index)
  }
  if (![ask.kind, ask.id, ask.name].every((token) => tokenPattern.test(token)))
    return yield* Effect.logError(`${ask.commandId}: ${ask.kind}/${ask.id} ${ask.name} is nobody's address: given up`)
  meters.owed(1)
  for (;;) {
    const answer = yield* client.ask(ask).pipe(Effect.catch((error) => Effect.as(Effect.logWarning(error), undefined)))
    if (answer === undefined) continue
    if ("ok" in answer || "refused" in answer) return
    yield* Effect.logError(`${ask.commandId}: ${obligation.kind}/${obligation.id} cannot take ${_tag}`, answer.failed)
    if (answer.failed._tag === "Malformed" || answer.failed._tag === "TooLarge") return
    yield* Effect.sleep(5_000)
  }
})

/** Starts a fibre for each actor that is owed something. */
export const sendOwed = Effect.fnUntraced(function* (outbox: Outbox, client: Client, scope: Scope.Scope) {
  for (;;) {
    yield* outbox.owing.wait
    for (const { position, key, error } of outbox.untold.splice(0))
      yield* Effect.logError(`what ${key} owes others for position ${position} cannot be told`, error)
    for (let key = outbox.idle.shift(); key !== undefined; key = outbox.idle.shift())
      yield* Effect.forkIn(outbox.send(key, client), scope)
  }
})

/** What was committed before the claim and is still owed: from the place that the last owner wrote down. */
export const resumeOutbox = Effect.fnUntraced(function* (
  owned: Owned,
  outbox: Outbox,
  kinds: ReadonlyMap<string, Kind>,
  obliging: ReadonlyArray<Placed>
) {
  const cell = owned.actors.cellOf(kinds.get(outboxKind.name) ?? outboxKind, String(owned.shard))
  while (cell.stage === "waking") yield* Effect.sleep(1)
  const done = typeof cell.state === "number" ? cell.state : 0
  outbox.committed(obliging.filter((placed) => placed.position > done))
  outbox.startAt(owned.log.head)
})

/** Writes down how far it has come, once for what a moment brings: whoever takes over begins there. */
export const recordProgress = Effect.fnUntraced(function* (owned: Owned, outbox: Outbox) {
  for (;;) {
    yield* outbox.progress.wait
    yield* Effect.sleep(owned.settings.outboxRecordMs)
    owned.offer({
      verb: "do",
      kind: outboxKind.name,
      id: String(owned.shard),
      caller: outboxCaller,
      name: "Advance",
      body: `{"to":${outbox.done}}`,
      commandId: `advance:${outbox.done}`,
      deadline: 0,
      answer: () => {}
    })
  }
})
