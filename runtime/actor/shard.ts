/** The actors of one shard and the line they wait in: what decides, in plain TypeScript, between two appends. */
import type { Decision } from "../../actors/decider.ts"
import type { Entry, Placed, Position } from "../../messages/entry.ts"
import type { Failure } from "../../messages/envelope.ts"
import {
  batchBytesMax,
  batchEntriesMax,
  entryBytesMax,
  mailboxCommandsMax,
  messageBytesMax,
  shardCommandsMax
} from "../../messages/limits.ts"
import { entryBytes } from "../journal/frame.ts"
import { Batch } from "./batch.ts"
import { Cell } from "./cell.ts"
import { type Delivery, failedText, keyOf, okText, refusedText } from "./delivery.ts"
import { isFollowing, tellFollower, tellOfResting } from "./followers.ts"
import type { Kind } from "./kind.ts"
import { Known } from "./known.ts"

/** What a shard tells its surroundings, and asks of them. */
export interface Surroundings {
  readonly now: () => number
  /** False once the lease may have ended: nothing may be answered any more. */
  readonly mayAnswer: () => boolean
  /** There is something to decide. */
  readonly wake: () => void
  /** This actor has to be read from its snapshot and its log. */
  readonly activate: (cell: Cell) => void
  /** The state has to be made ready for followers, and they are to be answered. */
  readonly handOut: (cell: Cell, answer: (delivery: Delivery, text: string) => void) => void
  readonly committed: (placed: ReadonlyArray<Placed>, batch: Batch) => void
  readonly defect: () => void
  readonly refused: (kind: string, reason: string) => void
}

/** How many answers one turn may give, so that a flood of queries cannot keep appends from being sent. */
const turnDeliveriesMax = 4096

export class Shard {
  readonly cells = new Map<string, Cell>()
  /** Actors with entries that no snapshot covers, and the position of the first such entry. */
  readonly dirty = new Map<string, Position>()
  /** Actors that there are, in memory or not. */
  known = new Known()
  /** The place of the last committed entry. */
  head: Position = 0
  waiting = 0
  private line: Array<Cell> = []
  /** Followed actors that were put away, in their versions: those who have heard of all of it need not wake them. */
  private readonly resting = new Map<string, number>()
  private readonly kinds: ReadonlyMap<string, Kind>
  private readonly around: Surroundings
  private readonly lostText: string

  constructor(shard: number, kinds: ReadonlyMap<string, Kind>, around: Surroundings) {
    this.kinds = kinds
    this.around = around
    this.lostText = failedText({ _tag: "Unavailable", why: `shard ${shard} has moved from this node, or is moving` })
  }

  /** Takes a delivery into its actor's mailbox, or says why not. */
  offer(delivery: Delivery): void {
    const kind = this.kinds.get(delivery.kind)
    if (kind === undefined) return this.fail(delivery, { _tag: "Malformed", why: `no kind ${delivery.kind}` })
    // Looked at first: a shard that has too much to do does not bring further actors into memory.
    if (this.waiting >= shardCommandsMax) return this.busy(delivery)
    const rests = this.resting.get(keyOf(delivery.kind, delivery.id))
    const told = rests === undefined ? undefined : tellOfResting(rests, delivery)
    if (told !== undefined) return delivery.answer(this.around.mayAnswer() ? told : this.lostText)
    const cell = this.cellOf(kind, delivery.id)
    if (cell.mailbox.length >= mailboxCommandsMax) return this.busy(delivery)
    cell.mailbox.push(delivery)
    this.waiting += 1
    if (cell.stage !== "waking") this.enqueue(cell)
  }

  /** The actor in memory; one that is not there begins to be read. */
  cellOf(kind: Kind, id: string): Cell {
    const key = keyOf(kind.name, id)
    const known = this.cells.get(key)
    if (known !== undefined) return known
    const cell = new Cell(kind, id, key)
    cell.reset()
    cell.restedAt = this.resting.get(key) ?? 0
    this.resting.delete(key)
    this.cells.set(key, cell)
    this.around.activate(cell)
    return cell
  }

  kindNamed(name: string): Kind | undefined {
    return this.kinds.get(name)
  }

  /** All of it is in the log: it leaves memory until somebody asks for it. */
  putAway(cell: Cell): void {
    this.cells.delete(cell.key)
    if (cell.kind.followed && cell.stage === "live") this.resting.set(cell.key, cell.version)
    // What is being made ready for followers still reads it.
    if (cell.asking.length === 0) cell.kind.leave(cell.state)
  }

  /** The actor has been read, or cannot be. */
  activated(cell: Cell, failure?: Failure): void {
    if (this.cells.get(cell.key) !== cell) return
    cell.stage = failure === undefined ? "live" : "stopped"
    cell.failure = failure
    cell.usedAt = this.around.now()
    if (failure?._tag === "Unavailable") this.dismiss(cell, failure)
    else if (cell.mailbox.length > 0) this.enqueue(cell)
  }

  /** Decides what waits. The batch, when there is one, has to be appended before `turn` is called again. */
  turn(): Batch | undefined {
    const now = this.around.now()
    const batch = new Batch(now)
    let handled = 0
    while (this.line.length > 0 && handled < turnDeliveriesMax && !isFull(batch)) {
      const line = this.line
      this.line = []
      for (const [index, cell] of line.entries()) {
        if (handled >= turnDeliveriesMax || isFull(batch)) {
          this.line = [...line.slice(index), ...this.line]
          break
        }
        cell.queued = false
        handled += this.drain(cell, batch, now)
      }
    }
    return batch.entries.length > 0 ? batch : undefined
  }

  get hasWork(): boolean {
    return this.line.length > 0
  }

  /** The batch is in the log: what waited for it may leave. */
  commit(batch: Batch, positions: ReadonlyArray<Position>): void {
    const placed: Array<Placed> = []
    for (let index = 0; index < batch.entries.length; index++) {
      const entry = batch.entries[index] as Entry
      const position = positions[index] as Position
      const key = (batch.cells[index] as Cell).key
      if (!this.dirty.has(key)) {
        this.dirty.set(key, position)
        this.known.add(key)
      }
      placed.push({ position, entry })
    }
    this.head = positions.at(-1) ?? this.head
    // Before it is answered: who hears both from one connection knows the change when the answer comes.
    this.around.committed(placed, batch)
    batch.commit(positions, this.around.mayAnswer(), this.lostText)
  }

  /** The shard is not ours any more, or not known to be: everybody who waits is told to ask again. */
  abandon(batches: Iterable<Batch>): void {
    for (const batch of batches) batch.abandon(this.lostText)
    for (const cell of this.cells.values()) for (const delivery of cell.mailbox) delivery.answer(this.lostText)
    this.cells.clear()
    this.resting.clear()
    this.line = []
    this.waiting = 0
  }

  /** What it needs was away: whoever waits asks again, and whoever asks next has it read again. */
  private dismiss(cell: Cell, failure: Failure): void {
    const { mailbox } = cell
    this.cells.delete(cell.key)
    cell.mailbox = []
    this.waiting -= mailbox.length
    for (const delivery of mailbox) this.fail(delivery, failure)
  }

  private enqueue(cell: Cell): void {
    if (cell.queued) return
    cell.queued = true
    this.line.push(cell)
    this.around.wake()
  }

  /** Handles an actor's mailbox until it is empty, the batch is full, or the actor fell. */
  private drain(cell: Cell, batch: Batch, now: number): number {
    const mailbox = cell.mailbox
    // Followers look after those whom nobody uses too.
    if (mailbox.some(({ name }) => name !== "Since")) cell.usedAt = now
    let handled = 0
    while (handled < mailbox.length && cell.stage !== "waking" && !isFull(batch)) {
      this.handle(cell, mailbox[handled] as Delivery, batch, now)
      handled += 1
    }
    cell.mailbox = handled === mailbox.length ? [] : mailbox.slice(handled)
    this.waiting -= handled
    if (cell.mailbox.length > 0 && cell.stage !== "waking") this.enqueue(cell)
    return handled
  }

  private handle(cell: Cell, delivery: Delivery, batch: Batch, now: number): void {
    if (cell.failure !== undefined) return this.fail(delivery, cell.failure)
    if (delivery.deadline > 0 && delivery.deadline < now)
      return this.fail(delivery, { _tag: "Late", deadline: delivery.deadline })
    try {
      if (delivery.verb === "ask") this.answer(cell, delivery, now)
      else this.decide(cell, delivery, batch, now)
    } catch (error) {
      this.around.defect()
      cell.defect = { doing: delivery.name, error }
      this.fail(delivery, { _tag: "Defect", why: error instanceof Error ? error.message : String(error) })
      // The state may be half changed: it is read again, behind what it has on its way into the log.
      cell.reset()
      this.around.activate(cell)
    }
  }

  private answer(cell: Cell, delivery: Delivery, now: number): void {
    if (cell.kind.followed && isFollowing(delivery.name)) {
      const told = tellFollower(cell, delivery)
      return told === undefined ? this.prepare(cell, delivery) : this.release(cell, delivery, told)
    }
    const read = cell.kind.readQuery(delivery.name, delivery.body)
    if ("why" in read) return this.fail(delivery, { _tag: "Malformed", why: read.why })
    const { caller } = delivery
    const context = { id: cell.id, caller, at: now, version: cell.version }
    const answered = cell.kind.answer(cell.state, read.value, context)
    if ("refused" in answered) this.refuse(cell, delivery, answered.refused)
    else this.release(cell, delivery, okText(JSON.stringify(answered.reply)))
  }

  /** The whole state takes its time: whoever else asks for it meanwhile waits for the same. */
  private prepare(cell: Cell, delivery: Delivery): void {
    cell.asking.push(delivery)
    if (cell.asking.length === 1)
      this.around.handOut(cell, (each, text) => each.answer(this.around.mayAnswer() ? text : this.lostText))
  }

  private decide(cell: Cell, delivery: Delivery, batch: Batch, now: number): void {
    const { caller, commandId } = delivery
    const known = cell.window.find(commandId, caller)
    if (known !== undefined) return this.release(cell, delivery, okText(known))
    const read = delivery.command === undefined ? readCommand(cell.kind, delivery) : { value: delivery.command }
    if ("why" in read) return this.fail(delivery, { _tag: "Malformed", why: read.why })
    const at = Math.max(now, cell.at)
    const context = { id: cell.id, caller, commandId, at, version: cell.version + 1 }
    const decision: Decision<unknown, { readonly _tag: string }, unknown> = cell.kind.decide(
      cell.state,
      read.value,
      context
    )
    if ("refused" in decision) return this.refuse(cell, delivery, decision.refused)
    if (decision.retryAfterMs !== undefined) return this.makeWay(cell, delivery, batch, { ...decision, at })
    const reply = JSON.stringify(decision.reply)
    if (decision.events.length === 0) return this.release(cell, delivery, okText(reply))
    this.accept(cell, delivery, batch, { at, reply, given: decision.reply, events: decision.events })
  }

  /** The command itself is not done, nor known: it comes again. */
  private makeWay(
    cell: Cell,
    delivery: Delivery,
    batch: Batch,
    way: { readonly at: number; readonly events: ReadonlyArray<unknown>; readonly retryAfterMs?: number }
  ): void {
    const text = failedText({ _tag: "Busy", retryAfterMs: way.retryAfterMs ?? 0 })
    const answer = (): void => delivery.answer(text)
    if (way.events.length === 0) return answer()
    const commandId = `${delivery.commandId}~${cell.version + 1}`
    this.accept(cell, { ...delivery, commandId, answer }, batch, { ...way, reply: "{}", given: {} })
  }

  private accept(
    cell: Cell,
    delivery: Delivery,
    batch: Batch,
    made: {
      readonly at: number
      readonly reply: string
      readonly given: unknown
      readonly events: ReadonlyArray<unknown>
    }
  ): void {
    const { at, reply } = made
    const draft = {
      kind: delivery.kind,
      id: delivery.id,
      version: cell.version + 1,
      cause: delivery.commandId,
      caller: delivery.caller,
      at,
      due: 0,
      events: JSON.stringify(made.events),
      reply
    }
    const bytes = roughBytes(draft)
    if (bytes > entryBytesMax) return this.fail(delivery, { _tag: "TooLarge", bytes, bytesMax: entryBytesMax })
    let state = cell.state
    for (const event of made.events) state = cell.kind.evolve(state, event, at)
    cell.state = state
    const entry: Entry = { ...draft, due: cell.kind.due(state) }
    cell.decided(entry)
    batch.add(cell, entry, { bytes, events: made.events })
    batch.release(delivery, okText(reply), { ok: made.given })
  }

  private refuse(cell: Cell, delivery: Delivery, refusal: { readonly _tag: string }): void {
    this.around.refused(cell.kind.name, refusal._tag)
    this.release(cell, delivery, refusedText(refusal))
  }

  /** What an answer saw has to be committed before the answer leaves. */
  private release(cell: Cell, delivery: Delivery, text: string): void {
    const bytes = text.length * 3 > messageBytesMax ? Buffer.byteLength(text) : 0
    // It could not be sent, and whoever asked would wait in vain.
    if (bytes > messageBytesMax) return this.fail(delivery, { _tag: "TooLarge", bytes, bytesMax: messageBytesMax })
    if (cell.batch !== undefined) cell.batch.release(delivery, text)
    else delivery.answer(this.around.mayAnswer() ? text : this.lostText)
  }

  private busy(delivery: Delivery): void {
    this.fail(delivery, { _tag: "Busy", retryAfterMs: 20 + Math.ceil(this.waiting / 100) })
  }

  private fail(delivery: Delivery, failure: Failure): void {
    this.around.refused(delivery.kind, failure._tag)
    delivery.answer(failedText(failure))
  }
}

/** Characters are only counted in bytes where it matters: one takes three at most, and most are ASCII. */
const roughBytes = (entry: Entry): number => {
  const length = entry.events.length + entry.reply.length
  return length * 4 > entryBytesMax ? entryBytes(entry) : length
}

/** Half of a message: what comes on top of it rarely makes two, and the journal splits it when it does. */
const isFull = (batch: Batch): boolean => batch.entries.length >= batchEntriesMax || batch.bytes > batchBytesMax / 2

/** `Tick` is every kind's, and comes from its own timers alone. */
const readCommand = (kind: Kind, delivery: Delivery) =>
  delivery.name === "Tick" && delivery.caller === timerCaller
    ? { value: { _tag: "Tick" as const } }
    : kind.readCommand(delivery.name, delivery.body)

/** The caller under which an actor's own timer speaks; no credential allows a connection to use it from outside. */
export const timerCaller = "timer"
