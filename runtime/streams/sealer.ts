/** The owner's background work on its partitions: moves old payloads into segments, and deletes what nobody needs. */
import { Effect, Stream as Pages } from "effect"
import type { Run } from "../../actors/stream-partition/payload.ts"
import type { State, Stream } from "../../actors/stream-partition/state.ts"
import { partitionHotBytesMax } from "../../messages/limits.ts"
import type { Objects } from "../ports/objects.ts"
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
}

export const sealingDefaults: Sealing = { hotBytes: 8 * 1024 * 1024, idleMs: 600_000, everyMs: 1_000, graceMs: 600_000 }

/** One object: an upload of a moment, and as much as has to be in memory while it is written. */
const objectBytesMax = 8 * 1024 * 1024
/** Its sections are one event, which has to fit into an entry of the journal. */
const sectionsMax = 256
/** Less than this is not worth a section, unless memory runs out. */
const worthBytes = 512
/** What was written last stays in memory, where those who follow the tail read it. */
const keptBytes = 256 * 1024
const keptMs = 10_000
/**
 * An object that was written so long ago and that nobody knows of was left by an owner that died: its commit is lost.
 */
const orphanMs = 3_600_000
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
  const isIdle = (stream: Stream): boolean => now - stream.writtenAt >= sealing.idleMs
  const candidates = [...state.streams.values()]
    .filter((stream) => (stream.data?.bytes ?? 0) >= worth && stream.createdAt < now && (isFull || isIdle(stream)))
    .sort((a, b) => a.writtenAt - b.writtenAt)
  const kept = Math.min(keptBytes, sealing.hotBytes / 4)
  const chosen: Array<Chosen> = []
  let bytes = 0
  for (const stream of candidates) {
    if (excess <= 0 && !isIdle(stream)) break
    for (const run of stream.data?.runs() ?? []) {
      const to = endOf(stream, run, { now, room: objectBytesMax - bytes, kept })
      if (to - run.from < worth) continue
      chosen.push({ stream, from: run.from, to })
      bytes += to - run.from
      excess -= to - run.from
      if (bytes >= objectBytesMax * 0.75 || chosen.length === sectionsMax) return chosen
      if (excess <= 0 && !isIdle(stream)) break
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
  deleted: number
}

/** Works on all partitions that this node serves, for as long as the scope lasts. */
export class Sealer {
  readonly told: Told = { sealedBytes: 0, segments: 0, deleted: 0 }
  private readonly partitions: Partitions
  private readonly objects: Objects["Service"]
  private readonly sealing: Sealing
  private readonly looked = new Map<number, number>()
  /** In which epoch orphans of a partition were looked for. */
  private readonly searched = new Map<number, number>()

  constructor(partitions: Partitions, objects: Objects["Service"], sealing: Sealing) {
    this.partitions = partitions
    this.objects = objects
    this.sealing = sealing
  }

  readonly run: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    for (;;) {
      yield* Effect.sleep(this.sealing.everyMs)
      for (const partition of this.partitions.ids.keys()) yield* this.look(partition)
    }
  })

  /** Seals and sweeps a partition as far as there is something to do; what fails is tried again when it is its turn. */
  look(partition: number): Effect.Effect<void> {
    return Effect.catch(
      Effect.gen({ self: this }, function* () {
        while (yield* this.sealNext(partition)) yield* Effect.yieldNow
        while (yield* this.sweepNext(partition)) yield* Effect.yieldNow
        yield* this.searchOrphans(partition)
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
    const { object: bytes, sections: placed } = writeSegment(sections)
    const object = `${this.folderOf(partition)}${timeText(partitions.now())}-${partitions.freshId()}`
    yield* this.objects.put(object, bytes)
    const outcome = yield* this.tell(partition, {
      _tag: "Seal",
      object,
      sections: chosen.map(({ stream, from, to }, each) => {
        const { index = 0, indexBytes = 0, ends = [] } = placed[each] ?? {}
        return { stream: stream.key, createdAt: stream.createdAt, from, to, index, indexBytes, ends }
      })
    })
    // When none was as it had been any more, the object is garbage already, and it is for the next look to go on.
    if (!("ok" in outcome) || (outcome.ok as { readonly sealed: number }).sealed === 0) return false
    this.told.segments += 1
    this.told.sealedBytes += bytes.length
    return true
  })

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

  /** Once for each owner: what its predecessors have left. */
  private readonly searchOrphans = Effect.fnUntraced({ self: this }, function* (this: Sealer, partition: number) {
    const epoch = this.partitions.epochOf(partition)
    if (epoch === undefined || this.searched.get(partition) === epoch || this.partitions.peek(partition) === undefined)
      return
    const folder = this.folderOf(partition)
    const before = `${folder}${timeText(this.partitions.now() - orphanMs)}`
    yield* this.objects.list(folder).pipe(
      Pages.map((page) => page.map(({ key }) => key).filter((key) => key < before)),
      Pages.runForEach((found) => {
        const state = this.partitions.peek(partition)?.state
        if (state === undefined) return Effect.void
        const orphans = found.filter((key) => !state.objects.has(key) && !state.garbage.has(key))
        this.told.deleted += orphans.length
        return orphans.length === 0 ? Effect.void : this.objects.remove(orphans)
      })
    )
    this.searched.set(partition, epoch)
  })

  private folderOf(partition: number): string {
    return `streams/${this.partitions.ids[partition]}/segments/`
  }

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
