/** Locks on files: flock's on the whole file, POSIX's on ranges. Both are advisory, queued and fenced by a token. */
import { Schema } from "effect"
import { Ino } from "./inode.ts"

/** The two families do not see each other, as on Linux. */
export const LockFamily = Schema.Literals(["flock", "posix"])
export type LockFamily = typeof LockFamily.Type

export const LockType = Schema.Literals(["read", "write"])
export type LockType = typeof LockType.Type

/** Whose lock it is within a session: what the kernel calls the owner, in hexadecimal. */
export const LockOwner = Schema.String.check(Schema.isPattern(/^[0-9a-zA-Z_-]{1,64}$/))

/** The last byte of a range that goes on to the end of the file, wherever that is. */
export const lockEndMax = Number.MAX_SAFE_INTEGER

/** Ranges and waiters of one inode: all of them may be granted in one entry, and that has to fit into a message. */
export const locksOfInodeMax = 1024

/** Both ends belong to the range; flock's is 0 to `lockEndMax`. */
export const Range = { start: Schema.Natural, end: Schema.Natural }

export const LockPlace = { ino: Ino, family: LockFamily, owner: LockOwner }

/** A lock that is held or waited for. */
export const Lock = Schema.Struct({
  session: Schema.String,
  owner: LockOwner,
  pid: Schema.Natural,
  type: LockType,
  ...Range,
  /** Grows with every grant: of two holders the later one has the larger. A waiter has its ticket here. */
  token: Schema.Natural
})
export type Lock = typeof Lock.Type
