/** The owner's background work on its partitions: moves old payloads into segments, and deletes what nobody needs. */
import { Effect } from "effect"
import { garbageMs } from "../../actors/stream-partition/objects.ts"
import type { Facts } from "../../actors/stream-partition/packed.ts"
import type { Run } from "../../actors/stream-partition/payload.ts"
import type { State, Stream } from "../../actors/stream-partition/state.ts"
import { partitionHotBytesMax } from "../../messages/limits.ts"
import type { Objects } from "../ports/objects.ts"
import { announced, plannedMs } from "./announced.ts"
import { Cold } from "./cold.ts"
import { fragments, gathered } from "./merge.ts"
import type { Command, Here, Outcome, Partitions } from "./partitions.ts"
import { type Section, writeSegment } from "./segment.ts"

export interface Sealing {
  /** Payloads of a partition that may stay in memory; 0 keeps all of them there. */
  readonly hotBytes: number
  /** A stream that was silent for so long gives up its memory also when there is enough. */
  readonly idleMs: number
  /** How often a partition is looked at. */
  readonly everyMs: number
  /** An object that nobody needs is deleted after so long: who has begun to read it has finished by then. */
  readonly graceMs: number
  /** How often small segments are looked for. */
  readonly mergeMs: number
  /** Fewer than this in a row are left as they are: each is written once more only for every so many that come. */
  readonly mergeLeast: number
  /** What is not committed so long after it was announced is left behind. */
  readonly plannedMs: number
}

export const sealingDefaults: Sealing = {
  hotBytes: 8 * 1024 * 1024,
  idleMs: 600_000,
  everyMs: 1_000,
  graceMs: garbageMs,
  mergeMs: 60_000,
  mergeLeast: 8,
  plannedMs
}

/** One object: an upload of a moment, and as much as has to be in memory while it is written. */
const objectBytesMax = 8 * 1024 * 1024
/** Its sections are one event, which has to fit into an entry of the journal. */
const sectionsMax = 256
/** Between two looks at all partitions those that fill quickly are looked at so many times. */
const turnsEach = 8
/** Less than this is not worth a section, unless memory runs out. */
const worthBytes = 512
/** What was written last stays in memory, where those who follow the tail read it. */
const keptBytes = 256 * 1024
const keptMs = 10_000
/** Blocks of small segments are read once: what is kept of them is for those that were fetched together. */
const mergeCacheBytes = 2 * 1024 * 1024
/** Deleted at once. */
const deletedMax = 500

export interface Chosen extends Run {
  readonly stream: Stream
}

interface Choice {
  readonly state: State
  readonly now: number
  readonly sealing: Sealing
}

/** What goes into the next object: streams that were silent for longest come first. */
export const choose = ({ state, now, sealing }: Choice): Array<Chosen> => {
  const isFull = state.hotBytes > sealing.hotBytes
  let excess = isFull ? state.hotBytes - sealing.hotBytes / 2 : 0
  const worth = state.hotBytes > partitionHotBytesMax * 0.75 ? 1 : worthBytes
  const isIdle = ({ writtenAt }: Facts): boolean => now - writtenAt >= sealing.idleMs
  const candidates = [...state.streams.facts()]
    .filter(([, facts]) => facts.hotBytes >= worth && facts.createdAt < now && (isFull || isIdle(facts)))
    .sort(([, a], [, b]) => a.writtenAt - b.writtenAt)
  const kept = Math.min(keptBytes, sealing.hotBytes / 4)
  const chosen: Array<Chosen> = []
  let bytes = 0
  for (const [key, facts] of candidates) {
    if (excess <= 0 && !isIdle(facts)) break
    const stream = state.streams.look(key) as Stream
    for (const run of stream.data?.runs() ?? []) {
      const to = endOf(stream, run, { now, room: objectBytesMax - bytes, kept })
      if (to - run.from < worth) continue
      chosen.push({ stream, from: run.from, to })
      bytes += to - run.from
      excess -= to - run.from
      if (bytes >= objectBytesMax * 0.75 || chosen.length === sectionsMax) return chosen
      if (excess <= 0 && !isIdle(facts)) break
    }
  }
  return chosen
}

/** Where to stop within a run: at the end of an append, with room for it, and before what tails are still reading. */
const endOf = (
  { data, tail, writtenAt }: Stream,
  run: Run,
  { now, room, kept }: { readonly now: number; readonly room: number; readonly kept: number }
) => {
  const isActive = run.to === tail && now - writtenAt < keptMs
  const last = Math.min(run.from + room, isActive ? run.to - kept : run.to)
  if (data === undefined || last <= run.from) return run.from
  const end = data.endWithin(run.from, last - run.from)
  return end > last ? run.from : end
}

const sectionOf = ({ stream, from, to }: Chosen): Section => ({
  ...{ key: stream.key, createdAt: stream.createdAt, from },
  // A range in memory: its parts are bytes, and its marks are ends.
  bytes: stream.data?.parts(from, to).filter((part) => Buffer.isBuffer(part)) ?? [],
  ends: stream.data?.marks(from, to).filter((mark) => typeof mark === "number") ?? []
})

export interface Told {
  sealedBytes: number
  segments: number
  /** Runs of small segments that became one. */
  merged: number
  deleted: number
}

/** Works on all partitions that this node serves, for as long as the scope lasts. */
export class Sealer {
  readonly told: Told = { sealedBytes: 0, segments: 0, merged: 0, deleted: 0 }
  private readonly partitions: Partitions
  private readonly objects: Objects["Service"]
  private readonly sealing: Sealing
  private readonly looked = new Map<number, number>()
  /** When a partition was looked through for small segments, and how many objects it had. */
  private readonly merged = new Map<number, { readonly objects: number; readonly at: number }>()
  private readonly cold: Cold

  constructor(partitions: Partitions, objects: Objects["Service"], sealing: Sealing) {
    this.partitions = partitions
    this.objects = objects
    this.cold = new Cold(objects, mergeCacheBytes)
    this.sealing = sealing
  }

  readonly run: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    for (let turn = 1; ; turn++) {
      yield* Effect.sleep(this.sealing.everyMs / turnsEach)
      for (const partition of this.partitions.ids.keys())
        if (turn % turnsEach === 0 || this.isPressed(partition)) yield* this.look(partition)
    }
  })

  /** At tens of megabytes a second a partition would be full before it is its turn. */
  private isPressed(partition: number): boolean {
    const { hotBytes } = this.sealing
    return hotBytes > 0 && (this.partitions.peek(partition)?.state.hotBytes ?? 0) > 2 * hotBytes
  }

  /** Seals and sweeps a partition as far as there is something to do; what fails is tried again when it is its turn. */
  look(partition: number): Effect.Effect<void> {
    return Effect.catch(
      Effect.gen({ self: this }, function* () {
        while (yield* this.sealNext(partition)) yield* Effect.yieldNow
        if (this.isMergeDue(partition)) while (yield* this.mergeNext(partition)) yield* Effect.yieldNow
        while (yield* this.sweepNext(partition)) yield* Effect.yieldNow
      }),
      (error) => Effect.logWarning(`partition ${this.partitions.ids[partition]} cannot be sealed at the moment`, error)
    )
  }

  /** Whether there may be more. */
  private readonly sealNext = Effect.fnUntraced({ self: this }, function* (this: Sealer, partition: number) {
    const { partitions, sealing } = this
    const here = partitions.peek(partition)
    if (here === undefined || sealing.hotBytes === 0 || !this.isDue(partition, here.state)) return false
    const chosen = choose({ state: here.state, now: partitions.now(), sealing })
    if (chosen.length === 0) return false
    const sections = chosen.map(sectionOf)
    if (!(yield* this.settled(here))) return false
    const { object, placed } = yield* this.written(partition, sections)
    const outcome = yield* this.tell(partition, { _tag: "Seal", object, sections: placed })
    // When none was as it had been any more, the object is garbage already, and it is for the next look to go on.
    if (!("ok" in outcome) || (outcome.ok as { readonly sealed: number }).sealed === 0) return false
    this.told.segments += 1
    return true
  })

  /** Several small segments of a stream become one. Whether there may be more. */
  private readonly mergeNext = Effect.fnUntraced({ self: this }, function* (this: Sealer, partition: number) {
    const here = this.partitions.peek(partition)
    if (here === undefined) return false
    const chosen = fragments(here.state, this.sealing.mergeLeast)
    if (chosen.length === 0) return false
    const sections = yield* Effect.forEach(chosen, (each) => gathered(this.cold, each))
    if (!(yield* this.settled(here))) return false
    const { object, placed } = yield* this.written(partition, sections)
    const outcome = yield* this.tell(partition, { _tag: "Merge", object, sections: placed })
    if (!("ok" in outcome) || (outcome.ok as { readonly merged: number }).merged === 0) return false
    this.told.merged += sections.length
    return true
  })

  /** An object with these sections, and their places in it. */
  private readonly written = Effect.fnUntraced(
    { self: this },
    function* (this: Sealer, partition: number, sections: ReadonlyArray<Section>) {
      const { partitions, sealing } = this
      const { object: bytes, sections: places } = writeSegment(sections)
      const at = { folder: "segments/", name: `${timeText(partitions.now())}-${partitions.freshId()}` }
      const write = (name: string) => Effect.as(this.objects.put(name, bytes), name)
      const object = yield* announced(partitions, partition, write, { ...at, forMs: sealing.plannedMs })
      this.told.sealedBytes += bytes.length
      const placed = sections.map(({ key: stream, createdAt, from, ends: own }, each) => {
        const { index = 0, indexBytes = 0, ends = [] } = places[each] ?? {}
        return { stream, createdAt, from, to: own.at(-1) ?? from, index, indexBytes, ends }
      })
      return { object, placed }
    }
  )

  /** Only a partition that has sealed something since has more to merge than it had. */
  private isMergeDue(partition: number): boolean {
    const objects = this.partitions.peek(partition)?.state.objects
    if (objects === undefined) return false
    const now = this.partitions.now()
    const known = this.merged.get(partition)
    if (known !== undefined && (known.objects === objects.size || now - known.at < this.sealing.mergeMs)) return false
    this.merged.set(partition, { objects: objects.size, at: now })
    return objects.size >= this.sealing.mergeLeast
  }

  /** A partition within its bound is looked through for silent streams a few times in their time only. */
  private isDue(partition: number, { hotBytes }: State): boolean {
    if (hotBytes > this.sealing.hotBytes) return true
    const now = this.partitions.now()
    if (hotBytes < worthBytes || now - (this.looked.get(partition) ?? 0) < this.sealing.idleMs / 4) return false
    this.looked.set(partition, now)
    return true
  }

  private readonly sweepNext = Effect.fnUntraced({ self: this }, function* (this: Sealer, partition: number) {
    const here = this.partitions.peek(partition)
    if (here === undefined) return false
    const before = this.partitions.now() - this.sealing.graceMs
    const objects: Array<string> = []
    for (const [object, since] of here.state.garbage) {
      if (since <= before) objects.push(object)
      if (objects.length === deletedMax) break
    }
    if (objects.length === 0 || !(yield* this.settled(here))) return false
    yield* this.objects.remove(objects)
    this.told.deleted += objects.length
    const outcome = yield* this.tell(partition, { _tag: "ForgetObjects", objects })
    return "ok" in outcome
  })

  private settled(here: Here): Effect.Effect<boolean> {
    return Effect.callback<boolean>((resume) => {
      this.partitions.settled(here, (isCommitted) => resume(Effect.succeed(isCommitted)))
    })
  }

  private tell(partition: number, command: Command): Effect.Effect<Outcome> {
    return this.partitions.told(partition, command, "node")
  }
}

/** Sorts as a text like the moments do. */
const timeText = (at: number): string => at.toString(16).padStart(16, "0")
