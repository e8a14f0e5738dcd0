/**
 * Where a file's bytes are: its chunks' stacks of slices, flattened as they grow. Four numbers for each part, in the
 * order of the file and never overlapping: position in the file, slot of the slice, offset within the slice, length.
 * What no part covers is zeros. A part never crosses the edge of a chunk. Because a slice that is covered is cut at
 * once, the moment at which its last byte goes out of reach is known exactly.
 */
import { chunkBytes } from "../../../messages/chunks.ts"

export type Extents = Array<number>
export const stride = 4

/** Told of each place that a slice gains (+1) or loses (-1). */
export type Counting = (slice: number, change: 1 | -1) => void

/** Index of the first part that ends behind `position`. */
export const seek = (extents: ReadonlyArray<number>, position: number): number => {
  let low = 0
  let high = extents.length / stride
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = middle * stride
    if ((extents[at] as number) + (extents[at + 3] as number) <= position) low = middle + 1
    else high = middle
  }
  return low * stride
}

/** Takes away whatever covers the range from `from` to before `to`. Gives the number of bytes that were covered. */
export const clear = (extents: Extents, from: number, to: number, count: Counting): number => {
  const first = seek(extents, from)
  let last = first
  let cleared = 0
  const kept: Array<number> = []
  while (last < extents.length && (extents[last] as number) < to) {
    const [pos, slice, off, len] = extents.slice(last, last + stride) as [number, number, number, number]
    const head = Math.max(0, from - pos)
    const tail = Math.max(0, pos + len - to)
    if (head > 0) kept.push(pos, slice, off, head)
    if (tail > 0) kept.push(to, slice, off + len - tail, tail)
    if (head > 0 && tail > 0) count(slice, 1)
    if (head === 0 && tail === 0) count(slice, -1)
    cleared += len - head - tail
    last += stride
  }
  if (last > first) extents.splice(first, last - first, ...kept)
  return cleared
}

/** What of a slice is laid down. */
export interface Cloth {
  readonly slice: number
  readonly off: number
  readonly len: number
}

/** Lays a part of a slice over whatever is there. Gives by how many bytes more are covered than before. */
export const cover = (extents: Extents, pos: number, { slice, off, len }: Cloth, count: Counting): number => {
  let more = 0
  for (let done = 0; done < len; ) {
    const at = pos + done
    const piece = Math.min(len - done, chunkBytes - (at % chunkBytes))
    more += piece - clear(extents, at, at + piece, count)
    insert(extents, [at, slice, off + done, piece], count)
    done += piece
  }
  return more
}

const insert = (extents: Extents, part: readonly [number, number, number, number], count: Counting): void => {
  const [pos, slice, off, len] = part
  const at = seek(extents, pos)
  const before = at - stride
  const continues =
    before >= 0 &&
    pos % chunkBytes !== 0 &&
    extents[before + 1] === slice &&
    (extents[before] as number) + (extents[before + 3] as number) === pos &&
    (extents[before + 2] as number) + (extents[before + 3] as number) === off
  if (continues) {
    extents[before + 3] = (extents[before + 3] as number) + len
    return
  }
  if (at === extents.length) extents.push(pos, slice, off, len)
  else extents.splice(at, 0, pos, slice, off, len)
  count(slice, 1)
}

/** The parts within a range, cut to it: what a plan or a copy is made of. */
export const within = (extents: ReadonlyArray<number>, from: number, to: number): Extents => {
  const found: Extents = []
  for (let at = seek(extents, from); at < extents.length && (extents[at] as number) < to; at += stride) {
    const pos = extents[at] as number
    const head = Math.max(0, from - pos)
    const tail = Math.max(0, pos + (extents[at + 3] as number) - to)
    const len = (extents[at + 3] as number) - head - tail
    if (len > 0) found.push(pos + head, extents[at + 1] as number, (extents[at + 2] as number) + head, len)
  }
  return found
}

export const covered = (extents: ReadonlyArray<number>, from: number, to: number): number => {
  let bytes = 0
  for (let at = seek(extents, from); at < extents.length && (extents[at] as number) < to; at += stride) {
    const pos = extents[at] as number
    bytes += Math.min(to, pos + (extents[at + 3] as number)) - Math.max(from, pos)
  }
  return bytes
}
