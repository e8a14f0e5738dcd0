/**
 * Blocks for readers: from memory, from the local disk, from the store; each asked for once at a time, each verified.
 */
import { Deferred, Effect, Semaphore } from "effect"
import type { Objects } from "../ports/objects.ts"
import type { Meters } from "./data.ts"
import { digestOf } from "./digest.ts"
import type { BlockDisk } from "./disk.ts"
import type { Block } from "./keys.ts"
import { BlockMemory } from "./memory.ts"

const firstPauseMs = 100
const pauseMsMax = 5_000

/** Why a block cannot be read: a value, for it is made where many may wait for it. */
export interface BlockFailed {
  readonly key: string
  readonly missing: boolean
  readonly why: string
}

export interface CacheHost {
  readonly objects: Objects["Service"]
  readonly disk: BlockDisk | undefined
  readonly meters: Meters
  readonly memoryBytes: number
  readonly downloadsMax: number
  readonly readMs: number
  readonly now: () => number
  /** It is run by itself: a reader that gives up takes nothing from the others who wait for the block. */
  readonly fork: (work: Effect.Effect<void>) => void
}

type Flight = Deferred.Deferred<Uint8Array, BlockFailed>

export class BlockCache {
  readonly memory: BlockMemory
  private readonly host: CacheHost
  private readonly downloads: Semaphore.Semaphore
  private readonly flights = new Map<string, Flight>()

  constructor(host: CacheHost) {
    this.host = host
    this.memory = new BlockMemory(host.memoryBytes)
    this.downloads = Semaphore.makeUnsafe(host.downloadsMax)
  }

  /** The block, if it is in memory. */
  peek(block: Block): Uint8Array | undefined {
    const bytes = this.memory.get(block.key)
    if (bytes !== undefined) this.host.meters.memoryHits += 1
    return bytes
  }

  readonly get = (block: Block): Effect.Effect<Uint8Array, BlockFailed> =>
    Effect.suspend(() => {
      const bytes = this.peek(block)
      return bytes === undefined ? Deferred.await(this.flight(block)) : Effect.succeed(bytes)
    })

  /** Fetches it if nobody has yet, and says whether it had to. */
  ahead(block: Block): boolean {
    if (this.memory.has(block.key) || this.flights.has(block.key)) return false
    this.flight(block)
    return true
  }

  /** Blocks that are under way. */
  get flying(): number {
    return this.flights.size
  }

  private flight(block: Block): Flight {
    const there = this.flights.get(block.key)
    if (there !== undefined) return there
    const flight = Deferred.makeUnsafe<Uint8Array, BlockFailed>()
    this.flights.set(block.key, flight)
    const land = Effect.sync(() => void this.flights.delete(block.key))
    this.host.fork(Effect.asVoid(Effect.ensuring(Deferred.into(this.fetch(block), flight), land)))
    return flight
  }

  private readonly fetch = Effect.fnUntraced(function* (this: BlockCache, block: Block) {
    const { disk, meters } = this.host
    const kept = disk === undefined ? undefined : yield* disk.get(block)
    if (kept !== undefined) {
      meters.diskHits += 1
      this.memory.put(block.key, kept)
      return kept
    }
    const bytes = yield* this.download(block)
    this.memory.put(block.key, bytes)
    disk?.keep(block.key, bytes)
    return bytes
  })

  /**
   * What the store has, if its digest is the one that was committed with it. What is wrong once is asked for once
   * more.
   */
  private readonly download = Effect.fnUntraced(function* (this: BlockCache, block: Block) {
    const { meters } = this.host
    for (let again = false; ; again = true) {
      const bytes = yield* this.patiently(block.key)
      if (bytes.length === block.size && digestOf(bytes) === block.digest) return bytes
      meters.digestMismatches += 1
      const found = `${bytes.length} of ${block.size} bytes, digest ${digestOf(bytes)} for ${block.digest}`
      const why = `the store's bytes are not the ones that were committed: ${found}`
      yield* Effect.logWarning(why, { key: block.key, again })
      if (again) return yield* Effect.fail<BlockFailed>({ key: block.key, missing: false, why })
    }
  })

  private readonly patiently = Effect.fnUntraced(function* (this: BlockCache, key: string) {
    const { meters, now, objects, readMs } = this.host
    const deadline = now() + readMs
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, pauseMsMax)) {
      const found = yield* Effect.match(this.downloads.withPermits(1)(objects.get(key)), {
        onFailure: (error) => error,
        onSuccess: (bytes) => bytes
      })
      if (found instanceof Uint8Array) {
        meters.storeReads += 1
        meters.storeReadBytes += found.length
        return found
      }
      const missing = found._tag === "ObjectMissing"
      const why = missing ? "the store does not have it" : found.why
      if (missing || found._tag === "StoreRefused" || now() + pause > deadline)
        return yield* Effect.fail<BlockFailed>({ key, missing, why })
      yield* Effect.sleep(pause)
    }
  })

  /** A part of a block alone, not verified and not kept. */
  readonly part = (key: string, offset: number, length: number): Effect.Effect<Uint8Array | undefined> =>
    Effect.suspend(() => {
      const { meters, objects } = this.host
      return Effect.match(this.downloads.withPermits(1)(objects.get(key, { offset, length })), {
        // Whatever it is, asking for the whole block will say it.
        onFailure: () => undefined,
        onSuccess: (bytes) => {
          meters.storeReads += 1
          meters.storeReadBytes += bytes.length
          return bytes.length === length ? bytes : undefined
        }
      })
    })

  /** A block that was just stored. The bytes are not changed any more. */
  keep(block: Block, bytes: Uint8Array): void {
    this.memory.put(block.key, bytes)
    this.host.disk?.keep(block.key, bytes)
  }
}
