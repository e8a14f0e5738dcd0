/** The law of one kind of actor: pure, total, and without a clock, so that replay and simulation run it as it is. */
import type { CommandOf, EventOf, Exchanges, Protocol, QueryOf, RefusalOf } from "../messages/protocol.ts"

/** What a decision may know besides the state: it comes with the command and is journalled with it. */
export interface Context {
  readonly id: string
  readonly caller: string
  readonly commandId: string
  /** Milliseconds since the epoch; never less than in the entry before. */
  readonly at: number
  /** The version of the actor that a command makes if it is accepted, or that a query sees. */
  readonly version: number
}

export type Decision<Reply, Refusal, Event> =
  | {
      readonly events: ReadonlyArray<Event>
      readonly reply: Reply
      /** Nothing of the command is done yet: the events make way for it, and it is to be sent again after so long. */
      readonly retryAfterMs?: number
    }
  | { readonly refused: Refusal }

/** A command that an event obliges another actor to receive. It is sent at least once and applied once. */
export interface Obligation {
  readonly kind: string
  readonly id: string
  readonly command: { readonly _tag: string }
}

// biome-ignore lint/suspicious/noExplicitAny: a decider is looked up by its kind, whatever its own types are.
export type AnyProtocol = Protocol<Exchanges, Exchanges, any, any>

/** The runtime sends this to an actor when the moment has come that its `due` named. */
export interface Tick {
  readonly _tag: "Tick"
}

export interface Decider<State, P extends AnyProtocol> {
  readonly protocol: P
  /** Grows when the form of the snapshot changes: one of another form is ignored, and the log is replayed instead. */
  readonly snapshotVersion: number
  readonly initial: (id: string) => State
  readonly decide: (
    state: State,
    command: CommandOf<P> | Tick,
    context: Context
  ) => Decision<unknown, RefusalOf<P>, EventOf<P>>
  /** Total: it may not refuse. It may change the state in place and give it back. */
  readonly evolve: (state: State, event: EventOf<P>, at: number) => State
  readonly answer: (
    state: State,
    query: QueryOf<P>,
    context: Omit<Context, "commandId">
  ) => { readonly reply: unknown } | { readonly refused: RefusalOf<P> }
  readonly save: (state: State) => Uint8Array
  readonly load: (bytes: Uint8Array, id: string) => State
  /**
   * The same as `save`, in pieces and in steps, for a state that is large: it is of the moment of the first step, and
   * the state changes between the later ones.
   */
  readonly saving?: (state: State) => Generator<void, ReadonlyArray<Uint8Array>>
  readonly loading?: (bytes: Uint8Array, id: string) => Generator<void, State>
  /** It leaves memory, and nobody has it in his hands: what it holds in large pieces may be given back at once. */
  readonly leave?: (state: State) => void
  /** Others may take the whole state and hear every entry: what a replica elsewhere is made of. */
  readonly followed?: true
  /** When this state wants a `Tick`, in milliseconds since the epoch. */
  readonly due?: (state: State) => number | undefined
  /** Whether the events in this JSON may oblige anybody: where it says no, a takeover does not read them for it. */
  readonly mayOblige?: (events: string) => boolean
  /** What an event of this actor obliges others to do. */
  readonly oblige?: (event: EventOf<P>, id: string) => ReadonlyArray<Obligation>
}
