/** A log per shard: claimed by one owner at a time, fenced against every earlier one, appended to in order. */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { Entry, Placed, Position } from "../../messages/entry.ts"

/**
 * What an acknowledged append survives. `process`: kill -9. `sync`: power loss. The replicated ones: a majority holds
 * it.
 */
export type Durability = "memory" | "process" | "sync" | "replicated" | "replicated-sync"

/** Another owner has claimed the shard: nothing of this append was written, and nothing later will be. */
export class Fenced extends Schema.TaggedError<Fenced>()("Fenced", { log: Schema.String, epoch: Schema.Natural }) {}
/** The log cannot be reached. An append that ends so may or may not have been written. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  log: Schema.String,
  why: Schema.String
}) {}
/** A damaged entry or a hole in the log. `actor` is set when the damage is known to be one actor's alone. */
export class Corrupt extends Schema.TaggedError<Corrupt>()("Corrupt", {
  log: Schema.String,
  position: Schema.Natural,
  why: Schema.String
}) {}

/** A shard's log in the hands of the owner that claimed it. */
export interface ClaimedLog {
  /** Grows with every claim of this shard. */
  readonly epoch: number
  /**
   * Everything at or before this place was written before the claim, by whoever owned it: what a new owner has to
   * read.
   */
  readonly head: Position
  /**
   * Puts the entries into the log in the order of the calls. The outer effect takes its place in the line and returns
   * at once; the inner one ends when the entries are acknowledged, with their positions. Appends succeed in order:
   * when one fails, every later one fails too, and the log has to be claimed again.
   */
  readonly append: (
    entries: ReadonlyArray<Entry>
  ) => Effect.Effect<Effect.Effect<ReadonlyArray<Position>, Fenced | Unavailable>>
}

/** One entry of the log as it was read: whole, or damaged in a way that concerns its actor alone. */
export type Read = Placed | Damaged
export interface Damaged {
  readonly position: Position
  readonly damaged: { readonly kind: string; readonly id: string; readonly version: number; readonly why: string }
}

export class Journal extends Context.Service<
  Journal,
  {
    readonly durability: Durability
    /** How many appends are worth having under way at once. */
    readonly window: number
    /** Names a shard's log to a person: the file and table, or the JetStream stream. */
    readonly nameOf: (shard: number) => string
    readonly claim: (shard: number, owner: string) => Effect.Effect<ClaimedLog, Unavailable | Corrupt>
    /** All that is in the log behind `after` and not truncated, in order, up to what was written when it was called. */
    readonly read: (shard: number, after: Position) => Stream.Stream<ReadonlyArray<Read>, Unavailable | Corrupt>
    /** Like `read`, and then what is committed from now on, for as long as it runs. */
    readonly follow: (shard: number, after: Position) => Stream.Stream<ReadonlyArray<Read>, Unavailable | Corrupt>
    /** Forgets what lies before this position. It may keep more, never less. */
    readonly truncate: (shard: number, before: Position) => Effect.Effect<void, Unavailable>
    /** Ends when everything acknowledged so far survives power loss, as far as this journal can promise that. */
    readonly sync: Effect.Effect<void, Unavailable>
  }
>()("runtime/Journal") {}
