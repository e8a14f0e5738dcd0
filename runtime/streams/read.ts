/** Reads a range of a stream from the memory of this node: its own appends, and what a fork shares with its source. */
import type { Part, StoredPart } from "../../actors/stream-partition/payload.ts"
import { find, type State, type Stream } from "../../actors/stream-partition/state.ts"
import type { Here, Partitions } from "./partitions.ts"

/** One response's worth: a reader who is far behind asks again for more. */
export const pageBytesMax = 16 * 1024 * 1024

export interface Page {
  readonly stream: Stream
  /** Undefined when another node serves it: then all of this is committed. */
  readonly here: Here | undefined
  readonly from: number
  readonly next: number
  readonly parts: ReadonlyArray<Part>
  /** As they were when it was read; nobody may be told before the partition has settled. */
  readonly tail: number
  readonly closed: boolean
}

export type Reading =
  | Page
  | { readonly absent: "missing" | "gone" }
  | { readonly floor: number }
  /** The partition is not in this node's memory. */
  | { readonly away: number }

export interface Range {
  readonly from: number
  /** The end of what is known to be committed; the tail when it is absent. */
  readonly to?: number
  readonly bytesMax?: number
}

/** The partitions that this node serves, and of those that it follows the ones that are new enough for this read. */
class View {
  private readonly partitions: Partitions
  private readonly fresh: ReadonlySet<number>

  constructor(partitions: Partitions, fresh: ReadonlySet<number>) {
    this.partitions = partitions
    this.fresh = fresh
  }

  of(key: string): number {
    return this.partitions.of(key)
  }

  state(partition: number): State | undefined {
    const here = this.partitions.here(partition)
    if (here !== undefined) return here.state
    return this.fresh.has(partition) ? this.partitions.replicas?.state(partition) : undefined
  }
}

const none: ReadonlySet<number> = new Set()

export const read = (
  partitions: Partitions,
  key: string,
  { from, to, bytesMax }: Range,
  fresh: ReadonlySet<number> = none
): Reading => {
  const view = new View(partitions, fresh)
  const partition = partitions.of(key)
  const here = partitions.here(partition)
  const state = view.state(partition)
  if (state === undefined) return { away: partition }
  const found = find(state, key, partitions.now())
  if ("absent" in found) return { absent: found.absent }
  const { stream } = found
  if (from < stream.floor && stream.floor > 0) return { floor: stream.floor }
  const { tail, closed } = stream
  const end = Math.min(to ?? tail, tail)
  const gathered = gather(view, stream, { from: Math.min(from, end), to: end, room: bytesMax ?? pageBytesMax })
  if (typeof gathered === "number") return { away: gathered }
  if (gathered === "gone") return { absent: "missing" }
  return { stream, here, from: gathered.from, next: gathered.next, parts: gathered.parts, tail, closed }
}

interface Gathered {
  readonly from: number
  readonly next: number
  readonly parts: Array<Part>
}

interface Wanted {
  readonly from: number
  readonly to: number
  readonly room: number
}

/** The parts, or the partition of a source that is not in memory. */
const gather = (view: View, stream: Stream, { from, to, room }: Wanted): Gathered | number | "gone" => {
  const base = stream.origin?.offset ?? 0
  let shared: Gathered = { from, next: from, parts: [] }
  if (stream.origin !== undefined && from < base) {
    const inherited = inherit(view, stream.origin.source, { from, to: Math.min(to, base), room })
    if (typeof inherited !== "object") return inherited
    shared = inherited
    if (shared.next < Math.min(to, base)) return shared
  }
  const { data } = stream
  const left = room - (shared.next - shared.from)
  const own = Math.max(shared.next, base)
  if (data === undefined || own >= to || left <= 0) return shared
  // Within a segment the index alone knows where an append begins: whoever fetches the bytes looks there.
  const start = data.sealedAt(own) === undefined ? Math.min(data.unitAt(own)?.from ?? own, own) : own
  const next = Math.min(to, data.endWithin(own, left))
  const first = shared.parts.length === 0 ? start : shared.from
  return { from: first, next, parts: [...shared.parts, ...data.parts(start, next)] }
}

/** Also from a source that is deleted: it is kept for this. */
const inherit = (view: View, key: string, wanted: Wanted): Gathered | number | "gone" => {
  const partition = view.of(key)
  const state = view.state(partition)
  if (state === undefined) return partition
  const source = state.streams.get(key)
  // Both were deleted, and only the source's partition is known to be so far yet.
  return source === undefined ? "gone" : gather(view, source, wanted)
}

/** Where the appends of a range end, those of a fork's source among them; a segment's index knows more of it. */
export const unitEnds = (
  partitions: Partitions,
  key: string,
  { from, next }: { readonly from: number; readonly next: number }
): Array<number | StoredPart> => {
  const stream = partitions.known(partitions.of(key))?.streams.get(key)
  if (stream === undefined || next <= from) return next > from ? [next] : []
  const base = stream.origin?.offset ?? 0
  const inherited =
    stream.origin !== undefined && from < base
      ? unitEnds(partitions, stream.origin.source, { from, next: Math.min(next, base) })
      : []
  const own = next > Math.max(from, base) ? (stream.data?.marks(Math.max(from, base), next) ?? []) : []
  return [...inherited, ...own]
}

export const isPage = (reading: Reading): reading is Page => "parts" in reading
