/** Where the blocks of a workspace lie in its store, and what is known of each. */
import type { Layout } from "../../messages/account.ts"
import { blockBytesMax } from "../../messages/chunks.ts"
import { blockKey, blockSize, type Home, type Part } from "../../messages/slices.ts"
import { digestAt } from "./digest.ts"

export interface Block {
  readonly key: string
  readonly size: number
  readonly digest: string
}

interface Stored {
  readonly id: number
  readonly size: number
  readonly home?: Home | undefined
}

export type KeyOf = (slice: Stored, index: number) => string

/** `prefix` is the workspace's own part of the store; without one its keys begin at the store's root. */
export const keysOf = (place: {
  readonly prefix: string
  readonly layout: Layout
  readonly workspace: string
}): KeyOf => {
  const { prefix, layout, workspace } = place
  const before = prefix === "" ? "" : `${prefix}/`
  return (slice, index) => `${before}${blockKey(layout, workspace, slice, index)}`
}

/** A part of a file: `len` bytes from `at`, and where they are. */
export type Piece = { readonly at: number; readonly len: number } & (
  | { readonly kind: "hole" }
  | { readonly kind: "block"; readonly block: Block; readonly from: number }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
)

/** The same bytes, from `skip` on and `len` long. */
export const cut = (piece: Piece, skip: number, len: number): Piece => {
  if (skip === 0 && len === piece.len) return piece
  const at = piece.at + skip
  switch (piece.kind) {
    case "hole":
      return { kind: "hole", at, len }
    case "block":
      return { kind: "block", at, len, block: piece.block, from: piece.from + skip }
    case "bytes":
      return { kind: "bytes", at, len, bytes: piece.bytes.subarray(skip, skip + len) }
  }
}

/** What of a slice's part lies in which of its blocks. */
const blockPieces = (part: Part, keyOf: KeyOf, pieces: Array<Piece>): void => {
  for (let done = 0; done < part.len; ) {
    const offset = part.off + done
    const index = Math.floor(offset / blockBytesMax)
    const from = offset - index * blockBytesMax
    const size = blockSize(part.size, index)
    const len = Math.min(part.len - done, size - from)
    if (len <= 0) throw new Error(`a part of slice ${part.id} ends behind its ${part.size} bytes`)
    const block = { key: keyOf(part, index), size, digest: digestAt(part.digests, index) }
    pieces.push({ kind: "block", at: part.at + done, len, block, from })
    done += len
  }
}

export const piecesOf = (parts: ReadonlyArray<Part>, keyOf: KeyOf): Array<Piece> => {
  const pieces: Array<Piece> = []
  for (const part of parts) {
    if (part.id === 0) pieces.push({ kind: "hole", at: part.at, len: part.len })
    else blockPieces(part, keyOf, pieces)
  }
  return pieces
}

/** Lays newer pieces, which follow one another without a gap, over older ones; both are in order. */
export const overlay = (older: ReadonlyArray<Piece>, newer: ReadonlyArray<Piece>): Array<Piece> => {
  const first = newer[0]
  const last = newer.at(-1)
  if (first === undefined || last === undefined) return [...older]
  const from = first.at
  const to = last.at + last.len
  const before: Array<Piece> = []
  const after: Array<Piece> = []
  for (const piece of older) {
    const end = piece.at + piece.len
    if (piece.at < from) before.push(cut(piece, 0, Math.min(piece.len, from - piece.at)))
    if (end > to) after.push(cut(piece, Math.max(0, to - piece.at), Math.min(piece.len, end - to)))
  }
  return [...before, ...newer, ...after]
}
