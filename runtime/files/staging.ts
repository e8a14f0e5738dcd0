/** Keeps what writes were told was taken until it is committed, so that it outlives this process. */
import { Effect } from "effect"
import type { ScratchFailed, Segment, Tape } from "../ports/scratch.ts"
import type { Meters } from "./data.ts"
import {
  type BegunRecord,
  type BytesPlace,
  bytesHead,
  type FailedRecord,
  headBytes,
  jsonRecord,
  type OverRecord,
  readRecord,
  recordBytes,
  type SentRecord,
  type SetRecord,
  type StageRecord
} from "./record.ts"
import type { Extent } from "./slice.ts"

/** Space is given back segment by segment: small enough to follow the commits, large enough to be few files. */
const segmentBytesMax = 64 * 1024 * 1024

/** What is over needs room too, or a full stage could never become empty. */
const reserveBytes = 1024 * 1024

/** What is read at once when a stage is taken over. */
const scanBytes = 4 * 1024 * 1024

interface Live {
  readonly number: number
  size: number
  /** Runs that have records here and are not over. */
  readonly runs: Set<number>
}

export interface Recovered {
  readonly segment: number
  readonly record: StageRecord
}

export class Stage {
  private readonly tape: Tape
  private readonly bytesMax: number
  private readonly meters: Meters
  /** In the order of their numbers, the last one is being filled. */
  private readonly live: Array<Live> = []
  private next = 1
  /** Why it took nothing the last time; what it holds is still good. */
  broken: ScratchFailed | undefined

  constructor(tape: Tape, bytesMax: number, meters: Meters) {
    this.tape = tape
    this.bytesMax = bytesMax
    this.meters = meters
  }

  get isEmpty(): boolean {
    return this.live.length === 0
  }

  hasRoom(bytes: number): boolean {
    const fits = () => this.meters.stagedBytes + bytes + headBytes + reserveBytes <= this.bytesMax
    if (fits()) return true
    this.sweep(true)
    return fits()
  }

  private current(): Live {
    const last = this.live.at(-1)
    if (last !== undefined && last.size < segmentBytesMax && last.number === this.next - 1) return last
    const fresh: Live = { number: this.next++, size: 0, runs: new Set() }
    this.live.push(fresh)
    return fresh
  }

  private append(pieces: ReadonlyArray<Uint8Array>, runs: ReadonlyArray<number>): Extent | ScratchFailed {
    const segment = this.current()
    const at = this.tape.append(segment.number, pieces)
    // What failed may have left a torn record: nothing may come behind it.
    if (typeof at !== "number") {
      this.broken = at
      this.next = segment.number + 2
      if (segment.size === 0) this.live.pop()
      return at
    }
    this.broken = undefined
    let len = 0
    for (const piece of pieces) len += piece.length
    segment.size = at + len
    this.meters.stagedBytes += len
    for (const run of runs) segment.runs.add(run)
    return { segment: segment.number, at, off: 0, len }
  }

  /** A process that comes after this one has to say what this one could not say any more, and to set what it set. */
  noted(record: FailedRecord | SetRecord): ScratchFailed | undefined {
    const done = this.append(jsonRecord(record), [record.run])
    return "why" in done ? done : undefined
  }

  /** Bytes of a run; with the first of them, that it was begun. */
  bytes(place: BytesPlace, data: Uint8Array, begun?: BegunRecord): Extent | ScratchFailed {
    const head = bytesHead(place, data)
    const before = begun === undefined ? [] : jsonRecord(begun)
    const done = this.append([...before, head, data], [place.run])
    if ("why" in done) return done
    return { segment: done.segment, at: done.at + done.len - data.length, off: place.off, len: data.length }
  }

  sent(record: SentRecord): ScratchFailed | undefined {
    const done = this.append(jsonRecord(record), record.runs)
    return "why" in done ? done : undefined
  }

  /**
   * Committed or lost: they need not be kept. Segments go from the oldest on, so no run outlives the word of its end.
   */
  over(runs: ReadonlyArray<number>): ScratchFailed | undefined {
    const record: OverRecord = { kind: "over", runs }
    const held = this.live.some((segment) => runs.some((run) => segment.runs.has(run)))
    const done = held ? this.append(jsonRecord(record), []) : undefined
    // Unsaid, it would be sent once more after a crash, as the same command: it is refused or answered, and changes
    // nothing.
    for (const segment of this.live) for (const run of runs) segment.runs.delete(run)
    this.sweep()
    return done !== undefined && "why" in done ? done : undefined
  }

  /** After recovery: of all other runs up to that number nothing is needed any more. */
  forgetAllBut(runs: ReadonlySet<number>, upTo: number): void {
    for (const segment of this.live)
      for (const run of segment.runs) if (run <= upTo && !runs.has(run)) segment.runs.delete(run)
    this.sweep()
  }

  /** From now on there is a segment at any time: a successor that finds none knows that somebody took them away. */
  mark(): void {
    const record: OverRecord = { kind: "over", runs: [] }
    this.append(jsonRecord(record), [])
    this.isMarked = true
  }
  private isMarked = false

  private sweep(evenCurrent = false): void {
    for (let first = this.live[0]; first !== undefined && first.runs.size === 0; first = this.live[0]) {
      // The one that is being filled goes when it has grown, so that an idle stage is small.
      const isFilled = first.number !== this.next - 1
      if (!isFilled && !evenCurrent && first.size < segmentBytesMax / 4) return
      this.tape.drop(first.number)
      this.meters.stagedBytes -= first.size
      this.live.shift()
    }
    if (this.isMarked && this.live.length === 0) this.mark()
  }

  read(extent: Extent): Effect.Effect<Uint8Array, ScratchFailed> {
    return this.tape.read(extent.segment, extent.at, extent.len)
  }

  /** Reads what another process left, from the oldest record on. A torn end is nothing that was accepted. */
  recover(visit: (found: Recovered) => void): Effect.Effect<ReadonlyArray<Segment>, ScratchFailed> {
    const stage = this
    return Effect.gen(function* () {
      const damaged: Array<Segment> = []
      for (const segment of yield* stage.tape.segments) {
        const live: Live = { number: segment.number, size: segment.size, runs: new Set() }
        stage.live.push(live)
        // Not in the last one either: it may end with half a record, and nothing behind that would be found.
        stage.next = Math.max(stage.next, segment.number + 2)
        stage.meters.stagedBytes += segment.size
        const read = yield* stage.scan(segment, (record) => {
          if (record.kind === "sent") for (const run of record.runs) live.runs.add(run)
          else if (record.kind !== "over") live.runs.add(record.run)
          visit({ segment: segment.number, record })
        })
        if (read < segment.size) damaged.push({ number: segment.number, size: segment.size - read })
      }
      return damaged
    })
  }

  /** How many bytes of the segment are good records, or a last one that was not written whole. */
  private scan(segment: Segment, visit: (record: StageRecord) => void): Effect.Effect<number, ScratchFailed> {
    const { tape } = this
    const { number, size } = segment
    return Effect.gen(function* () {
      let window: Buffer = Buffer.alloc(0)
      let from = 0
      for (let at = 0; at + headBytes <= size; ) {
        let rest = window.subarray(at - from)
        const needed = rest.length < headBytes ? headBytes : recordBytes(rest)
        if (at + needed > size) return size
        if (rest.length < needed) {
          rest = Buffer.from(yield* tape.read(number, at, Math.min(size - at, Math.max(needed, scanBytes))))
          window = rest
          from = at
          continue
        }
        const record = readRecord(rest.subarray(0, needed), at)
        if (record === undefined) return at
        visit(record)
        at += needed
      }
      return size
    })
  }
}
