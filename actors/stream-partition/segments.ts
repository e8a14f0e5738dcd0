/** Which objects a partition's streams need: segments that took data out of memory, and what nobody needs any more. */
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import type { Decision } from "../decider.ts"
import { discard } from "./objects.ts"
import type { State, Stream } from "./state.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>
type Outcome = Decision<unknown, RefusalOf<StreamPartition>, Event>
type Of<Union, Tag> = Extract<Union, { readonly _tag: Tag }>

/**
 * What is sealed was in memory when its object was written: a stream that was deleted since, or made anew, or has let
 * go of its beginning, is left out. An object of which nothing is left is garbage from the start.
 */
export const seal = (state: State, { object, sections }: Of<Command, "Seal">): Outcome => {
  const taken = sections.filter(({ stream: key, createdAt, from, to }) => {
    const stream = state.streams.get(key)
    return stream?.createdAt === createdAt && stream.data?.isHot(from, to) === true
  })
  const sealed = taken.map(({ createdAt, ...section }) => section)
  return { events: [{ _tag: "Sealed", object, sections: sealed }], reply: { sealed: sealed.length } }
}

/** The objects are deleted by now. */
export const forget = (state: State, { objects }: Of<Command, "ForgetObjects">): Outcome => {
  const known = objects.filter((object) => state.garbage.has(object))
  return { events: known.length === 0 ? [] : [{ _tag: "ObjectsForgotten", objects: known }], reply: {} }
}

export const evolveSealed = (state: State, { object, sections }: Of<Event, "Sealed">, at: number): void => {
  for (const { stream: key, from, to, ...segment } of sections) {
    const data = state.streams.get(key)?.data
    if (data === undefined) throw new Error(`a segment of ${key}, which has no data`)
    const before = data.bytes
    data.seal({ from, to }, object, segment)
    state.hotBytes -= before - data.bytes
    refer(state, object)
  }
  state.planned.delete(object)
  if (sections.length === 0) discard(state, object, at)
}

/** What lies in several segments lies in one, and these may be needed by nobody any more. */
export const merge = (state: State, { object, sections }: Of<Command, "Merge">): Outcome => {
  const taken = sections.filter(({ stream: key, createdAt, from, to }) => {
    const stream = state.streams.get(key)
    return stream?.createdAt === createdAt && stream.data?.isSealed(from, to) === true
  })
  const merged = taken.map(({ createdAt, ...section }) => section)
  return { events: [{ _tag: "SegmentsMerged", object, sections: merged }], reply: { merged: merged.length } }
}

export const evolveMerged = (state: State, { object, sections }: Of<Event, "SegmentsMerged">, at: number): void => {
  for (const { stream: key, from, to, ...segment } of sections) {
    const data = state.streams.get(key)?.data
    if (data === undefined) throw new Error(`a merged segment of ${key}, which has no data`)
    const replaced = data.objectsIn(from, to)
    data.seal({ from, to }, object, segment)
    refer(state, object)
    release(state, replaced, at)
  }
  state.planned.delete(object)
  if (sections.length === 0) discard(state, object, at)
}

export const refer = ({ objects, garbage, planned }: State, object: string): void => {
  objects.set(object, (objects.get(object) ?? 0) + 1)
  garbage.delete(object)
  planned.delete(object)
}

/** An object that nobody needs is kept for a while, for those who are reading it. */
export const release = (state: State, released: ReadonlyArray<string>, at: number): void => {
  const { objects } = state
  for (const object of released) {
    const left = (objects.get(object) ?? 1) - 1
    if (left > 0) objects.set(object, left)
    else {
      objects.delete(object)
      discard(state, object, at)
    }
  }
}

/** Everything of a stream that is no more. */
export const releaseAll = (state: State, { data, snapshot }: Stream, at: number): void => {
  state.hotBytes -= data?.bytes ?? 0
  release(state, data?.objects() ?? [], at)
  if (snapshot !== undefined) release(state, [snapshot.object], at)
}

/** Nothing before the floor is read: forks would, and while there are some it stays. */
export const dropToFloor = (state: State, { data, floor, pins }: Stream, at: number): void => {
  if (data === undefined || pins !== undefined) return
  const bytes = data.bytes
  const objects = data.objects()
  data.dropBefore(floor)
  state.hotBytes -= bytes - data.bytes
  release(state, objects.slice(0, objects.length - data.objects().length), at)
}
