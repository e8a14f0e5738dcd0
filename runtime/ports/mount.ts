/** The kernel's requests to a file system as typed values, who answers them, and what the kernel is told unasked. */
import { Context, type Effect, Schema, type Scope } from "effect"

/**
 * Linux's names for how a request can fail. ENOSYS is more than a refusal: for many requests the kernel never asks
 * again.
 */
export type Errno =
  | "EPERM"
  | "ENOENT"
  | "EINTR"
  | "EIO"
  | "ENXIO"
  | "E2BIG"
  | "EBADF"
  | "EAGAIN"
  | "ENOMEM"
  | "EACCES"
  | "EBUSY"
  | "EEXIST"
  | "EXDEV"
  | "ENODEV"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "ENOTTY"
  | "ETXTBSY"
  | "EFBIG"
  | "ENOSPC"
  | "EROFS"
  | "EMLINK"
  | "ERANGE"
  | "EDEADLK"
  | "ENAMETOOLONG"
  | "ENOLCK"
  | "ENOSYS"
  | "ENOTEMPTY"
  | "ELOOP"
  | "ENODATA"
  | "EOVERFLOW"
  | "EOPNOTSUPP"
  | "ETIMEDOUT"
  | "ESTALE"
  | "EDQUOT"
  | "ECANCELED"

/**
 * An inode as stat(2) has it; `mode` holds the type as well. An answer is encoded before anything else is asked, so a
 * file system may fill one record again and again.
 */
export interface Stat {
  ino: number
  mode: number
  nlink: number
  uid: number
  gid: number
  /** As Linux packs a device number in 32 bits. */
  rdev: number
  size: number
  /** Bytes stored, holes left out. */
  used: number
  atimeS: number
  atimeNs: number
  mtimeS: number
  mtimeNs: number
  ctimeS: number
  ctimeNs: number
}

/** Who asks, of which inode. `node` is the inode's number, so a file system that is replaced knows every node. */
export interface Asked {
  readonly node: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
  /** The request's own number on this mount. One that is sent again keeps it, so it can name a command. */
  readonly id: number
  /** It was given to a predecessor that ended before it answered: what it asks for may have been done. */
  readonly resent: boolean
}

export type SetTime = "now" | { readonly s: number; readonly ns: number }

/**
 * flock's locks cover the whole file. The end belongs to the range; `Number.MAX_SAFE_INTEGER` is "to the end,
 * wherever".
 */
export interface LockRange {
  /** Sixteen hexadecimal digits, chosen by the kernel. */
  readonly owner: string
  readonly flock: boolean
  readonly type: "read" | "write" | "unlock"
  readonly start: number
  readonly end: number
  readonly holder: number
}

/** What each request says beside `Asked`. `handle` is what `open` answered, `flags` are open(2)'s at each request. */
export interface Requests {
  lookup: { readonly name: string }
  /** The kernel let go of a node that it was told of `count` times. It is not answered. */
  forget: { readonly count: number }
  getattr: object
  setattr: {
    readonly mode?: number
    readonly owner?: number
    readonly group?: number
    readonly size?: number
    readonly atime?: SetTime
    readonly mtime?: SetTime
    readonly ctime?: SetTime
    /** The set-user-id and set-group-id bits go, as truncate(2) and chown(2) have it. */
    readonly clearSetId: boolean
  }
  readlink: object
  symlink: { readonly name: string; readonly target: string }
  mknod: { readonly name: string; readonly mode: number; readonly rdev: number }
  mkdir: { readonly name: string; readonly mode: number }
  unlink: { readonly name: string }
  rmdir: { readonly name: string }
  rename: {
    readonly name: string
    readonly toNode: number
    readonly toName: string
    readonly how: "replace" | "noreplace" | "exchange" | "whiteout"
  }
  /** `node` is the directory of the new name. */
  link: { readonly source: number; readonly name: string }
  /** With O_TRUNC in `flags` the file is emptied too. */
  open: { readonly flags: number; readonly clearSetId: boolean }
  create: { readonly name: string; readonly mode: number; readonly flags: number }
  tmpfile: { readonly mode: number; readonly flags: number }
  read: { readonly handle: number; readonly offset: number; readonly size: number; readonly flags: number }
  /** `data` is the file system's until it has answered. `delayed`: from the page cache, so by whom is not known. */
  write: {
    readonly handle: number
    readonly offset: number
    readonly data: Uint8Array
    readonly flags: number
    readonly delayed: boolean
    readonly clearSetId: boolean
  }
  flush: { readonly handle: number; readonly owner: string }
  /** `flock`: the owner's flock ends with it. */
  release: { readonly handle: number; readonly flags: number; readonly owner: string; readonly flock: boolean }
  fsync: { readonly handle: number; readonly dataOnly: boolean }
  opendir: { readonly flags: number }
  /** From the entry whose `next` was `offset`, or from the first when it is 0. */
  readdir: { readonly handle: number; readonly offset: number; readonly size: number; readonly plus: boolean }
  releasedir: { readonly handle: number }
  fsyncdir: { readonly handle: number; readonly dataOnly: boolean }
  statfs: object
  setxattr: { readonly name: string; readonly value: Uint8Array; readonly how: "set" | "create" | "replace" }
  /** `size` 0 asks how long the value is; the adapter sees to that. */
  getxattr: { readonly name: string; readonly size: number }
  listxattr: { readonly size: number }
  removexattr: { readonly name: string }
  getlk: LockRange
  setlk: LockRange & { readonly wait: boolean }
  access: { readonly mask: number }
  fallocate: { readonly offset: number; readonly length: number; readonly mode: number }
  lseek: { readonly offset: number; readonly whence: "data" | "hole" }
  copy: {
    readonly handle: number
    readonly offset: number
    readonly toNode: number
    readonly toHandle: number
    readonly toOffset: number
    readonly length: number
  }
  syncfs: object
}

export type Operation = keyof Requests
export type Request<Op extends Operation = Operation> = {
  [K in Op]: { readonly op: K } & Asked & Requests[K]
}[Op]

/** A name, and how long the kernel may keep it and its attributes. Without `stat`: that there is no such name. */
export interface Entry {
  readonly stat: Stat | undefined
  readonly entryMs: number
  readonly attrMs: number
}

export interface Attributes {
  readonly stat: Stat
  readonly attrMs: number
}

/** `handle` comes back with each request on the open file; nothing may hang on it that a restart would lose. */
export interface Opened {
  readonly handle?: number
  readonly directIo?: boolean
  /** The pages that the kernel still has of an earlier open are good. */
  readonly keepCache?: boolean
  /** Of a directory: the kernel may keep its listing. */
  readonly cacheDir?: boolean
  /** No `flush` at close: then fcntl's locks do not end with it either. */
  readonly noFlush?: boolean
  readonly parallelWrites?: boolean
}

/** `.` and `..` are listed too. `next` names the entry behind this one; it is never 0. */
export interface Listed extends Entry {
  readonly name: string
  readonly next: number
  readonly stat: Stat
}

export interface FileSystemStat {
  readonly blockBytes: number
  readonly blocks: number
  readonly blocksFree: number
  readonly files: number
  readonly filesFree: number
  readonly nameBytesMax: number
}

/** What each request is answered with when it does not fail; `undefined` is "done". */
export interface Answers {
  lookup: Entry
  forget: undefined
  getattr: Attributes
  setattr: Attributes
  readlink: { readonly target: string }
  symlink: Entry
  mknod: Entry
  mkdir: Entry
  unlink: undefined
  rmdir: undefined
  rename: undefined
  link: Entry
  open: Opened
  create: { readonly entry: Entry; readonly opened: Opened }
  tmpfile: { readonly entry: Entry; readonly opened: Opened }
  /** The bytes, in one piece or in several; or how many the synchronous part has put into `out`. */
  read: Uint8Array | ReadonlyArray<Uint8Array> | number
  write: number
  flush: undefined
  release: undefined
  fsync: undefined
  opendir: Opened
  /** Taken from one by one until the reply is full. */
  readdir: Iterable<Listed>
  releasedir: undefined
  fsyncdir: undefined
  statfs: FileSystemStat
  setxattr: undefined
  getxattr: Uint8Array
  listxattr: ReadonlyArray<string>
  removexattr: undefined
  /** The lock that stands in the way, if any. */
  getlk: LockRange | undefined
  setlk: undefined
  access: undefined
  fallocate: undefined
  lseek: number
  copy: number
  syncfs: undefined
}

export type Answer = Answers[Operation]

/** For the other part, with what this one found out already: plain data, for it crosses threads. */
export interface Later {
  readonly later: unknown
}

/**
 * What answers at once. It is asked first, one request after another, on a thread that does nothing else; it never
 * waits. Requests without a function here are for the other part. `out` has room for the bytes of a read.
 */
export type SyncFiles = {
  readonly [Op in Operation]?: (request: Request<Op>, out: Uint8Array) => Answers[Op] | Errno | Later
} & {
  /** What `tell` has sent, always before the request that is looked at next. */
  readonly heard?: (message: unknown) => void
}

/** What the synchronous part may ask of its thread. */
export interface SyncHost {
  /** Milliseconds since the epoch, with fractions. */
  readonly nowMs: () => number
  /** Sends plain data to `heard` of the other part. */
  readonly tell: (message: unknown, transfer?: ReadonlyArray<ArrayBuffer>) => void
}

/** The module of the synchronous part exports this; it is loaded on the thread that asks. */
export interface SyncModule {
  /** Begins before all is known that is served; what it gave last goes to `open`. */
  readonly prepare?: (data: unknown) => unknown
  readonly open: (data: unknown, host: SyncHost, prepared?: unknown) => SyncFiles
}

/**
 * What answers in its own time. It is interrupted, and the kernel told EINTR, when the caller is dying or has a signal
 * while it waits for a lock.
 */
export type AsyncFiles = {
  readonly [Op in Operation]?: (request: Request<Op>, later: unknown) => Effect.Effect<Answers[Op], Errno>
} & {
  readonly heard?: (message: unknown) => void
}

/** What the kernel should no longer believe. It is told in order, and off both threads, for it may have to wait. */
export type Invalidation =
  /** Attributes, and pages in the range; a `length` of 0 is to the end, a negative offset leaves all pages be. */
  | { readonly kind: "inode"; readonly ino: number; readonly offset: number; readonly length: number }
  | { readonly kind: "entry"; readonly parent: number; readonly name: string }
  /** The entry is gone, also where it is somebody's working directory or watched. */
  | { readonly kind: "deleted"; readonly parent: number; readonly ino: number; readonly name: string }
  /** Puts pages into the kernel's cache. */
  | { readonly kind: "store"; readonly ino: number; readonly offset: number; readonly data: Uint8Array }

/** Why a directory cannot be mounted on, or is not let go of. */
export class MountRefused extends Schema.TaggedError<MountRefused>()("MountRefused", {
  place: Schema.String,
  reason: Schema.Literals([
    "no-device",
    "no-permission",
    "no-tool",
    "missing",
    "not-a-directory",
    "not-empty",
    "already-mounted",
    "stale",
    "busy",
    "given-up",
    "kernel"
  ]),
  why: Schema.String
}) {}

/** How the kernel is to treat the mount. Everything else is negotiated for the best that both sides know. */
export interface MountOptions {
  /** What `mount` and `df` show as the source. */
  readonly source: string
  readonly readOnly: boolean
  /** Others than who mounted may use it. */
  readonly allowOther: boolean
  /** The kernel gathers writes and owns size and mtime meanwhile: for a mount that alone writes. */
  readonly writeback: boolean
  /** No open, flush and release of files: for mounts that only read. */
  readonly noOpen: boolean
  /** No open and release of directories: the kernel keeps each listing until `invalidate` says that it changed. */
  readonly noOpendir: boolean
  /** The file system itself clears set-id bits when it is told to, which saves a question before each write. */
  readonly clearsSetId: boolean
  /** Cached pages go only by `invalidate`, and not because a changed mtime was seen. */
  readonly explicitPages: boolean
  /** Requests under way in the background, read-ahead among them. */
  readonly backgroundMax: number
}

export const mountDefaults: MountOptions = {
  source: "artifacts",
  readOnly: false,
  allowOther: true,
  writeback: false,
  noOpen: false,
  noOpendir: false,
  clearsSetId: true,
  explicitPages: false,
  backgroundMax: 64
}

export interface Mounting {
  readonly place: string
  readonly options: MountOptions
  /** URL of a `SyncModule`, and plain data for it. */
  readonly sync: { readonly module: string; readonly data: unknown }
  readonly files: AsyncFiles
}

export interface Mounted {
  /** To `heard` of the synchronous part, before the next request. */
  readonly tell: (message: unknown, transfer?: ReadonlyArray<ArrayBuffer>) => void
  readonly invalidate: (invalidations: ReadonlyArray<Invalidation>) => void
  /** Waits until the kernel knows all that `invalidate` was given before. */
  readonly invalidated: Effect.Effect<void>
  /** Waits for the end of the mount, whoever ended it. */
  readonly ended: Effect.Effect<void>
}

export class Mount extends Context.Service<
  Mount,
  {
    /** When it returns, the file system answers. The mount ends with the scope, by force if it is in use. */
    readonly mount: (mounting: Mounting) => Effect.Effect<Mounted, MountRefused, Scope.Scope>
    /** Where the thread that will serve runs already: has it prepare, while others go on. False where it does not. */
    readonly prepare?: (sync: Mounting["sync"]) => boolean
    /** `lazy`: out of sight at once, gone when nobody uses it any more. */
    readonly unmount: (place: string, lazy: boolean) => Effect.Effect<void, MountRefused>
    /** `stale`: mounted, and nobody answers any more. */
    readonly look: (place: string) => Effect.Effect<"free" | "mounted" | "stale", MountRefused>
  }
>()("runtime/Mount") {}
