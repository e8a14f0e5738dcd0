/** What a partition knows of its streams: small plain records, changed in place. */

import type { Origin, Producer, StreamInfo, Wire } from "../../messages/stream-partition.ts"
import type { Alarm } from "./alarms.ts"
import type { Raised } from "./fence.ts"
import { Data } from "./payload.ts"
import type { Proof } from "./proof.ts"
import { refer } from "./segments.ts"
import type { Subscriber } from "./subscriber.ts"
import { Table } from "./table.ts"

/** The last that was heard of a producer, and where its latest appends ended: [seq, from, end, seq, from, end…]. */
export interface Heard {
  epoch: number
  seq: number
  at: number
  ranges: ReadonlyArray<number>
}

export interface Snapshot {
  readonly offset: number
  readonly contentType: string
  readonly object: string
  readonly size: number
  readonly digest: string
}

export interface Stream {
  readonly key: string
  readonly contentType: string
  readonly createdAt: number
  readonly ttlS: number | undefined
  readonly expiresAt: string | undefined
  readonly expiresMs: number | undefined
  readonly origin: Origin | undefined
  tail: number
  /** Nothing before it is read any more. */
  floor: number
  closed: boolean
  closedBy: Producer | undefined
  /** When the time to live began last. */
  touchedAt: number
  writtenAt: number
  /** The last Stream-Seq. */
  seq: string | undefined
  producers: Map<string, Heard> | undefined
  data: Data | undefined
  /** Pins of forks: until when they hold; 0 once the fork exists. */
  pins: Map<string, number> | undefined
  /** Deleted or expired, and kept for its forks. */
  hidden: boolean
  attributes: StreamInfo["attributes"] | undefined
  snapshot: Snapshot | undefined
  proof: Proof | undefined
}

export interface State {
  readonly id: string
  readonly streams: Table
  readonly subscribers: Map<string, Subscriber>
  /** The latest rounds of subscriptions, of here and elsewhere, whose holders append here. */
  readonly fences: Map<string, Raised>
  /** A heap by time. What it says is looked at when it rings; what no longer holds rings in vain. */
  readonly alarms: Array<Alarm>
  /** Payloads in memory. */
  hotBytes: number
  /** How often its streams need each object. */
  readonly objects: Map<string, number>
  /** Objects that nobody needs, and since when: they are to be deleted. */
  readonly garbage: Map<string, number>
  /** Objects that are being written, and until when they may be committed. */
  readonly planned: Map<string, number>
}

export const initial = (id: string): State => ({
  id,
  streams: new Table(),
  subscribers: new Map(),
  fences: new Map(),
  alarms: [],
  hotBytes: 0,
  objects: new Map(),
  garbage: new Map(),
  planned: new Map()
})

/** When the stream ends by itself; infinity when it does not. */
export const endOf = ({ expiresMs, ttlS, touchedAt }: Stream): number => {
  const byTtl = ttlS === undefined ? Number.POSITIVE_INFINITY : touchedAt + ttlS * 1000
  return expiresMs === undefined ? byTtl : Math.min(byTtl, expiresMs)
}

export const isPinned = (stream: Stream, at: number): boolean => {
  if (stream.pins === undefined) return false
  for (const until of stream.pins.values()) if (until === 0 || until > at) return true
  return false
}

export type Found =
  | { readonly stream: Stream }
  | { readonly absent: "missing"; readonly expired: Stream | undefined }
  | { readonly absent: "gone" }

/** The stream as it is at this moment: one that has expired is gone for its forks' sake, or missing. */
export const find = (state: State, key: string, at: number): Found => foundAs(state.streams.get(key), at)

/** The same for who only looks at it, and at many others. */
export const glance = (state: State, key: string, at: number): Found => foundAs(state.streams.look(key), at)

const foundAs = (stream: Stream | undefined, at: number): Found => {
  if (stream === undefined) return { absent: "missing", expired: undefined }
  if (stream.hidden) return { absent: "gone" }
  if (endOf(stream) > at) return { stream }
  return isPinned(stream, at) ? { absent: "gone" } : { absent: "missing", expired: stream }
}

export const addData = (state: State, stream: Stream, from: number, wire: Wire): void => {
  stream.data ??= new Data()
  const before = stream.data.bytes
  stream.data.add(from, wire)
  state.hotBytes += stream.data.bytes - before
  if (wire.object !== undefined) refer(state, wire.object)
}
