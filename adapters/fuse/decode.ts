/** From the bytes of a request to its typed value. */
import type { LockRange, Request, SetTime } from "../../runtime/ports/mount.ts"
import { nameEnd, readName } from "./name.ts"
import {
  fsyncDataOnly,
  inHeaderBytes,
  lockIsFlock,
  lockRead,
  lockUnlock,
  lockWrite,
  opcodes,
  openKillSetId,
  releaseFlockUnlock,
  requestBytesMax,
  resentBit,
  setattrBits,
  writeCache,
  writeKillSetId
} from "./protocol.ts"

/** A buffer that one request is read into, seen as bytes and as words; and where the words of its header are. */
export interface Incoming {
  readonly bytes: Buffer
  readonly words: Uint32Array
}

export const incoming = (buffer: ArrayBufferLike = new ArrayBuffer(requestBytesMax)): Incoming => ({
  bytes: Buffer.from(buffer),
  words: new Uint32Array(buffer)
})

export const lengthOf = ({ words }: Incoming): number => words[0] ?? 0
export const opcodeOf = ({ words }: Incoming): number => words[1] ?? 0

/** The number of a request without the mark of one that is sent again. */
export const idOf = ({ words }: Incoming): number => (words[2] ?? 0) + ((words[3] ?? 0) & ~resentBit) * 2 ** 32

/** The first word behind the header. */
const body = inHeaderBytes / 4

const w = (words: Uint32Array, at: number): number => words[body + at] ?? 0
/** Numbers of 64 bits lose their lowest bits past 2^53: only "to the end" of a lock or a file is so large. */
const wide = (words: Uint32Array, at: number): number => w(words, at) + w(words, at + 1) * 2 ** 32
const signed = (words: Uint32Array, at: number): number => w(words, at) + (w(words, at + 1) | 0) * 2 ** 32

const hex = (words: Uint32Array, at: number): string =>
  w(words, at + 1)
    .toString(16)
    .padStart(8, "0") + w(words, at).toString(16).padStart(8, "0")

const endOf = ({ words }: Incoming): number => (words[0] ?? 0) - ((words[9] ?? 0) & 0xffff) * 8

const nameAt = (from: Incoming, at: number): string => {
  const start = inHeaderBytes + at
  return readName(from.bytes, start, nameEnd(from.bytes, start, endOf(from)))
}

const namesAt = (from: Incoming, at: number): readonly [string, string] => {
  const start = inHeaderBytes + at
  const end = nameEnd(from.bytes, start, endOf(from))
  return [readName(from.bytes, start, end), nameAt(from, end + 1 - inHeaderBytes)]
}

interface Head {
  readonly node: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
  readonly id: number
  readonly resent: boolean
}

const setTime = (words: Uint32Array, at: number, nsAt: number): SetTime => ({
  s: signed(words, at),
  ns: w(words, nsAt)
})

const setattr = (head: Head, words: Uint32Array): Request<"setattr"> => {
  const valid = w(words, 0)
  const has = (bit: number) => (valid & bit) !== 0
  return {
    op: "setattr",
    ...head,
    ...(has(setattrBits.mode) && { mode: w(words, 17) & 0o7777 }),
    ...(has(setattrBits.uid) && { owner: w(words, 19) }),
    ...(has(setattrBits.gid) && { group: w(words, 20) }),
    ...(has(setattrBits.size) && { size: wide(words, 4) }),
    ...(has(setattrBits.atime) && { atime: has(setattrBits.atimeNow) ? "now" : setTime(words, 8, 14) }),
    ...(has(setattrBits.mtime) && { mtime: has(setattrBits.mtimeNow) ? "now" : setTime(words, 10, 15) }),
    ...(has(setattrBits.ctime) && { ctime: setTime(words, 12, 16) }),
    clearSetId: has(setattrBits.killSetId)
  }
}

const lockTypes = { [lockRead]: "read", [lockWrite]: "write", [lockUnlock]: "unlock" } as const

const lockRange = (words: Uint32Array): LockRange => {
  const type = lockTypes[w(words, 8) as keyof typeof lockTypes]
  if (type === undefined) throw new Error(`no lock of type ${w(words, 8)} is known`)
  return {
    owner: hex(words, 2),
    flock: (w(words, 10) & lockIsFlock) !== 0,
    type,
    start: Math.min(wide(words, 4), Number.MAX_SAFE_INTEGER),
    end: Math.min(wide(words, 6), Number.MAX_SAFE_INTEGER),
    holder: w(words, 9)
  }
}

/** A rename's flags; combinations that the kernel never lets through are not told apart. */
const renames = ["replace", "noreplace", "exchange", "exchange", "whiteout", "whiteout"] as const

const setxattr = (head: Head, from: Incoming, extended: boolean): Request<"setxattr"> => {
  const size = w(from.words, 0)
  const start = inHeaderBytes + (extended ? 16 : 8)
  const end = nameEnd(from.bytes, start, endOf(from))
  return {
    op: "setxattr",
    ...head,
    name: readName(from.bytes, start, end),
    value: from.bytes.subarray(end + 1, end + 1 + size),
    how: (["set", "create", "replace"] as const)[w(from.words, 1) & 3] ?? "set"
  }
}

export interface Dialect {
  /** SETXATTR has two words more. */
  readonly setxattrExtended: boolean
}

/** What the request asks, or undefined when its kind is answered without the file system. */
export const decode = (from: Incoming, { setxattrExtended }: Dialect): Request | undefined => {
  const { words } = from
  const opcode = opcodeOf(from)
  const head: Head = {
    node: (words[4] ?? 0) + (words[5] ?? 0) * 2 ** 32,
    uid: words[6] ?? 0,
    gid: words[7] ?? 0,
    pid: words[8] ?? 0,
    id: idOf(from),
    resent: ((words[3] ?? 0) & resentBit) !== 0
  }
  return (
    decodeFile(opcode, head, from) ??
    decodeTree(opcode, head, from) ??
    decodeOther(opcode, head, from, setxattrExtended)
  )
}

/** What is asked of one open file or directory, and the attributes: the bulk of what comes. */
const decodeFile = (opcode: number, head: Head, from: Incoming): Request | undefined => {
  const { bytes, words } = from
  switch (opcode) {
    case opcodes.lookup:
      return { op: "lookup", ...head, name: nameAt(from, 0) }
    // STATX is not known here, and must not be: it could tell no time of birth, and a kernel that has it asks so for
    // each file of which a program wants that time, although it keeps everything else.
    case opcodes.getattr:
      return { op: "getattr", ...head }
    case opcodes.read:
      return {
        op: "read",
        ...head,
        handle: wide(words, 0),
        offset: wide(words, 2),
        size: w(words, 4),
        flags: w(words, 8)
      }
    case opcodes.write:
      return {
        op: "write",
        ...head,
        handle: wide(words, 0),
        offset: wide(words, 2),
        data: bytes.subarray(inHeaderBytes + 40, inHeaderBytes + 40 + w(words, 4)),
        flags: w(words, 8),
        delayed: (w(words, 5) & writeCache) !== 0,
        clearSetId: (w(words, 5) & writeKillSetId) !== 0
      }
    case opcodes.open:
      return { op: "open", ...head, flags: w(words, 0), clearSetId: (w(words, 1) & openKillSetId) !== 0 }
    case opcodes.flush:
      return { op: "flush", ...head, handle: wide(words, 0), owner: hex(words, 4) }
    case opcodes.release: {
      const flock = (w(words, 3) & releaseFlockUnlock) !== 0
      return { op: "release", ...head, handle: wide(words, 0), flags: w(words, 2), owner: hex(words, 4), flock }
    }
    case opcodes.opendir:
      return { op: "opendir", ...head, flags: w(words, 0) }
    case opcodes.readdir:
    case opcodes.readdirplus: {
      const plus = opcode === opcodes.readdirplus
      return { op: "readdir", ...head, handle: wide(words, 0), offset: wide(words, 2), size: w(words, 4), plus }
    }
    case opcodes.releasedir:
      return { op: "releasedir", ...head, handle: wide(words, 0) }
    case opcodes.getxattr:
      return { op: "getxattr", ...head, name: nameAt(from, 8), size: w(words, 0) }
    case opcodes.setattr:
      return setattr(head, words)
    default:
      return undefined
  }
}

/** What changes names. */
const decodeTree = (opcode: number, head: Head, from: Incoming): Request | undefined => {
  const { words } = from
  switch (opcode) {
    case opcodes.create:
      return { op: "create", ...head, name: nameAt(from, 16), flags: w(words, 0), mode: w(words, 1) }
    case opcodes.tmpfile:
      return { op: "tmpfile", ...head, flags: w(words, 0), mode: w(words, 1) }
    case opcodes.mkdir:
      return { op: "mkdir", ...head, name: nameAt(from, 8), mode: w(words, 0) }
    case opcodes.mknod:
      return { op: "mknod", ...head, name: nameAt(from, 16), mode: w(words, 0), rdev: w(words, 1) }
    case opcodes.symlink: {
      const [name, target] = namesAt(from, 0)
      return { op: "symlink", ...head, name, target }
    }
    case opcodes.link:
      return { op: "link", ...head, source: wide(words, 0), name: nameAt(from, 8) }
    case opcodes.unlink:
      return { op: "unlink", ...head, name: nameAt(from, 0) }
    case opcodes.rmdir:
      return { op: "rmdir", ...head, name: nameAt(from, 0) }
    case opcodes.rename:
    case opcodes.rename2: {
      const second = opcode === opcodes.rename2
      const [name, toName] = namesAt(from, second ? 16 : 8)
      const how = second ? (renames[w(words, 2)] ?? "replace") : "replace"
      return { op: "rename", ...head, name, toNode: wide(words, 0), toName, how }
    }
    default:
      return undefined
  }
}

const decodeOther = (opcode: number, head: Head, from: Incoming, extended: boolean): Request | undefined => {
  const { words } = from
  switch (opcode) {
    case opcodes.readlink:
      return { op: "readlink", ...head }
    case opcodes.statfs:
      return { op: "statfs", ...head }
    case opcodes.fsync:
    case opcodes.fsyncdir: {
      const op = opcode === opcodes.fsync ? "fsync" : "fsyncdir"
      return { op, ...head, handle: wide(words, 0), dataOnly: (w(words, 2) & fsyncDataOnly) !== 0 }
    }
    case opcodes.syncfs:
      return { op: "syncfs", ...head }
    case opcodes.setxattr:
      return setxattr(head, from, extended)
    case opcodes.listxattr:
      return { op: "listxattr", ...head, size: w(words, 0) }
    case opcodes.removexattr:
      return { op: "removexattr", ...head, name: nameAt(from, 0) }
    case opcodes.getlk:
      return { op: "getlk", ...head, ...lockRange(words) }
    case opcodes.setlk:
    case opcodes.setlkw:
      return { op: "setlk", ...head, ...lockRange(words), wait: opcode === opcodes.setlkw }
    case opcodes.access:
      return { op: "access", ...head, mask: w(words, 0) }
    case opcodes.fallocate:
      return { op: "fallocate", ...head, offset: wide(words, 2), length: wide(words, 4), mode: w(words, 6) }
    case opcodes.lseek:
      return { op: "lseek", ...head, offset: wide(words, 2), whence: w(words, 4) === 4 ? "hole" : "data" }
    case opcodes.copyFileRange:
    case opcodes.copyFileRange64:
      return {
        op: "copy",
        ...head,
        handle: wide(words, 0),
        offset: wide(words, 2),
        toNode: wide(words, 4),
        toHandle: wide(words, 6),
        toOffset: wide(words, 8),
        length: wide(words, 10)
      }
    default:
      return undefined
  }
}

/** Each node that the kernel let go of, with how often it was told of it. */
export function* forgotten({ words }: Incoming): Generator<readonly [number, number]> {
  if (words[1] === opcodes.forget) {
    yield [(words[4] ?? 0) + (words[5] ?? 0) * 2 ** 32, wide(words, 0)]
    return
  }
  for (let left = w(words, 0), at = 2; left > 0; left--, at += 4) yield [wide(words, at), wide(words, at + 2)]
}

/** Which request an interrupt is about. */
export const interruptedBy = ({ words }: Incoming): number => w(words, 0) + (w(words, 1) & ~resentBit) * 2 ** 32
