/** The partitions as a node reaches them: in its own memory where it serves the shard, over the bus elsewhere. */
import { Effect } from "effect"
import type { State } from "../../actors/stream-partition/state.ts"
import { type Answer, isRetryable } from "../../messages/envelope.ts"
import type { CommandOf, QueryOf, RefusalOf } from "../../messages/protocol.ts"
import { partitionIds, partitionKind, partitionOf } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { subjectOf } from "../../messages/subjects.ts"
import type { Cell } from "../actor/cell.ts"
import type { Delivery } from "../actor/delivery.ts"
import { manyName, nodeCaller } from "../actor/many.ts"
import type { Serving } from "../actor/owner.ts"
import type { Client, Unanswered } from "../client.ts"
import type { Bus } from "../ports/bus.ts"
import { Forwarding, forwardedTextMax } from "./forward.ts"
import { hand } from "./guard.ts"
import type { Replicas } from "./replicas.ts"

export type Command = CommandOf<StreamPartition>
export type Query = QueryOf<StreamPartition>
export type Refusal = RefusalOf<StreamPartition>
export type Answered = Answer<unknown, Refusal>
export type Outcome = Answered | { readonly unanswered: Unanswered }

export interface Surroundings {
  readonly shards: number
  readonly serving: (shard: number) => Serving | undefined
  readonly client: Client
  readonly now: () => number
  /** Where several nodes serve: what is for others of them goes over it. */
  readonly bus?: Bus["Service"]
  /** Undefined where one node serves everything. */
  readonly replicas?: Replicas
  /** Runs what has to go over the bus. */
  readonly run: (work: Effect.Effect<void>) => void
  /** Stands before the number in every command id: no other process has it. */
  readonly idPrefix: string
}

/** A partition in this node's memory, with all that it has decided: what is not committed yet has to be awaited. */
export interface Here {
  readonly state: State
  readonly cell: Cell
  readonly serving: Serving
}

export class Partitions {
  readonly ids: ReadonlyArray<string>
  readonly now: () => number
  private readonly around: Surroundings
  private count = 0
  private readonly forwarding: Forwarding | undefined
  private readonly subjects: ReadonlyArray<string>

  constructor(around: Surroundings) {
    this.around = around
    const { bus, now, run } = around
    this.forwarding = bus === undefined ? undefined : new Forwarding({ bus, now, run })
    this.now = around.now
    this.ids = partitionIds(around.shards)
    const address = { verb: "do" as const, kind: partitionKind, caller: nodeCaller, name: manyName }
    this.subjects = this.ids.map((id, shard) => subjectOf({ ...address, shard, id }))
  }

  of(key: string): number {
    return partitionOf(key, this.around.shards)
  }

  idOf(key: string): string {
    return this.ids[this.of(key)] as string
  }

  freshId(): string {
    this.count += 1
    return `${this.around.idPrefix}-${this.count.toString(36)}`
  }

  /** Undefined when it is served elsewhere, or is not in memory just now: `wake` brings it there. */
  here(partition: number): Here | undefined {
    const here = this.peek(partition)
    if (here !== undefined) here.cell.usedAt = this.now()
    return here
  }

  /** What is known of it here, as its owner or as one who follows it: for what need not be exact. */
  known(partition: number): State | undefined {
    return this.here(partition)?.state ?? this.replicas?.state(partition)
  }

  get replicas(): Replicas | undefined {
    return this.around.replicas
  }

  /** The same, but who looks so does not keep it in memory. */
  peek(partition: number): Here | undefined {
    const serving = this.around.serving(partition)
    if (serving === undefined || !serving.mayAnswer()) return undefined
    const cell = serving.actors.cells.get(`${partitionKind}/${this.ids[partition]}`)
    if (cell?.stage !== "live" || cell.failure !== undefined) return undefined
    return { state: cell.state as State, cell, serving }
  }

  /** In which epoch it is served here; undefined when it is not. */
  epochOf(partition: number): number | undefined {
    return this.around.serving(partition)?.epoch
  }

  isServedHere(partition: number): boolean {
    return this.around.serving(partition)?.mayAnswer() === true
  }

  /** Sends a command to the partition and hands over what came of it, exactly once. */
  tell(partition: number, command: Command, caller: string, done: (outcome: Outcome) => void): void {
    this.send({ verb: "do", partition, message: command, caller, commandId: this.freshId() }, done)
  }

  ask(partition: number, query: Query, caller: string, done: (outcome: Outcome) => void): void {
    this.send({ verb: "ask", partition, message: query, caller, commandId: "" }, done)
  }

  /** As an effect, for what is not on the hot path. */
  told(partition: number, command: Command, caller: string): Effect.Effect<Outcome> {
    return Effect.callback<Outcome>((resume) => {
      this.tell(partition, command, caller, (outcome) => resume(Effect.succeed(outcome)))
    })
  }

  asked(partition: number, query: Query, caller: string): Effect.Effect<Outcome> {
    return Effect.callback<Outcome>((resume) => {
      this.ask(partition, query, caller, (outcome) => resume(Effect.succeed(outcome)))
    })
  }

  private send(sending: Sending, done: (outcome: Outcome) => void): void {
    const serving = this.around.serving(sending.partition)
    if (serving === undefined) return this.sendAway(sending, done)
    const { verb, partition, message, caller, commandId } = sending
    const delivery: Delivery = {
      verb,
      kind: partitionKind,
      id: this.ids[partition] as string,
      caller,
      name: message._tag,
      body: verb === "do" ? "" : bodyOf(message),
      command: verb === "do" ? message : undefined,
      commandId,
      deadline: 0,
      answer: (text, given) => {
        const answer = (given ?? JSON.parse(text)) as Answered
        // The shard is moving, or has much to do: the client is patient, and the id is the same.
        if ("failed" in answer && isRetryable(answer.failed)) this.sendAway(sending, done)
        else hand(done, answer)
      }
    }
    serving.offer(delivery)
  }

  /** Commands that wait together for one node travel together. */
  private sendAway(sending: Sending, done: (outcome: Outcome) => void): void {
    const { verb, partition, message, caller, commandId } = sending
    const body = bodyOf(message)
    const alone = (): void => this.sendAlone(sending, body, done)
    if (this.forwarding === undefined || verb === "ask" || body.length > forwardedTextMax) return alone()
    const { _tag: name } = message
    this.forwarding.send(this.subjects[partition] as string, { caller, name, commandId, body, done, alone })
  }

  private sendAlone(sending: Sending, body: string, done: (outcome: Outcome) => void): void {
    const { verb, partition, message, caller, commandId } = sending
    const ask = { verb, kind: partitionKind, id: this.ids[partition] as string, caller, name: message._tag }
    const repeat = verb === "do" ? { commandId } : {}
    this.around.run(
      this.around.client.ask({ ...ask, ...repeat, body }).pipe(
        Effect.map((answer) => done(answer as Answered)),
        Effect.catch((unanswered) => Effect.sync(() => done({ unanswered })))
      )
    )
  }

  /** Calls back when what the partition has decided so far is committed, or with false when that will not be known. */
  settled({ cell, serving }: Here, done: (isCommitted: boolean) => void): void {
    const { batch } = cell
    if (batch === undefined) return done(serving.mayAnswer())
    const delivery = { answer: (text: string) => hand(done, text === settledText) }
    batch.release(delivery as Delivery, settledText)
  }
}

const settledText = "settled"

interface Sending {
  readonly verb: "do" | "ask"
  readonly partition: number
  readonly message: Command | Query
  readonly caller: string
  readonly commandId: string
}

const bodyOf = ({ _tag, ...fields }: Command | Query): string => JSON.stringify(fields)
