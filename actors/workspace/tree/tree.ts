/** A workspace's whole state: the same in its actor and in every replica that folds its events. */
import type { Layout } from "../../../messages/account.ts"
import type { LockFamily } from "../../../messages/lock.ts"
import type { MountMode } from "../../../messages/mount-session.ts"
import { rootIno } from "../../../messages/names.ts"
import { GarbageQueue } from "./garbage.ts"
import { type Directory, Inodes, isDirectory, typeBits } from "./inodes.ts"
import { Loans } from "./loans.ts"
import type { Locks } from "./locks.ts"
import { Names } from "./names.ts"
import { Reservations } from "./reservations.ts"
import { Slices } from "./slices.ts"

export interface Session {
  readonly mode: MountMode
  readonly host: string | undefined
  readonly began: number
}

/** An inode without a name. */
export interface Orphan {
  /** Up to then a session may still say that it has it open. */
  readonly until: number
  readonly holders: Set<string>
  /** It never had a name, and may get one. */
  readonly nameless: boolean
}

export interface Tree {
  readonly id: string
  layout: Layout
  /** Limits of 0 are none. */
  bytesMax: number
  entriesMax: number
  /** Bytes that files use. */
  bytes: number
  readonly inodes: Inodes
  readonly names: Names
  readonly slices: Slices
  readonly garbage: GarbageQueue
  readonly reservations: Reservations
  /** By inode number, then name; values in base64. */
  readonly xattrs: Map<number, Map<string, string>>
  readonly rdevs: Map<number, number>
  readonly orphans: Map<number, Orphan>
  /** Orphans that nobody holds, and when they go. */
  readonly doomed: Map<number, number>
  readonly sessions: Map<string, Session>
  /** By family and inode number. */
  readonly locks: Map<string, Locks>
  /** The keys of locks whose waiters could be served: a session ended that held more than one entry could pass on. */
  readonly stalled: Set<string>
  readonly loans: Loans
  nextIno: number
  nextToken: number
  nextTicket: number
}

/** What a directory is said to be large, as on most disks. */
export const directorySize = 4096

/** A state without even a root, for a snapshot to fill. */
export const bare = (id: string): Tree => ({
  id,
  layout: "slices",
  bytesMax: 0,
  entriesMax: 0,
  bytes: 0,
  inodes: new Inodes(),
  names: new Names(),
  slices: new Slices(),
  garbage: new GarbageQueue(),
  reservations: new Reservations(),
  xattrs: new Map(),
  rdevs: new Map(),
  orphans: new Map(),
  doomed: new Map(),
  sessions: new Map(),
  locks: new Map(),
  stalled: new Set(),
  loans: new Loans(),
  nextIno: rootIno + 1,
  nextToken: 1,
  nextTicket: 1
})

/** A new workspace: a root that its administrator may hand over, and nothing in it. */
export const initial = (id: string): Tree => {
  const tree = bare(id)
  const { inodes } = tree
  const slot = inodes.add(rootIno)
  inodes.mode[slot] = typeBits.directory | 0o755
  inodes.nlink[slot] = 2
  inodes.size[slot] = directorySize
  inodes.body[slot] = newDirectory(rootIno)
  return tree
}

export const newDirectory = (parent: number): Directory => ({ parent, order: [], dead: 0, cursor: 1 })

export const lockKey = (family: LockFamily, ino: number): string => `${family}:${ino}`

/** What a directory keeps, or undefined when the slot is none. */
export const directoryOf = (tree: Tree, slot: number): Directory | undefined =>
  slot >= 0 && isDirectory(tree.inodes.mode[slot] as number) ? (tree.inodes.body[slot] as Directory) : undefined
