/** Reads a range of a stream from the memory of this node: its own appends, and what a fork shares with its source. */
import type { Part, StoredPart } from "../../actors/stream-partition/payload.ts"
import { find, type Stream } from "../../actors/stream-partition/state.ts"
import type { Here, Partitions } from "./partitions.ts"

/** One response's worth: a reader who is far behind asks again for more. */
export const pageBytesMax = 16 * 1024 * 1024

export interface Page {
  readonly stream: Stream
  readonly here: Here
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

export const read = (partitions: Partitions, key: string, { from, to, bytesMax }: Range): Reading => {
  const partition = partitions.of(key)
  const here = partitions.here(partition)
  if (here === undefined) return { away: partition }
  const found = find(here.state, key, partitions.now())
  if ("absent" in found) return { absent: found.absent }
  const { stream } = found
  if (from < stream.floor && stream.floor > 0) return { floor: stream.floor }
  const { tail, closed } = stream
  const end = Math.min(to ?? tail, tail)
  const gathered = gather(partitions, stream, { from: Math.min(from, end), to: end, room: bytesMax ?? pageBytesMax })
  if (typeof gathered === "number") return { away: gathered }
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
const gather = (partitions: Partitions, stream: Stream, { from, to, room }: Wanted): Gathered | number => {
  const base = stream.origin?.offset ?? 0
  let shared: Gathered = { from, next: from, parts: [] }
  if (stream.origin !== undefined && from < base) {
    const inherited = inherit(partitions, stream.origin.source, { from, to: Math.min(to, base), room })
    if (typeof inherited === "number") return inherited
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
const inherit = (partitions: Partitions, key: string, wanted: Wanted): Gathered | number => {
  const partition = partitions.of(key)
  const here = partitions.here(partition)
  if (here === undefined) return partition
  const source = here.state.streams.get(key)
  if (source === undefined) throw new Error(`${key} is gone, and a fork of it is not`)
  return gather(partitions, source, wanted)
}

/** Where the appends of a range end, those of a fork's source among them; a segment's index knows more of it. */
export const unitEnds = (
  partitions: Partitions,
  key: string,
  { from, next }: { readonly from: number; readonly next: number }
): Array<number | StoredPart> => {
  const stream = partitions.here(partitions.of(key))?.state.streams.get(key)
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
