/** Brings sealed blocks into the store, some at a time, for as long as it takes. */
import { Effect } from "effect"
import { blockBytesMax } from "../../messages/chunks.ts"
import type { Objects } from "../ports/objects.ts"
import type { Buffers } from "./buffer.ts"
import type { Meters } from "./data.ts"
import { digestOf } from "./digest.ts"
import type { Trouble } from "./file.ts"
import type { SliceIds } from "./ids.ts"
import type { Block, KeyOf } from "./keys.ts"
import { Outage } from "./outage.ts"
import { type DirtyBlock, extentsMax, type Slice } from "./slice.ts"
import type { Stage } from "./staging.ts"

const firstPauseMs = 100
/** A store that comes back is noticed within this. */
const pauseMsMax = 5_000

/** A store that has taken nothing for so long is away for now. */
const silentMsMax = 1_000
const smallBytesMax = 1024 * 1024

export interface UploadHost {
  readonly objects: Objects["Service"]
  readonly keyOf: KeyOf
  readonly ids: SliceIds
  readonly buffers: Buffers
  readonly stage: Stage | undefined
  readonly meters: Meters
  readonly uploadsMax: number
  readonly now: () => number
  /** Runs it as long as the mount lives. */
  readonly fork: (work: Effect.Effect<void>) => void
  /** Stored blocks may be kept for readers. True when it keeps the very `bytes`, which only `given` ones may be. */
  readonly keep: (block: Block, bytes: Uint8Array, given: boolean) => boolean
  readonly stored: (slice: Slice) => void
  /** It does not work out, and is tried again. With `refused` the store or the workspace said that it will not. */
  readonly troubled: (slice: Slice, trouble: Trouble, refused: boolean) => void
  /** The workspace gives no ids for it and never will. */
  readonly lost: (slice: Slice, trouble: Trouble) => void
  readonly roomMade: () => void
}

interface Failure {
  readonly trouble: Trouble
  readonly refused: boolean
  readonly final: boolean
}

const failure = (error: { readonly _tag: string; readonly why: string; readonly errno?: string }): Failure => ({
  trouble: { errno: error.errno ?? "EIO", why: error.why },
  refused: error._tag === "StoreRefused" || error._tag === "CommandRefused",
  final: error._tag === "CommandRefused"
})

export class Uploader {
  private readonly host: UploadHost
  /**
   * Sealed blocks that wait for their turn, oldest first. Small ones take turns with large ones: somebody closes a
   * file.
   */
  private readonly waiting: Array<DirtyBlock> = []
  private readonly small: Array<DirtyBlock> = []
  private wasSmall = false
  /** Blocks that failed, until they are tried again. */
  private readonly resting = new Set<DirtyBlock>()
  private active = 0
  private progressedMs = 0
  private readonly outage: Outage

  constructor(host: UploadHost) {
    this.host = host
    this.outage = new Outage(host)
  }

  enqueue(block: DirtyBlock): void {
    if (block.used <= smallBytesMax) this.small.push(block)
    else this.waiting.push(block)
    this.turn()
  }

  private turn(): void {
    while (this.active < this.host.uploadsMax) {
      const preferred = this.wasSmall ? this.waiting : this.small
      const block = preferred.shift() ?? this.small.shift() ?? this.waiting.shift()
      if (block === undefined) return
      this.wasSmall = block.used <= smallBytesMax
      if (block.state !== "sealed") continue
      this.active += 1
      if (this.active === 1) this.progressedMs = this.host.now()
      block.state = "storing"
      this.host.fork(
        Effect.ensuring(
          this.store(block),
          Effect.sync(() => {
            this.active -= 1
            this.turn()
          })
        )
      )
    }
  }

  /** The store takes nothing: it says so, or it says nothing. A slow one is no reason to write everything twice. */
  get isStuck(): boolean {
    return this.resting.size > 0 || this.host.now() - this.progressedMs >= silentMsMax
  }

  /** Nothing is on its way that would make room. */
  get isIdle(): boolean {
    return this.active === 0
  }

  /** Gives back memory of what is staged, of the youngest first: they wait for longest. */
  spill(bytes: number): void {
    const { buffers, stage } = this.host
    if (stage === undefined) return
    const target = buffers.used - bytes
    for (let index = this.waiting.length - 1; index >= 0 && buffers.used > target; index--)
      this.spillOne(this.waiting[index] as DirtyBlock, stage)
    for (const block of this.resting) if (buffers.used > target) this.spillOne(block, stage)
    for (const block of this.small) if (buffers.used > target) this.spillOne(block, stage)
  }

  private spillOne(block: DirtyBlock, stage: Stage): void {
    if (block.bytes === undefined || block.extents === undefined || block.pinned > 0) return
    if (block.extents.length > extentsMax && !this.restage(block, stage)) return
    this.host.buffers.giveBack(block.bytes)
    block.bytes = undefined
  }

  private restage(block: DirtyBlock, stage: Stage): boolean {
    const run = block.slice.runs[0]
    if (run === undefined || block.slice.runs.length > 1 || !stage.hasRoom(block.used)) return false
    const bytes = (block.bytes as Uint8Array).subarray(0, block.used)
    const off = block.index * blockBytesMax
    const extent = stage.bytes({ run: run.number, off, ms: run.writtenMs }, bytes)
    if ("why" in extent) return false
    block.extents = [{ ...extent, off: 0 }]
    return true
  }

  /** What the block holds; from the stage if need be. */
  load(block: DirtyBlock): Effect.Effect<Uint8Array, Failure> {
    const { buffers, stage } = this.host
    return Effect.gen(function* () {
      if (block.bytes !== undefined) return block.bytes.subarray(0, block.used)
      if (stage === undefined) throw new Error("a block is on a stage that is not there")
      const bytes = buffers.grow(undefined, block.used)
      const giveBack = Effect.sync(() => buffers.giveBack(bytes))
      for (const extent of block.extents ?? []) {
        const staged = stage.read(extent).pipe(
          Effect.mapError(failure),
          Effect.onError(() => giveBack)
        )
        bytes.set(yield* staged, extent.off)
      }
      // It came into the store meanwhile, and is read from there; or somebody else has brought it back.
      if (block.state !== "stored" && block.bytes === undefined) block.bytes = bytes
      else yield* giveBack
      return (block.bytes ?? bytes).subarray(0, block.used)
    })
  }

  private readonly attempt = Effect.fnUntraced(function* (this: Uploader, block: DirtyBlock) {
    const { ids, keyOf, meters, objects } = this.host
    const { slice } = block
    if (slice.id === 0) {
      const id = yield* Effect.mapError(ids.take, failure)
      if (slice.id === 0) slice.id = id
    }
    // Who wrote the last of a large block goes on first: its digest takes as long as the next write on its way here.
    if (block.used > smallBytesMax) yield* Effect.yieldNow
    const bytes = yield* this.load(block)
    block.digest = digestOf(bytes)
    const end = block.index * blockBytesMax + bytes.length
    block.key = keyOf({ id: slice.id, size: end, home: { ino: slice.file.ino, chunk: slice.chunk } }, block.index)
    yield* Effect.mapError(objects.put(block.key, bytes), failure)
    meters.uploads += 1
    meters.uploadedBytes += bytes.length
  })

  private readonly store = Effect.fnUntraced(function* (this: Uploader, block: DirtyBlock) {
    const { meters } = this.host
    let isStored = false
    for (let pause = firstPauseMs; block.slice.runs.length > 0; pause = Math.min(pause * 2, pauseMsMax)) {
      block.pinned += 1
      const failed = yield* Effect.match(this.attempt(block), {
        onFailure: (failed) => failed,
        onSuccess: () => undefined
      })
      block.pinned -= 1
      if (failed === undefined) {
        isStored = true
        this.outage.over()
        this.progressedMs = this.host.now()
        break
      }
      meters.uploadFailures += 1
      if (failed.final) {
        this.host.lost(block.slice, failed.trouble)
        break
      }
      this.outage.began(failed.trouble)
      this.host.troubled(block.slice, failed.trouble, failed.refused)
      this.resting.add(block)
      this.host.roomMade()
      yield* Effect.sleep(pause)
      this.resting.delete(block)
    }
    this.settle(block, isStored)
  })

  private settle(block: DirtyBlock, isStored: boolean): void {
    const { host } = this
    const { slice } = block
    block.state = "stored"
    slice.missing -= 1
    if (isStored) this.keep(block)
    this.release(block)
    if (slice.isStored && slice.runs.length > 0) host.stored(slice)
    host.roomMade()
  }

  /** What was written in one go is as large as it had to be, so readers may have it as it is. */
  private keep(block: DirtyBlock): void {
    const { bytes, digest, key, used } = block
    if (bytes === undefined) return
    const isGiven = block.pinned === 0 && bytes.length < blockBytesMax && bytes.length - used <= used / 8
    if (!this.host.keep({ key, size: used, digest }, bytes.subarray(0, used), isGiven)) return
    this.host.buffers.giveAway(bytes)
    block.bytes = undefined
  }

  /** The block is stored, or nobody wants it any more. */
  release(block: DirtyBlock): void {
    if (block.bytes === undefined || block.pinned > 0) return
    this.host.buffers.giveBack(block.bytes)
    block.bytes = undefined
  }
}
