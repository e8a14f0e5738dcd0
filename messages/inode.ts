/** What an inode is on the wire: its number, name, times and attributes, who asks, and how a request fails. */
import { Schema } from "effect"

/** Numbers are given out from 1, the root, and never again. */
export const Ino = Schema.Natural.check(Schema.isGreaterThanOrEqualTo(1))
export const rootIno = 1

/** Linux refuses longer names; tools rely on being told so. */
export const nameBytesMax = 255
/** PATH_MAX: a longer target could not be followed. */
export const targetBytesMax = 4095
/** Linux gives up after as many symbolic links in one path. */
export const linksFollowedMax = 40
/** What Linux passes at most, for one value and for a list of names. */
export const xattrBytesMax = 65_536
/** Links to one inode: what a 32-bit count of links holds with room for what is under way. */
export const linksMax = 2_000_000_000

/**
 * A name is its bytes. Those that are UTF-8 are written as they are; another byte 0xNN is the lone surrogate U+DCNN, so
 * that every name that a disk can hold survives JSON. The rules of names are the actor's, which answers with an errno.
 */
export const Name = Schema.String.check(Schema.isMaxLength(4096))

/** How many bytes a name has, or -1 when it has a surrogate that stands for no byte. */
export const bytesOfName = (name: string): number => {
  let bytes = 0
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code < 0x80) bytes += 1
    else if (code < 0x800) bytes += 2
    else if (code < 0xd800 || code > 0xdfff) bytes += 3
    else if (code < 0xdc00 && (name.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      bytes += 4
      at++
    } else if (code >= 0xdc80 && code <= 0xdcff) bytes += 1
    else return -1
  }
  return bytes
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The bytes of a name: lone surrogates become the bytes that they stand for. */
export const encodeName = (name: string): Uint8Array => {
  if (name.isWellFormed()) return Buffer.from(name, "utf8")
  const pieces: Array<Uint8Array> = []
  let from = 0
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code < 0xd800 || code > 0xdfff) continue
    if (code < 0xdc00 && (name.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      at++
      continue
    }
    pieces.push(Buffer.from(name.slice(from, at), "utf8"), Uint8Array.of(code & 0xff))
    from = at + 1
  }
  pieces.push(Buffer.from(name.slice(from), "utf8"))
  return Buffer.concat(pieces)
}

/** How long the UTF-8 sequence is that begins here, or 0 when none does. */
const sequenceAt = (bytes: Uint8Array, at: number): number => {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length <= 1 || at + length > bytes.length) return length === 1 ? 1 : 0
  try {
    utf8.decode(bytes.subarray(at, at + length))
    return length
  } catch {
    return 0
  }
}

/** The name that these bytes are. */
export const decodeName = (bytes: Uint8Array): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    let name = ""
    for (let at = 0; at < bytes.length; ) {
      const length = sequenceAt(bytes, at)
      name +=
        length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : utf8.decode(bytes.subarray(at, at + length))
      at += Math.max(length, 1)
    }
    return name
  }
}

/** Seconds since the epoch, which may lie before it, and nanoseconds: [s, ns]. */
export const Time = Schema.Tuple([Schema.Int, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999_999_999 }))])
export type Time = typeof Time.Type

/** User and group numbers; the largest stands for "unchanged" in the kernel and so for nobody. */
export const Id = Schema.Natural.check(Schema.isLessThanOrEqualTo(0xffff_fffe))

/** On whose behalf the host asks. `groups` are the supplementary ones, where the host knows them. */
export const Who = Schema.Struct({
  uid: Id,
  gid: Id,
  groups: Schema.optionalKey(Schema.Array(Id).check(Schema.isMaxLength(256))),
  pid: Schema.optionalKey(Schema.Natural)
})
export type Who = typeof Who.Type

export const InodeType = Schema.Literals(["file", "directory", "symlink", "fifo", "character", "block", "socket"])
export type InodeType = typeof InodeType.Type

/** Permission bits with set-uid, set-gid and sticky; the type stands beside them. */
export const Mode = Schema.Natural.check(Schema.isLessThanOrEqualTo(0o7777))

export const Attributes = Schema.Struct({
  ino: Ino,
  type: InodeType,
  mode: Mode,
  nlink: Schema.Natural,
  uid: Id,
  gid: Id,
  /** The device that a character or block node stands for, else 0. */
  rdev: Schema.Natural,
  size: Schema.Natural,
  /** Bytes that are stored for it, holes left out. */
  used: Schema.Natural,
  atime: Time,
  mtime: Time,
  ctime: Time
})
export type Attributes = typeof Attributes.Type

/** Linux's names for what can go wrong with a request. */
export const Errno = Schema.Literals([
  "EPERM",
  "ENOENT",
  "EAGAIN",
  "EEXIST",
  "EXDEV",
  "ENOTDIR",
  "EISDIR",
  "EINVAL",
  "EFBIG",
  "ENOSPC",
  "EROFS",
  "ERANGE",
  "ENOLCK",
  "EMLINK",
  "EDEADLK",
  "ENAMETOOLONG",
  "ENOTEMPTY",
  "ELOOP",
  "ENODATA",
  "E2BIG",
  "EBADF",
  "ESTALE",
  "EOPNOTSUPP",
  "EDQUOT",
  "ECANCELED"
])
export type Errno = typeof Errno.Type
