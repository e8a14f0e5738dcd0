/** Which segments are so small and so many that they are better one, and what that one holds. */
import { Effect } from "effect"
import type { Part, Run, StoredPart } from "../../actors/stream-partition/payload.ts"
import type { State, Stream } from "../../actors/stream-partition/state.ts"
import type { Cold, ColdFailed } from "./cold.ts"
import type { Section } from "./segment.ts"

/** A segment of this size is worth its own requests. */
const smallBytes = 1024 * 1024
/** What is in memory at once while it is written anew. */
const mergedBytesMax = 8 * 1024 * 1024
/** Sections of one event. */
const sectionsMax = 64

export interface Fragments extends Run {
  readonly stream: Stream
}

export const fragments = (state: State, least: number): Array<Fragments> => {
  const chosen: Array<Fragments> = []
  let room = mergedBytesMax
  for (const [key, { isStored }] of state.streams.facts()) {
    const stream = isStored ? state.streams.look(key) : undefined
    for (const run of stream?.data?.fragments(least, smallBytes, mergedBytesMax) ?? []) {
      if (stream === undefined || run.to - run.from > room) continue
      chosen.push({ stream, from: run.from, to: run.to })
      room -= run.to - run.from
      if (chosen.length === sectionsMax || room < smallBytes) return chosen
    }
  }
  return chosen
}

const isOfSegment = (part: Part): part is StoredPart & { readonly segment: NonNullable<StoredPart["segment"]> } =>
  !Buffer.isBuffer(part) && part.segment !== undefined

/** The bytes of a run, and where its appends end, as its segments have them. */
export const gathered = (cold: Cold, { stream, from, to }: Fragments): Effect.Effect<Section, ColdFailed> =>
  Effect.gen(function* () {
    const bytes: Array<Buffer> = []
    const ends: Array<number> = []
    for (const part of (stream.data?.parts(from, to) ?? []).filter(isOfSegment)) {
      ends.push(...(yield* cold.endsOf(part)))
      bytes.push(yield* cold.read(part))
    }
    return { key: stream.key, createdAt: stream.createdAt, from, bytes, ends }
  })
