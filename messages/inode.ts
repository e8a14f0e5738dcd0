/** What an inode is on the wire: its number, name, times and attributes, who asks, and how a request fails. */
import { Schema } from "effect"

/** Numbers are given out from 1, the root, and never again. */
export const Ino = Schema.Natural.check(Schema.isGreaterThanOrEqualTo(1))

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
