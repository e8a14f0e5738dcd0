/** How bytes become objects: a file is chunks, a chunk is covered by slices, a slice is blocks of immutable bytes. */
import { Schema } from "effect"
import type { Layout } from "./account.ts"
import { blockBytesMax, chunkBytes } from "./chunks.ts"
import { Ino } from "./inode.ts"

/** One command's slices: with the digests of 16 blocks each they have to fit into one entry, twice. */
export const writeSlicesMax = 1024
/** Ids of one reservation. */
export const reserveSlicesMax = 65_536

/** Hex digits of the xxh3-64 digests of a slice's blocks, 16 for each block, in the order of the blocks. */
export const Digests = Schema.String.check(Schema.isPattern(/^([0-9a-f]{16}){0,16}$/))

const SliceId = Schema.Natural
const withinChunk = Schema.Natural.check(Schema.isLessThanOrEqualTo(chunkBytes))

/** What of a slice is used: `len` bytes from `off`. `size` is what is stored. */
const used = { id: SliceId, size: withinChunk, off: withinChunk, len: withinChunk, digests: Digests }

/** Where a part of a slice lies: at `pos` within the file's chunk. Id 0 is a hole, with size 0 and no digests. */
export const Placement = Schema.Struct({
  chunk: Schema.Natural,
  pos: withinChunk,
  ...used,
  /** The chunk that its blocks are named after, where that is another: an append does not know its place beforehand. */
  keyChunk: Schema.optionalKey(Schema.Natural)
})
export type Placement = typeof Placement.Type

/** A part of a slice that goes to the end of the file. `chunk` only names its blocks, in one of the layouts. */
export const Appendage = Schema.Struct({ chunk: Schema.Natural, ...used })
export type Appendage = typeof Appendage.Type

/** The inode and the chunk that a slice was first written for: the layout `generations` names its blocks after them. */
const Home = Schema.Struct({ ino: Ino, chunk: Schema.Natural })
export type Home = typeof Home.Type

/** A part of a read plan: `len` bytes of the file from `at` are the slice's from `off`; id 0 reads as zeros. */
export const Part = Schema.Struct({
  at: Schema.Natural,
  len: Schema.Natural,
  id: SliceId,
  size: Schema.Natural,
  off: Schema.Natural,
  digests: Digests,
  home: Schema.optionalKey(Home)
})
export type Part = typeof Part.Type

/** A slice that nothing reaches any more, since the entry `version`, at the time `at`. */
export const Garbage = Schema.Struct({
  /** Its place in the queue, which only grows. */
  sequence: Schema.Natural,
  id: SliceId,
  /** -1 when it was reserved and never committed: what there is of it is found under its prefix. */
  size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
  at: Schema.Natural,
  version: Schema.Natural,
  home: Schema.optionalKey(Home),
  /** With a size of -1: so many ids from `id` on. */
  count: Schema.optionalKey(Schema.Natural)
})
export type Garbage = typeof Garbage.Type

export const blocksOf = (size: number): number => Math.ceil(size / blockBytesMax)

export const blockSize = (size: number, index: number): number => Math.min(blockBytesMax, size - index * blockBytesMax)

interface Stored {
  readonly id: number
  readonly size: number
  readonly home?: Home | undefined
}

/**
 * The key of a block below the workspace's own prefix, `<org>/<workspace>`. In the layout `generations` a slice's id is
 * the generation of its inode, and the workspace is the mount.
 */
export const blockKey = (layout: Layout, workspace: string, slice: Stored, index: number): string => {
  const { id, size, home } = slice
  if (layout === "slices") return `${slicePrefix(id)}${index}_${blockSize(size, index)}`
  if (home === undefined) throw new Error(`slice ${id} does not say for which inode it was written`)
  return `blocks/${workspace}/${home.ino}/${id}/${home.chunk}/${index}`
}

/** What the keys of a slice's blocks begin with in the layout `slices`; nothing else begins so. */
export const slicePrefix = (id: number): string =>
  `chunks/${Math.floor(id / 1_000_000)}/${Math.floor(id / 1000)}/${id}_`
