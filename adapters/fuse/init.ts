/** The first exchange with the kernel: which version is spoken, and what both sides can do. */
import type { MountOptions } from "../../runtime/ports/mount.ts"
import type { Incoming } from "./decode.ts"
import {
  dataBytesMax,
  type InitFlag,
  inHeaderBytes,
  initFlags,
  major,
  minorKnown,
  minorLeast,
  outHeaderBytes,
  pagesMax
} from "./protocol.ts"

/** What was agreed. Whoever takes over the device needs it, for the kernel does not say it again. */
export interface Negotiated {
  readonly minor: number
  readonly flags: ReadonlyArray<InitFlag>
  readonly noOpen: boolean
  /** Opening a directory is refused once, and not asked again. */
  readonly noOpendir: boolean
}

/** How much the kernel may read ahead; it takes its own, smaller limit from the device's setting. */
const readaheadBytesMax = 1 << 20
/** Times are kept to the nanosecond. */
const timeGranNs = 1

const always: ReadonlyArray<InitFlag> = [
  "asyncRead",
  "posixLocks",
  "bigWrites",
  "flockLocks",
  "readdirplus",
  "readdirplusAuto",
  "asyncDirectIo",
  "parallelDirops",
  "abortError",
  "maxPages",
  "cacheSymlinks",
  "setxattrExt",
  "initExt",
  "hasExpireOnly",
  "directIoAllowMmap",
  "hasResend"
]

const wanted = (options: MountOptions): ReadonlyArray<InitFlag> => [
  ...always,
  // Without an open there is no request that could carry O_TRUNC, so the kernel must truncate on its own.
  options.noOpen ? "noOpenSupport" : "atomicTruncate",
  ...(options.noOpen || options.noOpendir ? (["noOpendirSupport"] as const) : []),
  ...(options.writeback ? (["writebackCache"] as const) : []),
  ...(options.clearsSetId ? (["handleKillprivV2"] as const) : []),
  options.explicitPages ? "explicitInvalData" : "autoInvalData"
]

const has = (words: Uint32Array, at: number, bit: number): boolean =>
  (((words[at + (bit >= 32 ? 1 : 0)] ?? 0) >>> (bit & 31)) & 1) === 1

const body = inHeaderBytes / 4

/** Why this kernel cannot be served, in words for a person. */
const tooOld = (kernelMajor: number, minor: number): string | undefined =>
  kernelMajor === major && minor >= minorLeast
    ? undefined
    : `the kernel speaks FUSE ${kernelMajor}.${minor}, and ${major}.${minorLeast} is the oldest that is served`

/** Reads the kernel's offer and gives what is agreed, or why nothing can be. */
export const negotiate = ({ words }: Incoming, options: MountOptions): Negotiated | string => {
  const minor = words[body + 1] ?? 0
  const refused = tooOld(words[body] ?? 0, minor)
  if (refused !== undefined) return refused
  const extended = has(words, body + 3, initFlags.initExt)
  const offered = (flag: InitFlag) => (initFlags[flag] < 32 || extended) && has(words, body + 3, initFlags[flag])
  const flags = wanted(options).filter(offered)
  const noOpendir = flags.includes("noOpendirSupport")
  return { minor: Math.min(minor, minorKnown), flags, noOpen: options.noOpen, noOpendir }
}

/** The reply that says so. */
export const agreement = (offer: Incoming, { flags, minor }: Negotiated, { backgroundMax }: MountOptions): Buffer => {
  const reply = Buffer.alloc(outHeaderBytes + 64)
  reply.writeUInt32LE(reply.length, 0)
  offer.bytes.copy(reply, 8, 8, 16)
  const at = outHeaderBytes
  reply.writeUInt32LE(major, at)
  reply.writeUInt32LE(minor, at + 4)
  reply.writeUInt32LE(Math.min(offer.words[body + 2] ?? 0, readaheadBytesMax), at + 8)
  const word = (from: number) =>
    flags.reduce((sum, flag) => {
      const bit = initFlags[flag] - from
      return bit >= 0 && bit < 32 ? sum + 2 ** bit : sum
    }, 0)
  reply.writeUInt32LE(word(0), at + 12)
  reply.writeUInt16LE(backgroundMax, at + 16)
  reply.writeUInt16LE(Math.ceil((backgroundMax * 3) / 4), at + 18)
  reply.writeUInt32LE(dataBytesMax, at + 20)
  reply.writeUInt32LE(timeGranNs, at + 24)
  reply.writeUInt16LE(pagesMax, at + 28)
  reply.writeUInt32LE(word(32), at + 32)
  return reply
}
