/** What one kind of actor says and hears: one schema per command, query, reply, refusal and event. */
import type { Schema } from "effect"

/** Wire and memory agree: a message is plain JSON, so that it is parsed, checked and used without being copied. */
export type Plain<T> = Schema.Codec<T, unknown>

export interface Exchange<Input, Reply> {
  readonly input: Plain<Input>
  readonly reply: Plain<Reply>
}

// biome-ignore lint/suspicious/noExplicitAny: the map is indexed by name, and each name brings types of its own.
export type Exchanges = Readonly<Record<string, Exchange<any, any>>>

export interface Protocol<Commands extends Exchanges, Queries extends Exchanges, Refusal, Event> {
  readonly kind: string
  readonly commands: Commands
  readonly queries: Queries
  readonly refusal: Plain<Refusal>
  /** Decodes every version ever written; only the newest is written. */
  readonly event: Plain<Event>
}

type Tagged<E extends Exchanges> = {
  readonly [Name in keyof E & string]: { readonly _tag: Name } & E[Name]["input"]["Type"]
}[keyof E & string]

/** The commands of a protocol as a union, tagged with their names. */
export type CommandOf<P> = P extends Protocol<infer C, infer _Q, infer _R, infer _E> ? Tagged<C> : never
export type QueryOf<P> = P extends Protocol<infer _C, infer Q, infer _R, infer _E> ? Tagged<Q> : never
export type RefusalOf<P> = P extends Protocol<infer _C, infer _Q, infer R, infer _E> ? R : never
export type EventOf<P> = P extends Protocol<infer _C, infer _Q, infer _R, infer E> ? E : never
export type ReplyOf<P, Name> =
  P extends Protocol<infer C, infer Q, infer _R, infer _E>
    ? Name extends keyof C
      ? C[Name]["reply"]["Type"]
      : Name extends keyof Q
        ? Q[Name]["reply"]["Type"]
        : never
    : never

/** Keeps the literal types of a protocol while checking its shape. */
export const protocol = <const C extends Exchanges, const Q extends Exchanges, R, E>(
  definition: Protocol<C, Q, R, E>
): Protocol<C, Q, R, E> => definition
