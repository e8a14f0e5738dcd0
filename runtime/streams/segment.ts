/** The form of a segment object: blocks of several streams, an index for each stream, and a trailer to find them by. */
import { crc32 } from "node:zlib"

/*
 * All numbers are little-endian.
 *
 *   object  = magic, blocks of all sections, indexes of all sections, trailer
 *   block   = whole appends of one stream as readers get them, one behind the other
 *   index   = u32 length of what follows, without the crc
 *             u16 length of the key, the key, f64 when the stream was created, f64 first offset, f64 end offset
 *             u32 number of blocks, and for each: f64 place in the object, u32 size, u32 crc32, u32 number of appends
 *             the sizes of all appends as varints
 *             u32 crc32 of all before it
 *   trailer = f64 place of the first index, u32 number of sections, u32 crc32 of the twelve bytes before it, magic
 */
const magic = Buffer.from("ARTSEG\0\x01", "latin1")
export const trailerBytes = 24

/** A block is what is fetched, checked and cached at once. */
export const blockBytes = 64 * 1024

/** What one stream has to put into an object: its bytes, and where its appends end. */
export interface Section {
  readonly key: string
  readonly createdAt: number
  readonly from: number
  readonly bytes: ReadonlyArray<Buffer>
  readonly ends: ReadonlyArray<number>
}

interface Block {
  readonly at: number
  readonly size: number
  readonly crc: number
  readonly sizes: ReadonlyArray<number>
}

export interface Placed {
  readonly index: number
  readonly indexBytes: number
  readonly ends: ReadonlyArray<number>
}

export interface Written {
  readonly object: Buffer
  readonly sections: ReadonlyArray<Placed>
}

export const writeSegment = (sections: ReadonlyArray<Section>): Written => {
  const out: Array<Buffer> = [magic]
  let at = magic.length
  const blocks = sections.map((section) => {
    const cut = cutBlocks(section, at)
    out.push(...section.bytes)
    at = cut.reduce((end, { size }) => end + size, at)
    return cut
  })
  const first = at
  const placed = sections.map((section, each): Placed => {
    const own = blocks[each] as ReadonlyArray<Block>
    const index = writeIndex(section, own)
    out.push(index)
    const place = { index: at, indexBytes: index.length, ends: endsOf(section.from, own) }
    at += index.length
    return place
  })
  const trailer = Buffer.alloc(trailerBytes)
  trailer.writeDoubleLE(first, 0)
  trailer.writeUInt32LE(sections.length, 8)
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 12)), 12)
  magic.copy(trailer, 16)
  out.push(trailer)
  return { object: Buffer.concat(out), sections: placed }
}

const endsOf = (from: number, blocks: ReadonlyArray<Block>): Array<number> => {
  let end = from
  return blocks.map(({ size }) => {
    end += size
    return end
  })
}

/** Gives the checksum of the next so many bytes: what is megabytes long is not put together for it. */
const checksums = (parts: ReadonlyArray<Buffer>) => {
  let part = 0
  let skip = 0
  return (size: number): number => {
    let crc = 0
    for (let left = size; left > 0; ) {
      const bytes = parts[part] as Buffer
      const some = bytes.subarray(skip, skip + left)
      crc = crc32(some, crc)
      left -= some.length
      skip += some.length
      if (skip < bytes.length) break
      part += 1
      skip = 0
    }
    return crc
  }
}

/** As many whole appends to a block as fit, and one at least. */
const cutBlocks = ({ from, ends, bytes }: Section, start: number): Array<Block> => {
  const runs: Array<Array<number>> = []
  let run: Array<number> = []
  let size = 0
  let before = from
  for (const end of ends) {
    const length = end - before
    if (run.length > 0 && size + length > blockBytes) {
      runs.push(run)
      run = []
      size = 0
    }
    run.push(length)
    size += length
    before = end
  }
  if (run.length > 0) runs.push(run)
  const crcOf = checksums(bytes)
  let at = start
  return runs.map((sizes) => {
    const begin = at
    for (const each of sizes) at += each
    return { at: begin, size: at - begin, crc: crcOf(at - begin), sizes }
  })
}

const writeIndex = ({ key, createdAt, from }: Section, blocks: ReadonlyArray<Block>): Buffer => {
  const name = Buffer.from(key)
  const head = Buffer.alloc(4 + 2 + name.length + 24 + 4 + 20 * blocks.length)
  let at = head.writeUInt16LE(name.length, 4)
  at += name.copy(head, at)
  at = head.writeDoubleLE(createdAt, at)
  at = head.writeDoubleLE(from, at)
  at = head.writeDoubleLE(endsOf(from, blocks).at(-1) ?? from, at)
  at = head.writeUInt32LE(blocks.length, at)
  for (const block of blocks) {
    at = head.writeDoubleLE(block.at, at)
    at = head.writeUInt32LE(block.size, at)
    at = head.writeUInt32LE(block.crc, at)
    at = head.writeUInt32LE(block.sizes.length, at)
  }
  const sizes = Buffer.from(blocks.flatMap((block) => block.sizes.flatMap(varint)))
  head.writeUInt32LE(head.length - 4 + sizes.length, 0)
  const body = Buffer.concat([head, sizes])
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(crc32(body))
  return Buffer.concat([body, crc])
}

const varint = (value: number): Array<number> => {
  const bytes: Array<number> = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return [...bytes, rest]
}

/** One stream's part of an object, as its index tells it. */
export interface Index {
  readonly key: string
  readonly createdAt: number
  readonly from: number
  readonly to: number
  readonly blocks: ReadonlyArray<IndexedBlock>
  /** Where the appends end. */
  readonly ends: ReadonlyArray<number>
}

export interface IndexedBlock {
  readonly from: number
  /** Where it begins in the object. */
  readonly at: number
  readonly size: number
  readonly crc: number
}

/** The index, or why these bytes are none. */
export const readIndex = (bytes: Buffer): Index | string => {
  if (bytes.length < 38 || bytes.readUInt32LE(0) + 8 !== bytes.length) return "the index is cut short"
  const end = bytes.length - 4
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) return "the checksum of the index is wrong"
  const name = bytes.readUInt16LE(4)
  let at = 6 + name
  const key = bytes.toString("utf8", 6, at)
  const [createdAt, from, to] = [0, 8, 16].map((skip) => bytes.readDoubleLE(at + skip)) as [number, number, number]
  const count = bytes.readUInt32LE(at + 24)
  at += 28
  const blocks: Array<IndexedBlock> = []
  let appends = 0
  for (let index = 0, offset = from; index < count; index++, at += 20) {
    const size = bytes.readUInt32LE(at + 8)
    blocks.push({ from: offset, at: bytes.readDoubleLE(at), size, crc: bytes.readUInt32LE(at + 12) })
    appends += bytes.readUInt32LE(at + 16)
    offset += size
  }
  const ends = readEnds(bytes, at, { from, appends })
  return { key, createdAt, from, to, blocks, ends }
}

const readEnds = (
  bytes: Buffer,
  start: number,
  { from, appends }: { readonly from: number; readonly appends: number }
) => {
  const ends: Array<number> = []
  let at = start
  for (let end = from; ends.length < appends; ) {
    let scale = 1
    for (let byte = 128; byte >= 128; scale *= 128) {
      byte = bytes[at++] ?? 0
      end += (byte % 128) * scale
    }
    ends.push(end)
  }
  return ends
}

/** Where the indexes lie, from an object's last bytes: for whoever has an object and no journal. */
export const readTrailer = (bytes: Buffer): { readonly index: number; readonly sections: number } | string => {
  if (bytes.length !== trailerBytes || !bytes.subarray(16).equals(magic)) return "the object is no segment"
  if (crc32(bytes.subarray(0, 12)) !== bytes.readUInt32LE(12)) return "the checksum of the trailer is wrong"
  return { index: bytes.readDoubleLE(0), sections: bytes.readUInt32LE(8) }
}

/** The first end behind `at`, by its place in the list; the length of the list when there is none. */
export const firstBehind = (ends: ReadonlyArray<number>, at: number): number => {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ends[middle] as number) > at) high = middle
    else low = middle + 1
  }
  return low
}
