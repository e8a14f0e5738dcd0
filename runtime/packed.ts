/** Bytes in compressed blocks, each with its lengths and a checksum, made and opened without a pause. */
import { crc32, constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib"

/** A block is compressed without a pause: at some 700 MB/s the loop stands still for 1.5 ms, not for a whole state. */
const blockBytesMax = 1024 * 1024
const blockHeadBytes = 12
/** Numbers of eight bytes are read in place. */
const alignment = 8
/** Neither direction takes smaller ones. */
const chunkBytesMin = 64
/** Smaller ones share their memory with others. */
const releasedBytesMin = 128 * 1024

/** The system has memory of this size, which nobody else uses, back at once and not when the collector comes by. */
const release = ({ buffer }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= releasedBytesMin) buffer.transfer(0)
}

const compressed = (raw: Uint8Array): Uint8Array => {
  // In one piece: many small ones would have to be put together, and lie in the way of what goes back to the system.
  const chunkSize = Math.max(raw.length, chunkBytesMin)
  const packed = zstdCompressSync(raw, { chunkSize, params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
  if (packed.length > chunkSize / 2) return packed
  const own = new Uint8Array(packed)
  release(packed)
  return own
}

/** A block that does not get smaller is kept as it is: then its two lengths are equal. */
const packBlock = (raw: Uint8Array): ReadonlyArray<Uint8Array> => {
  const packed = compressed(raw)
  const isSmaller = packed.length < raw.length
  const head = Buffer.alloc(blockHeadBytes)
  head.writeUInt32LE(isSmaller ? packed.length : raw.length, 0)
  head.writeUInt32LE(raw.length, 4)
  head.writeUInt32LE(crc32(raw), 8)
  // What is gathered into is used again.
  return [head, isSmaller ? packed : Buffer.from(raw)]
}

export interface Packed {
  /** Of the bytes as they were. */
  readonly size: number
  readonly blocks: number
  readonly parts: ReadonlyArray<Uint8Array>
}

/** What pieces are gathered in is used again: the collector is not to be woken for it with each state. */
let spare: Buffer | undefined

/** Takes bytes in pieces of any size; yields after each block. */
export function* packing(pieces: ReadonlyArray<Uint8Array>): Generator<void, Packed> {
  const gathered = spare ?? Buffer.allocUnsafeSlow(blockBytesMax)
  spare = undefined
  try {
    return yield* packingIn(gathered, pieces)
  } finally {
    spare = gathered
  }
}

function* packingIn(gathered: Buffer, pieces: ReadonlyArray<Uint8Array>): Generator<void, Packed> {
  const parts: Array<Uint8Array> = []
  let filled = 0
  let size = 0
  let blocks = 0
  const pack = (): void => {
    parts.push(...packBlock(gathered.subarray(0, filled)))
    size += filled
    blocks += 1
    filled = 0
  }
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const some = piece.subarray(at, at + blockBytesMax - filled)
      gathered.set(some, filled)
      filled += some.length
      at += some.length
      if (filled < blockBytesMax) continue
      pack()
      yield
    }
  }
  if (filled > 0) pack()
  return { size, blocks, parts }
}

/** Bytes are copied in so many at once. */
const copiedAtOnce = 4 * 1024 * 1024

/** One piece of many. */
export function* joining(parts: ReadonlyArray<Uint8Array>): Generator<void, Uint8Array> {
  const whole = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  let turn = 0
  for (const part of parts) {
    whole.set(part, end)
    end += part.length
    turn += part.length
    if (turn < copiedAtOnce) continue
    turn = 0
    yield
  }
  return whole
}

export interface Damage {
  readonly damage: string
}

/** Copied where it lies in the file, or where numbers could not be read in place. */
const ownOf = (raw: Uint8Array, file: Buffer): Uint8Array =>
  raw.buffer !== file.buffer && raw.byteOffset % alignment === 0 ? raw : new Uint8Array(raw)

const moveInto = (whole: Buffer, at: number, raw: Uint8Array, file: Buffer): void => {
  whole.set(raw, at)
  if (raw.buffer !== file.buffer) release(raw)
}

const unpackBlock = (packed: Uint8Array, size: number): Uint8Array | undefined => {
  if (packed.length === size) return packed
  try {
    // Where a chunk is filled to its end another one is made, as large: it would hold nothing, and count as memory.
    const chunkSize = Math.max(size + 1, chunkBytesMin)
    return zstdDecompressSync(packed, { maxOutputLength: Math.max(size, 1), chunkSize })
  } catch {
    // The decompressor's only complaint is damage, and the caller names what is damaged.
    return undefined
  }
}

/** Where other threads read it too. */
export const sharedRoom = (size: number): Buffer => Buffer.from(new SharedArrayBuffer(size))

/** The bytes of the blocks from a place in a file on to its end, in memory of their own; yields after each block. */
export function* unpacking(
  file: Buffer,
  from: number,
  { blocks, size }: Omit<Packed, "parts">,
  room: (size: number) => Buffer = Buffer.allocUnsafeSlow
): Generator<void, Uint8Array | Damage> {
  // No more room than the blocks can fill is taken, whatever a damaged head says.
  if (size > blocks * blockBytesMax || blocks * blockHeadBytes > file.length)
    return { damage: "its length is not what its head says" }
  // One block is the whole of it.
  const whole = blocks === 1 ? undefined : room(size)
  let only: Uint8Array = Buffer.alloc(0)
  let at = from
  let done = 0
  for (let block = 0; block < blocks; block++) {
    if (at + blockHeadBytes > file.length) return { damage: `it ends before block ${block}` }
    const packedBytes = file.readUInt32LE(at)
    const rawBytes = file.readUInt32LE(at + 4)
    const end = at + blockHeadBytes + packedBytes
    if (end > file.length || rawBytes > blockBytesMax) return { damage: `it ends within block ${block}` }
    const raw = unpackBlock(file.subarray(at + blockHeadBytes, end), rawBytes)
    if (raw?.length !== rawBytes || crc32(raw) !== file.readUInt32LE(at + 8))
      return { damage: `block ${block} fails its checksum` }
    if (done + rawBytes > size) return { damage: "its length is not what its head says" }
    if (whole === undefined) only = ownOf(raw, file)
    else moveInto(whole, done, raw, file)
    done += rawBytes
    at = end
    yield
  }
  return at === file.length && done === size ? (whole ?? only) : { damage: "its length is not what its head says" }
}
