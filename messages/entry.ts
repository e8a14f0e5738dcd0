/** One command's lasting effect: the unit of the journal, of replay and of what followers hear. */

/** A place in a shard's log: a token that only grows, not a count. */
export type Position = number

export interface Entry {
  readonly kind: string
  readonly id: string
  /** The actor's own dense count of entries: 1, 2, 3… A gap in it is corruption. */
  readonly version: number
  /** The id of the command that caused it. */
  readonly cause: string
  readonly caller: string
  readonly at: number
  /** When the actor next wants to be woken, in milliseconds since the epoch; 0 when never. */
  readonly due: number
  /** The events, as a JSON array. */
  readonly events: string
  /** The reply, as JSON: a retry is answered with it. */
  readonly reply: string
}

export interface Placed {
  readonly position: Position
  readonly entry: Entry
}
