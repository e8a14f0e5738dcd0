/** Reads ranges of files: what the workspace says they are made of, with own writes over it, fetched in parallel. */
import { Effect } from "effect"
import { blockBytesMax } from "../../messages/chunks.ts"
import type { BlockCache, BlockFailed } from "./cache.ts"
import type { CommandFailed, Commands, Plan } from "./commands.ts"
import { DataFailed, type Meters, type Reading } from "./data.ts"
import type { DirtyFile } from "./file.ts"
import { type Block, type KeyOf, overlay, type Piece, piecesOf } from "./keys.ts"
import { awayBlocks, pendingPieces } from "./pending.ts"
import { ReadAhead } from "./readahead.ts"
import type { Writer } from "./writer.ts"

/** Readers whose habits are remembered: open files, unless nobody says when one is closed. */
const readersMax = 10_000

/** A block that is missing has been replaced, unless it is missing in the plan after that too. */
const plansMax = 3

const zeros = new Uint8Array(1024 * 1024)

export interface ReaderHost {
  readonly commands: Commands
  readonly cache: BlockCache
  readonly writer: Writer
  readonly keyOf: KeyOf
  readonly meters: Meters
  readonly readAheadBytes: number
  /** What may be under way ahead of all readers together. */
  readonly aheadBytesMax: number
  readonly rangedGets: boolean
  readonly fork: (work: Effect.Effect<void>) => void
}

const commandFailed = (ino: number, error: CommandFailed): DataFailed =>
  new DataFailed({ ino, errno: error._tag === "CommandRefused" ? error.errno : "EIO", why: error.why })

export class Reader {
  private readonly host: ReaderHost
  private readonly readers = new Map<number, ReadAhead>()

  constructor(host: ReaderHost) {
    this.host = host
  }

  released(handle: number): void {
    this.readers.delete(handle)
  }

  readonly read = Effect.fnUntraced(function* (this: Reader, reading: Reading) {
    const { ino, length, offset } = reading
    for (let plans = 1; ; plans++) {
      const pieces = yield* this.pieces(ino, offset, offset + length)
      if (plans === 1) this.lookAhead(reading)
      const bytes = yield* Effect.match(this.gather(pieces), {
        onFailure: (failed) => failed,
        onSuccess: (gathered) => gathered
      })
      if (!("why" in bytes)) {
        for (const piece of bytes) this.host.meters.readBytes += piece.length
        return bytes
      }
      // It was rewritten, and the old blocks are gone: the file has others by now.
      if (bytes.missing && plans < plansMax) continue
      return yield* new DataFailed({ ino, errno: "EIO", why: `${bytes.key}: ${bytes.why}` })
    }
  })

  /** What the range is made of at one moment. */
  private readonly pieces = Effect.fnUntraced(function* (this: Reader, ino: number, from: number, to: number) {
    const { keyOf, writer } = this.host
    for (;;) {
      const before = writer.files.get(ino)
      const epoch = before?.epoch
      const plan = yield* this.plan(ino, from, to)
      const dirty = writer.files.get(ino)
      if (dirty !== undefined && !(yield* this.fetchAway(dirty, from, to))) continue
      // What was committed meanwhile may be missing in the plan, and is gone from what is pending.
      if (before !== undefined && (writer.files.get(ino) !== before || before.epoch !== epoch)) continue
      if (before === undefined && (writer.files.get(ino)?.epoch ?? 0) > 0) continue
      const end = Math.min(to, Math.max(plan.size, dirty?.end ?? 0))
      let pieces = piecesOf(plan.parts, keyOf)
      const last = pieces.at(-1)
      const done = last === undefined ? from : last.at + last.len
      if (done < end) pieces.push({ kind: "hole", at: done, len: end - done })
      if (dirty !== undefined) for (const layer of pendingPieces(dirty, from, end)) pieces = overlay(pieces, layer)
      return pieces
    }
  })

  /** Brings back what lies on the stage; whether nothing more is to be brought. */
  private readonly fetchAway = Effect.fnUntraced(function* (this: Reader, file: DirtyFile, from: number, to: number) {
    const { uploader } = this.host.writer
    const away = awayBlocks(file, from, to)
    for (const block of away) {
      const failed = yield* Effect.match(uploader.load(block), {
        onFailure: ({ trouble }) => trouble,
        onSuccess: () => undefined
      })
      // What is stored meanwhile has left the stage, and is looked for anew.
      if (failed === undefined || block.state === "stored") continue
      return yield* new DataFailed({ ino: file.ino, ...failed })
    }
    return away.length === 0 || awayBlocks(file, from, to).length === 0
  })

  private readonly plan = Effect.fnUntraced(function* (this: Reader, ino: number, from: number, to: number) {
    const ask = (at: number) =>
      Effect.mapError(this.host.commands.readPlan(ino, at, to - at), (error) => commandFailed(ino, error))
    let plan: Plan = yield* ask(from)
    while (plan.more) {
      const last = plan.parts.at(-1)
      if (last === undefined) throw new Error(`the plan of inode ${ino} has more parts and none`)
      const rest = yield* ask(last.at + last.len)
      plan = { size: rest.size, parts: [...plan.parts, ...rest.parts], more: rest.more }
    }
    return plan
  })

  private readonly gather = Effect.fnUntraced(function* (this: Reader, pieces: ReadonlyArray<Piece>) {
    const { cache } = this.host
    const found: Array<Uint8Array | undefined> = pieces.map((piece) => {
      if (piece.kind === "bytes") return piece.bytes
      if (piece.kind === "hole") return undefined
      return cache.peek(piece.block)?.subarray(piece.from, piece.from + piece.len)
    })
    const missing = pieces.flatMap((piece, index) =>
      piece.kind === "block" && found[index] === undefined ? [{ index, piece }] : []
    )
    yield* Effect.forEach(
      missing,
      ({ index, piece }) =>
        Effect.map(this.fetch(piece.block, piece.from, piece.len), (bytes) => {
          found[index] = bytes
        }),
      { concurrency: "unbounded", discard: true }
    )
    return pieces.flatMap((piece, index) => found[index] ?? hole(piece.len))
  })

  private readonly fetch = (block: Block, from: number, len: number): Effect.Effect<Uint8Array, BlockFailed> => {
    const { cache, rangedGets } = this.host
    const whole = Effect.map(cache.get(block), (bytes) => bytes.subarray(from, from + len))
    if (!rangedGets || from === 0 || len > block.size / 4) return whole
    cache.ahead(block)
    return Effect.flatMap(cache.part(block.key, from, len), (bytes) =>
      bytes === undefined ? whole : Effect.succeed(bytes)
    )
  }

  private lookAhead({ handle, ino, length, offset }: Reading): void {
    const { aheadBytesMax, cache, readAheadBytes } = this.host
    let reader = this.readers.get(handle)
    if (reader === undefined) {
      reader = new ReadAhead(readAheadBytes)
      this.readers.set(handle, reader)
      if (this.readers.size > readersMax) this.readers.delete(this.readers.keys().next().value ?? handle)
    }
    const pressure = cache.flying * blockBytesMax >= aheadBytesMax
    const ahead = reader.observe(offset, length, pressure)
    if (ahead !== undefined && !pressure) this.host.fork(this.fetchAhead(ino, ahead.from, ahead.to))
  }

  private readonly fetchAhead = (ino: number, from: number, to: number): Effect.Effect<void> =>
    Effect.match(this.plan(ino, from, to), {
      // Nobody asked for it: the read that does will say what is wrong.
      onFailure: () => undefined,
      onSuccess: ({ parts }) => {
        for (const piece of piecesOf(parts, this.host.keyOf)) {
          if (piece.kind !== "block") continue
          if (this.host.cache.flying * blockBytesMax >= this.host.aheadBytesMax) return
          if (this.host.cache.ahead(piece.block)) this.host.meters.readAheads += 1
        }
      }
    })
}

const hole = (length: number): Array<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let left = length; left > 0; left -= zeros.length) pieces.push(zeros.subarray(0, Math.min(left, zeros.length)))
  return pieces
}
