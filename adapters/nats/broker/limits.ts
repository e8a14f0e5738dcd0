/** What one connection may cost, each with its reason; the defaults are those of a NATS server where it has one. */

export interface BrokerLimits {
  /** Each takes a descriptor and some kilobytes; a node on loopback has far fewer. */
  readonly connectionsMax: number
  readonly subscriptionsMax: number
  /** Longer subjects are no subjects: a line holds two of them and a few numbers. */
  readonly lineBytesMax: number
  /** CONNECT carries a JWT that lists permissions. */
  readonly connectBytesMax: number
  readonly payloadBytesMax: number
  /** What may wait for a reader that does not read; past it, it is cut off. */
  readonly pendingBytesMax: number
  readonly authTimeoutMs: number
  readonly pingIntervalMs: number
  /** So many pings may stay unanswered; at the next one the client counts as gone. */
  readonly pingsOutMax: number
  /** How long a connection that was told to go may take to read what it was told. */
  readonly farewellMs: number
}

export const limitsDefault: BrokerLimits = {
  connectionsMax: 65_536,
  subscriptionsMax: 100_000,
  lineBytesMax: 4096,
  connectBytesMax: 64 * 1024,
  payloadBytesMax: 1024 * 1024,
  pendingBytesMax: 64 * 1024 * 1024,
  authTimeoutMs: 2_000,
  pingIntervalMs: 120_000,
  pingsOutMax: 2,
  farewellMs: 1_000
}
