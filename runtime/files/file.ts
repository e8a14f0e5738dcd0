/**
 * What is written to one file and not committed: where each write goes, what is frozen when, what is packed together.
 */

import { blockBytesMax, chunkBytes } from "../../messages/chunks.ts"
import type { Time, Who } from "../../messages/inode.ts"
import type { Traits } from "../../messages/workspace-events.ts"
import { Run, Slice } from "./slice.ts"

/**
 * So many runs back a write looks for one that it continues or changes: files are written in a few places at a time.
 */
const lookBack = 32

/** Runs that still grow: behind it they are frozen, so that random writes go to the store while they come in. */
export const openRunsMax = 256

/** Runs of a file: behind it writes wait, so that a commit stays a message and a read's overlay stays quick. */
export const runsMax = 4096

/**
 * A run up to here is put into one object with its neighbours: a hundred scattered pages are one put, not a hundred.
 */
const packedRunBytesMax = 512 * 1024
/** They are committed by one command, with others. */
const packedRunsMax = 256

export interface Placed {
  readonly run: Run
  readonly off: number
  readonly len: number
  readonly begun: boolean
}

export interface Write {
  readonly offset: number
  readonly length: number
  readonly append: boolean
  readonly who: Who
  readonly ms: number
  readonly time: Time
}

/** Called when what was written up to this run is committed or lost, or can be told to be in trouble. */
export interface FlushWaiter {
  readonly upTo: number
  /** It asks for the order alone: what is lost is told to somebody who asks whether it is kept. */
  readonly isDeaf: boolean
  readonly until: number
  readonly resume: (trouble: Trouble | undefined) => void
}

export interface Trouble {
  readonly errno: string
  readonly why: string
}

export class DirtyFile {
  readonly ino: number
  /** In the order in which they were begun, which is the order of their commits. */
  readonly runs: Array<Run> = []
  waiters: Array<FlushWaiter> = []
  /** What the next flush has to say, and the number under which it stands on the stage. */
  failed: (Trouble & { readonly run: number }) | undefined
  /** Set behind the bytes up to this run, none of which is on its way to the workspace yet. */
  set: { readonly run: number; readonly traits: Traits } | undefined
  /** Grows whenever a run leaves: a read plan from before does not show it. */
  epoch = 0
  /** Commits of the file wait while this is not 0. */
  held = 0
  /** A fibre is at its commits. */
  pumping = false

  constructor(ino: number) {
    this.ino = ino
  }

  get lastRun(): number {
    return this.runs.at(-1)?.number ?? -1
  }

  get end(): number {
    let end = 0
    for (const run of this.runs) end = Math.max(end, run.end)
    return end
  }

  get time(): Time | undefined {
    let newest: Run | undefined
    for (const run of this.runs) if (newest === undefined || run.writtenMs >= newest.writtenMs) newest = run
    return newest?.time
  }

  /** Those who have waited for too long. */
  takeLate(now: number): ReadonlyArray<FlushWaiter> {
    const late = this.waiters.filter(({ until }) => until <= now)
    if (late.length > 0) this.waiters = this.waiters.filter(({ until }) => until > now)
    return late
  }

  /** The run that takes what is written at `at`, if one may: nothing newer may lie between. */
  private openRun(at: number, length: number): Run | undefined {
    const { runs } = this
    for (let index = runs.length - 1; index >= Math.max(0, runs.length - lookBack); index--) {
      const run = runs[index] as Run
      if (run.append) return undefined
      const isOpen = !run.frozen && at >= run.at + run.slice.sealed && at <= run.end && at < run.limit
      if (isOpen) return run
      if (at < run.end && at + length > run.at) return undefined
    }
    return undefined
  }

  /** Where appended bytes go: behind those that are pending, whatever the kernel takes for the end of the file. */
  private appendRun(): Run | undefined {
    const last = this.runs.at(-1)
    return last?.append && !last.frozen && last.end < last.limit ? last : undefined
  }

  /** Finds or begins the run for the first of these bytes, and says how many of them it takes. */
  place(write: Write, newNumber: () => number): Placed {
    const { append, length, offset, ms, time, who } = write
    const last = this.runs.at(-1)
    const at = append && last?.append ? last.end : offset
    const open = append ? this.appendRun() : this.openRun(at, length)
    const run =
      open ?? new Run(newNumber(), new Slice(this, Math.floor(at / chunkBytes)), { at, append, who, ms, time })
    if (open === undefined) this.runs.push(run)
    run.writtenMs = ms
    run.time = time
    const off = at - run.at
    return { run, off, len: Math.min(length, run.limit - at), begun: open === undefined }
  }

  /** Slices that are frozen now and were not before. Small runs that follow one another share one. */
  freeze(which: (run: Run) => boolean, pack: (runs: ReadonlyArray<Run>) => Slice | undefined): Array<Slice> {
    const frozen: Array<Slice> = []
    let group: Array<Run> = []
    let bytes = 0
    const close = () => {
      const packed = group.length > 1 ? pack(group) : undefined
      for (const slice of packed === undefined ? group.map((run) => run.slice) : [packed]) {
        slice.frozen = true
        frozen.push(slice)
      }
      group = []
      bytes = 0
    }
    for (const run of this.runs) {
      if (run.frozen || !which(run)) {
        close()
        continue
      }
      const isSmall = run.length <= packedRunBytesMax && run.slice.sealed === 0
      const first = group[0]
      const fits = first !== undefined && first.append === run.append && bytes + run.length <= blockBytesMax
      if (!isSmall || !fits || group.length >= packedRunsMax) close()
      group.push(run)
      bytes += run.length
      if (!isSmall) close()
    }
    close()
    return frozen
  }
}
