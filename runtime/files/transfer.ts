/** A whole file in one go, without a mount: what `put`, `get` and `cat` are made of. */
import { Effect, Option, Stream } from "effect"
import type { Who } from "../../messages/inode.ts"
import type { Data, DataFailed } from "./data.ts"

/** Told as it goes: bytes that are taken or given so far, and how many there will be, where that is known. */
export interface Progress {
  readonly bytes: number
  readonly total: number | undefined
}

/** One piece of a file: a block, so that each is fetched once. */
const pieceBytes = 4 * 1024 * 1024

export interface Sending {
  readonly ino: number
  readonly who: Who
  /** Where the first byte goes; with `append` to the end, wherever that is. */
  readonly offset?: number
  readonly append?: boolean
  readonly total?: number
  readonly onProgress?: (progress: Progress) => void
}

/** Writes what the stream has, and returns how much it was once all of it is stored and committed. */
export const writeFile = Effect.fnUntraced(function* <E, R>(
  data: Data,
  to: Sending,
  bytes: Stream.Stream<Uint8Array, E, R>
) {
  const { append = false, ino, offset = 0, onProgress, total, who } = to
  let written = 0
  // What the store has is progress, not what waits in memory for it.
  const tell = () => onProgress?.({ bytes: Math.max(0, written - data.meters.dirtyBytes), total })
  yield* Stream.runForEach(bytes, (piece) =>
    Effect.map(data.write({ ino, offset: offset + written, data: piece, append, who }), () => {
      written += piece.length
      tell()
    })
  )
  yield* data.flush(ino)
  onProgress?.({ bytes: written, total: total ?? written })
  return written
})

export interface Fetching {
  readonly ino: number
  readonly offset?: number
  /** To the end without it. */
  readonly length?: number
  readonly total?: number
  readonly onProgress?: (progress: Progress) => void
}

/** The bytes of a range of a file in their order; what comes next is fetched while one piece is used. */
export const readFile = (data: Data, from: Fetching): Stream.Stream<Uint8Array, DataFailed> => {
  const { ino, length = Number.MAX_SAFE_INTEGER, offset = 0, onProgress, total } = from
  const end = Math.min(Number.MAX_SAFE_INTEGER, offset + length)
  // Handles of open files are numbers of the kernel's from 0 on: this one is nobody else's.
  const handle = -ino
  return Stream.paginate(offset, (at) =>
    Effect.map(data.read({ ino, offset: at, length: Math.min(pieceBytes, end - at), handle }), (pieces) => {
      let got = 0
      for (const piece of pieces) got += piece.length
      const next = at + got
      if (got > 0) onProgress?.({ bytes: next - offset, total })
      const isOver = got === 0 || next >= end
      return [pieces, isOver ? Option.none<number>() : Option.some(next)] as const
    })
  ).pipe(Stream.ensuring(Effect.sync(() => data.released(handle))))
}
