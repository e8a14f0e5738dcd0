/** Scratch space in the memory of this process, which outlives what a test kills. */
import { Effect, Stream } from "effect"
import { ScratchFailed, type Shelf, type Tape } from "../../runtime/ports/scratch.ts"

export interface MemoryShelf extends Shelf {
  readonly kept: Map<string, Uint8Array>
}

export const makeShelf = (free: () => number = () => 1): MemoryShelf => {
  const kept = new Map<string, Uint8Array>()
  return {
    kept,
    read: (name) => Effect.sync(() => kept.get(name)?.slice()),
    write: (name, bytes) => Effect.sync(() => void kept.set(name, new Uint8Array(bytes))),
    remove: (name) => Effect.sync(() => void kept.delete(name)),
    list: Stream.suspend(() => Stream.succeed([...kept].map(([name, bytes]) => ({ name, size: bytes.length })))),
    free: Effect.sync(free)
  }
}

export interface MemoryTape extends Tape {
  readonly kept: Map<number, Uint8Array>
}

/** The same bytes with room for more behind them, in place where there is some: long segments are not copied. */
const extend = (bytes: Uint8Array, length: number): Uint8Array => {
  const { buffer, byteLength, byteOffset } = bytes
  if (byteOffset + length <= buffer.byteLength) return new Uint8Array(buffer, byteOffset, length)
  const grown = new Uint8Array(Math.max(length, byteLength * 2)).subarray(0, length)
  grown.set(bytes)
  return grown
}

/** `bytesMax` is how large the disk is: behind it appends fail, as they do on a full one. */
export const makeTape = (bytesMax = Number.MAX_SAFE_INTEGER): MemoryTape => {
  const kept = new Map<number, Uint8Array>()
  const used = () => [...kept.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  return {
    kept,
    segments: Effect.sync(() =>
      [...kept].map(([number, bytes]) => ({ number, size: bytes.length })).sort((a, b) => a.number - b.number)
    ),
    append: (segment, pieces) => {
      const before = kept.get(segment) ?? new Uint8Array(0)
      const length = pieces.reduce((sum, piece) => sum + piece.length, before.length)
      if (used() + length - before.length > bytesMax)
        return new ScratchFailed({ operation: "append", name: String(segment), why: "the disk is full" })
      const grown = extend(before, length)
      let at = before.length
      for (const piece of pieces) {
        grown.set(piece, at)
        at += piece.length
      }
      kept.set(segment, grown)
      return before.length
    },
    read: (segment, at, length) =>
      Effect.suspend(() => {
        const bytes = kept.get(segment)
        return bytes === undefined || bytes.length < at + length
          ? Effect.fail(new ScratchFailed({ operation: "read", name: String(segment), why: "it is not there" }))
          : Effect.succeed(bytes.slice(at, at + length))
      }),
    drop: (segment) => void kept.delete(segment)
  }
}
