/** What goes around every command, query and reply on the bus. */
import { Schema } from "effect"
import { Millis } from "./ids.ts"

/** NATS header: the command id, which a retry repeats. */
export const idHeader = "Art-Id"
/** NATS header: the latest moment, in milliseconds since the epoch, at which an answer is still of use. */
export const deadlineHeader = "Art-Deadline"
/** NATS header: the codec of the body; JSON when absent. */
export const contentTypeHeader = "Content-Type"

/** Why nothing was decided: the environment's fault or the caller's form, never a refusal of the actor. */
export const Failure = Schema.TaggedUnion({
  /** The mailbox is full: ask again after the hint. Nothing was done. */
  Busy: { retryAfterMs: Millis },
  /** The deadline had passed before the command was looked at. Nothing was done. */
  Late: { deadline: Millis },
  /**
   * The shard is not served here or its journal is away. It may or may not have been done: repeat it with the same
   * id.
   */
  Unavailable: { why: Schema.String },
  /** The subject, the headers or the body are not what the protocol says. Nothing was done. */
  Malformed: { why: Schema.String },
  /** The entry that a command makes does not fit into the journal, or an answer into a message. Nothing was done. */
  TooLarge: { bytes: Schema.Natural, bytesMax: Schema.Natural },
  /** The actor's log is damaged; it is stopped, and nothing is skipped. */
  Corrupt: { log: Schema.String, position: Schema.Natural, why: Schema.String },
  /** A defect of ours: the actor was restarted from its log. */
  Defect: { why: Schema.String },
  /** The credential does not allow this. Nothing was done. */
  Forbidden: { why: Schema.String }
})
export type Failure = typeof Failure.Type

/** The body of every reply: exactly one of the three. */
export type Answer<Reply, Refusal> =
  | { readonly ok: Reply }
  | { readonly refused: Refusal }
  | { readonly failed: Failure }

/** Failures after which the same command with the same id may be sent again. */
export const isRetryable = (failure: Failure): boolean => failure._tag === "Busy" || failure._tag === "Unavailable"
