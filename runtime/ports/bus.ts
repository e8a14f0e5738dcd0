/** Request/reply and publish/subscribe by subject, as NATS has them: plain callbacks, for this is the hot path. */
import { Context, type Effect, Schema, type Scope } from "effect"

export type Headers = Readonly<Record<string, string>>

export interface Message {
  readonly subject: string
  readonly body: Uint8Array
  readonly headers: Headers
  /** Answers a request. It does nothing when nobody waits, and never throws. */
  readonly respond: (body: Uint8Array | string, headers?: Headers) => void
}

/** Nobody listens on this subject: an answer, given at once. */
export class NoResponders extends Schema.TaggedError<NoResponders>()("NoResponders", { subject: Schema.String }) {}
/** No answer within the time allowed: whether the request was handled is not known. */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", { subject: Schema.String }) {}
/** The connection is away, or the server refused. */
export class BusDown extends Schema.TaggedError<BusDown>()("BusDown", { why: Schema.String }) {}

export interface SubscribeOptions {
  /** Members of one queue group share the messages: each goes to one of them. */
  readonly queue?: string
}

export interface Send {
  readonly body: Uint8Array | string
  readonly headers?: Headers
  readonly timeoutMs: number
}

export class Bus extends Context.Service<
  Bus,
  {
    /**
     * Listens until the scope closes. When it returns, a message published from anywhere later is heard. What was sent
     * before the end is heard too, a moment after it if need be: a request to a listener that goes is not dropped.
     */
    readonly subscribe: (
      subject: string,
      heard: (message: Message) => void,
      options?: SubscribeOptions
    ) => Effect.Effect<void, BusDown, Scope.Scope>
    /** Fire and forget. It never blocks: when the connection is away the message is lost. */
    readonly publish: (subject: string, body: Uint8Array | string, headers?: Headers) => void
    readonly request: (subject: string, send: Send) => Effect.Effect<Message, NoResponders | TimedOut | BusDown>
  }
>()("runtime/Bus") {}
