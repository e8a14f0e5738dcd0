/** Attributes as the binary takes them: words of 32 bits, in the order of its own record. */
import type { FileSystemStat, Stat } from "../../runtime/ports/mount.ts"

export const statWords = 18
const wide = 2 ** 32
/** Inode numbers have 32 bits here; those of a mount's own files lie far above any other. */
const farAbove = 2 ** 31
const blockBytes = 512

export const inoShown = (ino: number): number => (ino < wide ? ino : (ino % farAbove) + farAbove)

/** Thousandths of a second, and none before 1970: the binary knows no others. */
const millis = (s: number, ns: number): number => Math.max(0, s * 1000 + Math.floor(ns / 1_000_000))

const two = (words: Uint32Array, at: number, value: number): void => {
  words[at] = value % wide
  words[at + 1] = Math.floor(value / wide)
}

export const encodeStat = (stat: Stat, words = new Uint32Array(statWords)): Uint32Array => {
  words[0] = stat.mode
  words[1] = stat.uid
  words[2] = stat.gid
  two(words, 3, stat.size)
  words[6] = stat.nlink
  words[7] = inoShown(stat.ino)
  words[8] = stat.rdev
  words[9] = 4096
  two(words, 10, Math.ceil(stat.used / blockBytes))
  two(words, 12, millis(stat.atimeS, stat.atimeNs))
  two(words, 14, millis(stat.mtimeS, stat.mtimeNs))
  two(words, 16, millis(stat.ctimeS, stat.ctimeNs))
  return words
}

const most = wide - 1

/** Counts have 32 bits too: where there are more blocks, they are told as fewer and larger ones. */
export const encodeFileSystem = (stat: FileSystemStat): Uint32Array => {
  let scale = 1
  while (stat.blocks / scale > most) scale *= 2
  const words = new Uint32Array(11)
  words[0] = stat.blockBytes * scale
  words[1] = stat.blockBytes * scale
  words[2] = Math.floor(stat.blocks / scale)
  words[3] = Math.floor(stat.blocksFree / scale)
  words[4] = words[3]
  words[5] = Math.min(most, stat.files)
  words[6] = Math.min(most, stat.filesFree)
  words[7] = words[6]
  words[10] = stat.nameBytesMax
  return words
}

/** Where a slot keeps the two times of a request, in a process of 64 bits on Linux. */
const atimeAt = 104
const mtimeAt = 112

/**
 * The two times of `utimens`, in milliseconds. The binary gives the first one twice, so the second one is read where it
 * keeps it; that the first one lies where it should is what shows that this is the place.
 */
export const timesOf = (slot: Buffer, low: number, high: number): readonly [number, number] | undefined => {
  if (slot.length < mtimeAt + 8) return undefined
  if (slot.readUInt32LE(atimeAt) !== low || slot.readUInt32LE(atimeAt + 4) !== high) return undefined
  return [Number(slot.readBigInt64LE(atimeAt)), Number(slot.readBigInt64LE(mtimeAt))]
}
