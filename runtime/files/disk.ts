/** The blocks that are kept on disk: found again after a restart, verified when read, never more than they may be. */
import { Effect, Stream } from "effect"
import type { ScratchFailed, Shelf } from "../ports/scratch.ts"
import type { Meters } from "./data.ts"
import { digestOf } from "./digest.ts"
import { ShelfIndex } from "./evict.ts"
import type { Block } from "./keys.ts"

/** Blocks that wait to be written; behind it they are not kept: a slow disk must not hold back reads, nor memory. */
const waitingMax = 16
const writersMax = 4
/** How often it is looked whether the disk is full, in blocks written. */
const lookEvery = 32
/** A disk that is too full is made emptier by so many blocks at a time. */
const removedAtOnce = 16
/** After so many failures in a row the disk is left alone for a while. */
const failuresMax = 8
const pauseMs = 60_000

export interface DiskOptions {
  readonly cacheBytes: number
  readonly freeShare: number
  readonly eviction: "two-random" | "lru"
  readonly below: (count: number) => number
  readonly now: () => number
  readonly fork: (work: Effect.Effect<void>) => void
  readonly meters: Meters
}

export class BlockDisk {
  readonly index = new ShelfIndex()
  private readonly shelf: Shelf
  private readonly options: DiskOptions
  private waiting: Array<{ readonly key: string; readonly bytes: Uint8Array }> = []
  private writers = 0
  private written = 0
  private failures = 0
  private awayUntil = 0
  private isFull = false
  /** Before all is listed a block may be there that is not known. */
  private isListed = false

  constructor(shelf: Shelf, options: DiskOptions) {
    this.shelf = shelf
    this.options = options
    options.fork(this.rescan)
  }

  private readonly rescan: Effect.Effect<void> = Effect.suspend(() =>
    Stream.runForEach(this.shelf.list, (some) =>
      Effect.sync(() => {
        for (const { name, size } of some) if (!this.index.has(name)) this.index.add(name, size)
      })
    ).pipe(
      Effect.andThen(() => this.evict()),
      Effect.catch((error) => this.failed(error)),
      Effect.ensuring(
        Effect.sync(() => {
          this.isListed = true
        })
      )
    )
  )

  private readonly failed = (error: ScratchFailed): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.options.meters.cacheFailures += 1
      this.failures += 1
      if (this.failures < failuresMax) return Effect.void
      this.failures = 0
      this.awayUntil = this.options.now() + pauseMs
      return Effect.logWarning("the disk cache fails and is left alone for a minute", { why: error.why })
    })

  private get isAway(): boolean {
    return this.options.now() < this.awayUntil
  }

  /** The block's bytes if they are there and good. Damaged ones are dropped. */
  readonly get = (block: Block): Effect.Effect<Uint8Array | undefined> => {
    if (this.isAway || (this.isListed && !this.index.has(block.key))) return Effect.succeed(undefined)
    return Effect.catch(this.read(block), (error) => Effect.as(this.failed(error), undefined))
  }

  private readonly read = Effect.fnUntraced(function* (this: BlockDisk, { digest, key, size }: Block) {
    const bytes = yield* this.shelf.read(key)
    this.failures = 0
    if (bytes === undefined) {
      this.index.remove(key)
      return undefined
    }
    if (bytes.length !== size || digestOf(bytes) !== digest) {
      this.options.meters.digestMismatches += 1
      yield* Effect.logWarning("a block on the local disk is damaged and is dropped", { key })
      yield* this.drop(key)
      return undefined
    }
    if (this.index.has(key)) this.index.touch(key)
    else this.index.add(key, size)
    return bytes
  })

  private drop(key: string): Effect.Effect<void, ScratchFailed> {
    this.index.remove(key)
    return this.shelf.remove(key)
  }

  /** Writes it in its own time, unless too many wait already. The bytes are not changed any more. */
  keep(key: string, bytes: Uint8Array): void {
    if (this.isAway || this.index.has(key) || bytes.length > this.options.cacheBytes) return
    if (this.waiting.length >= waitingMax) return
    this.waiting.push({ key, bytes })
    if (this.writers >= writersMax) return
    this.writers += 1
    this.options.fork(this.writeAll())
  }

  private readonly writeAll = Effect.fnUntraced(function* (this: BlockDisk) {
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift())
      yield* Effect.catch(this.write(next.key, next.bytes), this.failed)
    this.writers -= 1
  })

  private readonly write = Effect.fnUntraced(function* (this: BlockDisk, key: string, bytes: Uint8Array) {
    if (this.written++ % lookEvery === 0 || this.isFull) this.isFull = (yield* this.shelf.free) < this.options.freeShare
    if (this.isFull) {
      for (let count = 0; count < removedAtOnce && this.index.count > 0; count++) yield* this.evictOne()
      return
    }
    yield* this.shelf.write(key, bytes)
    this.failures = 0
    this.index.add(key, bytes.length)
    yield* this.evict()
  })

  private readonly evict = Effect.fnUntraced(function* (this: BlockDisk) {
    while (this.index.bytes > this.options.cacheBytes) yield* this.evictOne()
  })

  private evictOne(): Effect.Effect<void, ScratchFailed> {
    const { below, eviction } = this.options
    const name = eviction === "lru" ? this.index.oldest() : this.index.ofTwo(below)
    return name === undefined ? Effect.void : this.drop(name)
  }
}
