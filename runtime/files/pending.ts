/** What a reader sees of bytes that are written and not committed. */
import { blockBytesMax } from "../../messages/chunks.ts"
import type { DirtyFile } from "./file.ts"
import type { Piece } from "./keys.ts"
import type { DirtyBlock, Run } from "./slice.ts"

/** Blocks of this range that have to be brought back from the stage before they can be read. */
export const awayBlocks = (file: DirtyFile, from: number, to: number): ReadonlyArray<DirtyBlock> => {
  const away: Array<DirtyBlock> = []
  for (const run of file.runs) {
    if (run.at >= to || run.end <= from) continue
    for (const block of run.slice.blocks) {
      if (block.bytes !== undefined || block.state === "stored") continue
      const begin = run.at - run.off + block.index * blockBytesMax
      if (begin < to && begin + block.used > from) away.push(block)
    }
  }
  return away
}

const runPieces = (run: Run, begin: number, end: number): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  for (let at = begin; at < end; ) {
    const off = run.off + at - run.at
    const index = Math.floor(off / blockBytesMax)
    const from = off - index * blockBytesMax
    const { bytes, digest, key, used: size } = run.slice.blocks[index] as DirtyBlock
    const len = Math.min(end - at, size - from)
    // A copy: the block may be written to again, and its memory will be another's.
    if (bytes !== undefined) pieces.push({ kind: "bytes", at, len, bytes: bytes.slice(from, from + len) })
    else pieces.push({ kind: "block", at, len, block: { key, size, digest }, from })
    at += len
  }
  return pieces
}

/** What lies over the committed bytes of the range, from the oldest run to the newest. */
export const pendingPieces = (file: DirtyFile, from: number, to: number): ReadonlyArray<ReadonlyArray<Piece>> => {
  const layers: Array<ReadonlyArray<Piece>> = []
  for (const run of file.runs) {
    const begin = Math.max(from, run.at)
    const end = Math.min(to, run.end)
    if (begin < end) layers.push(runPieces(run, begin, end))
  }
  return layers
}
