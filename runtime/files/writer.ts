/** Takes what is written to the files of a workspace, and sees to it that it is stored and committed. */
import { Clock, Effect } from "effect"
import { blockBytesMax } from "../../messages/chunks.ts"
import type { Time } from "../../messages/inode.ts"
import type { Buffers } from "./buffer.ts"
import { type CommitHost, Committer } from "./commit.ts"
import { DataFailed, type Meters, type Writing } from "./data.ts"
import { Failures } from "./failures.ts"
import { DirtyFile, type FlushWaiter, openRunsMax, type Placed, runsMax, type Trouble } from "./file.ts"
import { pack } from "./pack.ts"
import { WriterQueue } from "./queue.ts"
import type { DirtyBlock, Run, Slice } from "./slice.ts"
import type { Stage } from "./staging.ts"
import { Dressing } from "./traits.ts"
import { Uploader, type UploadHost } from "./upload.ts"

/** A run that is written to again and again is committed after this, so that others see it and little is at risk. */
const runMsMax = 5_000
const idleMs = 1_000
const tickMs = 500

export interface WriterHost {
  readonly upload: Omit<UploadHost, "stored" | "troubled" | "lost" | "roomMade">
  readonly commit: Omit<CommitHost, "leave" | "troubled" | "rested" | "stage" | "meters" | "fork">
  readonly clock: Clock.Clock
  readonly session: string
  readonly bufferBytes: number
  readonly flushMs: number
}

/** More than this is taken piece by piece: it has to fit into the buffers and onto the stage at once. */
const writeBytesMax = blockBytesMax

interface Put extends Placed {
  readonly request: number | undefined
}

const timeOf = (ms: number): Time => [Math.floor(ms / 1000), Math.floor((ms % 1000) * 1_000_000)]

export class Writer {
  readonly files = new Map<number, DirtyFile>()
  readonly uploader: Uploader
  private readonly host: WriterHost
  private readonly stage: Stage | undefined
  private readonly buffers: Buffers
  private readonly meters: Meters
  private readonly committer: Committer
  private readonly queue = new WriterQueue()
  private nextRun = 1
  private ticking = false
  readonly failures: Failures
  readonly dressing: Dressing
  /** Bytes that a process before this one took, by the request that appended them. */
  readonly appended = new Map<number, number>()
  /** It is being written to: the first part of a write can be committed before the second part is taken. */
  private taking: DirtyFile | undefined

  constructor(host: WriterHost) {
    this.host = host
    const { buffers, fork, meters, stage } = host.upload
    this.stage = stage
    this.failures = new Failures(stage, this.newRun, fork)
    this.dressing = new Dressing({ stage, fork, freeze: (file) => this.freeze(file, () => true) })
    this.buffers = buffers
    this.meters = meters
    this.uploader = new Uploader({
      ...host.upload,
      stored: (slice) => this.committer.pump(slice.file),
      troubled: (slice, trouble, refused) => this.troubled(slice.file, trouble, refused ? slice : undefined),
      lost: (slice, trouble) => this.leave(slice.file, [...slice.runs], trouble),
      roomMade: () => this.queue.look()
    })
    this.committer = new Committer({
      ...host.commit,
      stage,
      meters,
      fork,
      leave: (file, runs, lost) => this.leave(file, runs, lost),
      troubled: (file, trouble) => this.troubled(file, trouble, undefined),
      rested: (file) => this.settle(file)
    })
  }

  file(ino: number): DirtyFile {
    const there = this.files.get(ino)
    if (there !== undefined) return there
    const file = new DirtyFile(ino)
    this.files.set(ino, file)
    this.meters.dirtyFiles = this.files.size
    return file
  }

  readonly newRun = (): number => this.nextRun++

  skipRuns(upTo: number): void {
    this.nextRun = Math.max(this.nextRun, upTo + 1)
  }

  accept(writing: Writing): boolean {
    return writing.data.length <= writeBytesMax && this.queue.isEmpty && this.take(writing)
  }

  /** `through`: past the stage, which takes nothing; the writer is answered when it is committed. */
  private take(writing: Writing, through = false): boolean {
    const { append = false, data, ino, offset, request, who } = writing
    if (data.length === 0) return true
    const file = this.file(ino)
    if (through) this.freeze(file, () => true)
    if (file.runs.length >= runsMax) {
      this.freeze(file, () => true)
      return false
    }
    if (!this.makeRoom(data.length, through)) {
      this.settle(file)
      return false
    }
    const ms = this.host.clock.currentTimeMillisUnsafe()
    const time = timeOf(ms)
    let isUnstaged = through
    this.taking = file
    for (let done = 0; done < data.length; ) {
      const length = data.length - done
      const placed = file.place({ offset: offset + done, length, append, who, ms, time }, this.newRun)
      const part = data.subarray(done, done + placed.len)
      const put = { ...placed, request: append ? request : undefined }
      if (!this.put(file, put, part, isUnstaged ? undefined : this.stage)) {
        if (done === 0) return this.undo(file, placed)
        // What lies behind a chunk's end is not refused for the stage's sake: half a write is worse.
        isUnstaged = true
        this.put(file, { ...put, begun: false }, part, undefined)
      }
      done += placed.len
    }
    this.taking = undefined
    this.dressing.wrote(file, who)
    this.settle(file)
    this.meters.writtenBytes += data.length
    // Nothing is staged behind what is not: a successor would find a gap.
    if (isUnstaged || file.runs.length % openRunsMax === 0) this.freeze(file, () => true)
    this.tick()
    return true
  }

  private undo(file: DirtyFile, { begun, run }: Placed): false {
    this.taking = undefined
    if (begun) {
      file.runs.pop()
      this.stage?.over([run.number])
    }
    this.settle(file)
    return false
  }

  private put(file: DirtyFile, placed: Put, data: Uint8Array, stage: Stage | undefined): boolean {
    const { begun, off, request, run } = placed
    const { slice } = run
    const { append, at, number, who } = run
    const { session } = this.host
    const record = begun
      ? ({ kind: "begun", run: number, ino: file.ino, append, at, who, session } as const)
      : undefined
    const extent = stage?.bytes({ run: number, off, ms: run.writtenMs, request }, data, record)
    if (extent !== undefined && "why" in extent) return false
    slice.put(off, data, this.buffers, extent !== undefined)
    slice.staged(off, data.length, extent)
    this.meters.dirtyBytes += Math.max(0, off + data.length - run.length)
    run.length = Math.max(run.length, off + data.length)
    for (let index = Math.floor(off / blockBytesMax); index < slice.blocks.length; index++) {
      const block = slice.blocks[index] as DirtyBlock
      if (block.used === blockBytesMax && block.state === "open") this.seal(block)
    }
    if (run.end === run.limit) this.freeze(file, (one) => one === run)
    return true
  }

  /** What was recovered goes on its way: to the store, or, where it had been sent already, to be answered. */
  resume(file: DirtyFile): void {
    for (const run of file.runs) {
      if (run.sent === undefined) continue
      run.slice.frozen = true
      run.slice.missing = 0
    }
    for (const slice of new Set(file.runs.map((run) => run.slice))) if (!slice.frozen) this.freezeSlice(slice)
    this.committer.pump(file)
  }

  private seal(block: DirtyBlock): void {
    block.state = "sealed"
    this.uploader.enqueue(block)
  }

  private makeRoom(bytes: number, through: boolean): boolean {
    const { buffers, stage } = this
    const over = () => buffers.used + bytes - this.host.bufferBytes
    if (!through && stage !== undefined && !stage.hasRoom(bytes)) {
      this.press()
      return false
    }
    if (over() <= 0) return true
    const { uploader } = this
    if (uploader.isStuck) uploader.spill(over())
    if (over() <= 0) return true
    // What is on its way makes room: a block that fills is not sent half full for that.
    if (!uploader.isIdle && !uploader.isStuck) return false
    this.press()
    if (uploader.isStuck) uploader.spill(over())
    return over() <= 0
  }

  /** Everything is sent on its way: nothing is kept back for more to come while writers wait. */
  private press(): void {
    for (const file of this.files.values()) this.freeze(file, () => true)
  }

  freeze(file: DirtyFile, which: (run: Run) => boolean): void {
    const isStaged = this.stage !== undefined
    const frozen = file.freeze(which, (runs) => pack(file, runs, this.buffers, isStaged))
    for (const slice of frozen) this.freezeSlice(slice)
  }

  freezeSlice(slice: Slice): void {
    slice.frozen = true
    for (const block of slice.blocks) if (block.state === "open") this.seal(block)
    if (slice.isStored) this.committer.pump(slice.file)
  }

  /** Takes runs out of their file, and tells who waited for it, who goes on while it is noted that they are over. */
  private leave(file: DirtyFile, runs: ReadonlyArray<Run>, lost: Trouble | undefined): void {
    // A file that is not there any more has nobody who could be told, but for who waits.
    const isTold = lost !== undefined && runs.length > 0 && (lost.errno !== "ENOENT" || file.waiters.length > 0)
    if (isTold) {
      this.failures.note(file, lost)
      if (file.waiters.length === 0) this.unheard(file, lost)
    }
    const gone = new Set(runs)
    if (runs.some(({ number }) => number === file.set?.run)) file.set = undefined
    const left = file.runs.filter((run) => !gone.has(run))
    file.runs.length = 0
    file.runs.push(...left)
    file.epoch += 1
    for (const run of runs) {
      this.meters.dirtyBytes -= run.length
      const { slice } = run
      slice.runs.splice(slice.runs.indexOf(run), 1)
      if (slice.runs.length === 0) for (const block of slice.blocks) this.forget(block)
    }
    this.settle(file)
    this.stage?.over(runs.map((run) => run.number))
    this.queue.look()
  }

  /** Nobody waits who could be told. The next one who asks is, and the log says it now. */
  private unheard({ ino }: DirtyFile, { errno, why }: Trouble): void {
    this.meters.lostFiles += 1
    const told = "what was written to a file cannot be kept, and its next fsync or close says so"
    this.host.upload.fork(Effect.logError(told, { ino, errno, why }))
  }

  private forget(block: DirtyBlock): void {
    if (block.state === "open" || block.state === "sealed") block.state = "stored"
    this.uploader.release(block)
  }

  /** Lets those go who wait for nothing that is left, and forgets a file of which nothing is. */
  private settle(file: DirtyFile): void {
    const first = file.runs[0]?.number ?? Number.POSITIVE_INFINITY
    const free = file.waiters.filter((waiter) => waiter.upTo < first)
    if (free.length > 0) {
      const failed = free.every(({ isDeaf }) => isDeaf) ? undefined : this.failures.told(file)
      file.waiters = file.waiters.filter((waiter) => waiter.upTo >= first)
      for (const waiter of free) waiter.resume(waiter.isDeaf ? undefined : failed)
    }
    if (first !== Number.POSITIVE_INFINITY || file.failed !== undefined) return
    if (file.held > 0 || file.pumping || file.waiters.length > 0 || file === this.taking) return
    if (this.files.get(file.ino) === file) this.files.delete(file.ino)
    this.meters.dirtyFiles = this.files.size
  }

  /** What a store or a workspace refuses is said at once; what is only away is waited for. */
  private troubled(file: DirtyFile, trouble: Trouble, refused: Slice | undefined): void {
    this.lastTrouble = trouble
    if (refused === undefined) return
    const first = refused.runs[0]?.number ?? Number.POSITIVE_INFINITY
    const told = file.waiters.filter((waiter) => waiter.upTo >= first)
    file.waiters = file.waiters.filter((waiter) => waiter.upTo < first)
    for (const waiter of told) waiter.resume(trouble)
  }
  private lastTrouble: Trouble | undefined

  readonly write = (writing: Writing): Effect.Effect<void, DataFailed> => {
    const { data, offset } = writing
    if (data.length <= writeBytesMax)
      return Effect.suspend(() => (this.accept(writing) ? Effect.void : this.waitFor(writing)))
    const first = this.write({ ...writing, data: data.subarray(0, writeBytesMax) })
    const rest = { ...writing, offset: offset + writeBytesMax, data: data.subarray(writeBytesMax) }
    return Effect.andThen(first, () => this.write(rest))
  }

  private waitFor(writing: Writing): Effect.Effect<void, DataFailed> {
    this.meters.waits += 1
    return this.queue.wait(() => {
      if (this.take(writing)) return Effect.void
      return this.stage?.broken !== undefined && this.take(writing, true) ? this.flush(writing.ino) : undefined
    })
  }

  readonly flush = (ino: number): Effect.Effect<void, DataFailed> => this.kept(ino, false)

  private kept(ino: number, isDeaf: boolean): Effect.Effect<void, DataFailed> {
    return Effect.suspend(() => {
      const suspect = isDeaf ? undefined : this.failures.suspectOf(ino)
      if (suspect !== undefined) this.fail(ino, suspect.errno, suspect.why)
      const file = this.files.get(ino)
      if (file === undefined) return Effect.void
      this.freeze(file, () => true)
      const isKept = file.runs.length === 0 && (isDeaf || file.failed === undefined)
      return isKept ? Effect.void : this.waitUntilKept(file, isDeaf)
    })
  }

  /** Who has waited for too long is seen with the ticks: a timer for each flush costs more than what it looks after. */
  private waitUntilKept(file: DirtyFile, isDeaf: boolean): Effect.Effect<void, DataFailed> {
    return Effect.callback<void, DataFailed>((resume) => {
      const waiter: FlushWaiter = {
        upTo: file.lastRun,
        isDeaf,
        until: this.host.clock.currentTimeMillisUnsafe() + this.host.flushMs,
        resume: (trouble) =>
          resume(trouble === undefined ? Effect.void : Effect.fail(new DataFailed({ ino: file.ino, ...trouble })))
      }
      file.waiters.push(waiter)
      this.settle(file)
      this.tick()
      return Effect.sync(() => {
        file.waiters = file.waiters.filter((one) => one !== waiter)
      })
    })
  }

  private get late(): Trouble {
    const why = `not stored and committed within ${this.host.flushMs} ms, and still tried`
    return { errno: "EIO", why: this.lastTrouble === undefined ? why : `${why}: ${this.lastTrouble.why}` }
  }

  readonly ordered = <A, E>(ino: number, change: Effect.Effect<A, E>): Effect.Effect<A, E | DataFailed> =>
    Effect.flatMap(this.kept(ino, true), () =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const file = this.file(ino)
          file.held += 1
          return file
        }),
        () => change,
        (file) =>
          Effect.sync(() => {
            file.held -= 1
            file.epoch += 1
            this.committer.pump(file)
            this.settle(file)
          })
      )
    )

  discard(ino: number): void {
    const file = this.files.get(ino)
    if (file === undefined) return
    this.failures.told(file)
    this.leave(
      file,
      file.runs.filter((run) => run.sent === undefined),
      undefined
    )
  }

  fail(ino: number, errno: string, why: string): void {
    this.failures.note(this.file(ino), { errno, why })
    this.meters.lostFiles += 1
  }

  private tick(): void {
    if (this.ticking) return
    this.ticking = true
    this.host.upload.fork(this.ticks())
  }

  /** Freezes what has waited long enough for more, and lets those go who have, as long as there is any. */
  private readonly ticks = Effect.fnUntraced(function* (this: Writer) {
    while (this.files.size > 0) {
      yield* Effect.sleep(tickMs)
      const now = yield* Clock.currentTimeMillis
      const isDue = (run: Run) => now - run.begunMs >= runMsMax || now - run.writtenMs >= idleMs
      for (const file of this.files.values()) {
        this.freeze(file, isDue)
        for (const waiter of file.takeLate(now)) waiter.resume(this.late)
      }
    }
    this.ticking = false
    this.buffers.rest()
  })
}
