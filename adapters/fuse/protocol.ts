/** The numbers of the kernel's FUSE protocol, version 7, as far as minor 45. */

export const major = 7
/** The newest minor version whose requests are known here; the kernel's may be newer or older. */
export const minorKnown = 45
/** Older kernels lack what the codec takes for granted. */
export const minorLeast = 31

export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  setlk: 32,
  setlkw: 33,
  access: 34,
  create: 35,
  interrupt: 36,
  bmap: 37,
  destroy: 38,
  ioctl: 39,
  poll: 40,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  syncfs: 50,
  tmpfile: 51,
  copyFileRange64: 53
} as const

export const notices = {
  invalInode: 2,
  invalEntry: 3,
  store: 4,
  deleted: 6,
  resend: 7
} as const

/** What is negotiated; from bit 32 on they travel in a word of their own. */
export const initFlags = {
  asyncRead: 0,
  posixLocks: 1,
  atomicTruncate: 3,
  bigWrites: 5,
  flockLocks: 10,
  autoInvalData: 12,
  readdirplus: 13,
  readdirplusAuto: 14,
  asyncDirectIo: 15,
  writebackCache: 16,
  noOpenSupport: 17,
  parallelDirops: 18,
  abortError: 21,
  maxPages: 22,
  cacheSymlinks: 23,
  noOpendirSupport: 24,
  explicitInvalData: 25,
  handleKillprivV2: 28,
  setxattrExt: 29,
  initExt: 30,
  hasExpireOnly: 35,
  directIoAllowMmap: 36,
  hasResend: 39
} as const
export type InitFlag = keyof typeof initFlags

export const setattrBits = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  ctime: 1 << 10,
  killSetId: 1 << 11
} as const

export const openBits = {
  directIo: 1 << 0,
  keepCache: 1 << 1,
  cacheDir: 1 << 3,
  noFlush: 1 << 5,
  parallelWrites: 1 << 6
} as const

/** WRITE's flags: from the page cache, and that set-id bits go. */
export const writeCache = 1
export const writeKillSetId = 4
/** OPEN's: set-id bits go with O_TRUNC. */
export const openKillSetId = 1
export const releaseFlockUnlock = 2
export const fsyncDataOnly = 1
export const lockIsFlock = 1

/** fcntl's kinds of locks. */
export const lockRead = 0
export const lockWrite = 1
export const lockUnlock = 2

/** The length of every request's and every reply's header. */
export const inHeaderBytes = 40
export const outHeaderBytes = 16

/** The largest write and read: 256 pages, the kernel's own limit unless an administrator raises it. */
export const dataBytesMax = 1 << 20
export const pagesMax = 256
/** A request has room for its data, its headers, and the names and small records before it. */
export const requestBytesMax = dataBytesMax + 4096

/** The top bit of a request's number says that it is sent again; the lowest that it is an interrupt's own number. */
export const resentBit = 0x8000_0000
