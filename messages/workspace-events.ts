/** What can have happened in a workspace. Each event says what is so now, and holds for every replica that folds it. */
import { Schema } from "effect"
import { Layout } from "./account.ts"
import { ActorId } from "./ids.ts"
import { Id, Ino, InodeType, Mode, Name, Time } from "./inode.ts"
import { LockPlace, LockType, Range } from "./lock.ts"
import { MountMode } from "./mount-session.ts"
import { Placement, reserveSlicesMax } from "./slices.ts"

const Ticket = Schema.Natural

/** The entry that makes slices unreachable: garbage keeps it, so that a pin of an earlier one holds them. */
const version = Schema.Natural

/** A file without a name lives on while it is held open; others may still say so up to `until`, in milliseconds. */
const Orphan = Schema.Struct({ until: Schema.Natural, holder: Schema.optionalKey(ActorId) })

/** Set-uid and set-gid bits went with the change; absent where the mode stayed. */
const mode = Schema.optionalKey(Mode)

/** A number that its session had set aside: under it the session had done this before it told of it. */
const turn = Schema.optionalKey(Ino)

/** The name of an xattr, and of what is in `value` base64. */
const xattr = { ino: Ino, name: Name, time: Time }

/** What is set of an inode beside its bytes; what is absent stays as it is. */
const traits = {
  mode,
  uid: Schema.optionalKey(Id),
  gid: Schema.optionalKey(Id),
  atime: Schema.optionalKey(Time),
  mtime: Schema.optionalKey(Time),
  ctime: Time
}
export const Traits = Schema.Struct(traits)
export type Traits = typeof Traits.Type

/** What an entry begins with. */
export const made = {
  ino: Ino,
  parent: Ino,
  type: InodeType,
  mode: Mode,
  uid: Id,
  gid: Id,
  rdev: Schema.optionalKey(Schema.Natural),
  target: Schema.optionalKey(Name),
  time: Time
}

export const WorkspaceEvent = Schema.TaggedUnion({
  /** Numbers of 0 lift a limit. */
  Configured: {
    layout: Schema.optionalKey(Layout),
    bytesMax: Schema.optionalKey(Schema.Natural),
    entriesMax: Schema.optionalKey(Schema.Natural)
  },
  SessionBegan: { session: ActorId, mode: MountMode, host: Schema.optionalKey(Schema.String) },
  /** Its locks, its places in queues, its open files without a name and its unused slice ids went with it. */
  SessionEnded: { session: ActorId, version },
  /** Without a name it is held open by its session, and a link may still give it one. */
  Created: { ...made, name: Schema.optionalKey(Name), orphan: Schema.optionalKey(Orphan) },
  Linked: { ino: Ino, parent: Ino, name: Name, time: Time },
  /** Directories too. `orphan` when the last name went and the inode did not. */
  Unlinked: { ino: Ino, parent: Ino, name: Name, time: Time, orphan: Schema.optionalKey(Orphan), version, turn },
  /** What had the new name was replaced, or has the old one now. */
  Renamed: {
    ino: Ino,
    parent: Ino,
    name: Name,
    toParent: Ino,
    toName: Name,
    exchange: Schema.optionalKey(Schema.Literal(true)),
    time: Time,
    orphan: Schema.optionalKey(Orphan),
    version,
    turn
  },
  AttributesSet: { ino: Ino, ...traits, turn },
  Truncated: { ino: Ino, size: Schema.Natural, time: Time, mode, version },
  /** Later ones cover earlier ones. Each slice but the hole is of the caller's reservation and is used up by this. */
  Written: { ino: Ino, slices: Schema.Array(Placement), size: Schema.Natural, time: Time, mode, version },
  /** By reference: the bytes have one more place. */
  Copied: {
    from: Ino,
    offset: Schema.Natural,
    ino: Ino,
    to: Schema.Natural,
    length: Schema.Natural,
    time: Time,
    mode,
    version
  },
  /** `zeroed` when the range reads as zeros now. */
  Fallocated: {
    ino: Ino,
    offset: Schema.Natural,
    length: Schema.Natural,
    zeroed: Schema.Boolean,
    size: Schema.Natural,
    time: Time,
    mode,
    version
  },
  XattrSet: { ...xattr, value: Schema.String },
  XattrRemoved: xattr,
  /** A session has a file open that has no name. */
  Held: { ino: Ino, session: ActorId },
  Released: { ino: Ino, session: ActorId },
  /** Nameless and held by nobody: gone. */
  Reaped: { inos: Schema.Array(Ino), version },
  /** `ticket` when it had waited. A lock of the same owner in the range gives way to it. */
  Locked: {
    ...LockPlace,
    session: Schema.String,
    pid: Schema.Natural,
    type: LockType,
    ...Range,
    token: Schema.Natural,
    ticket: Schema.optionalKey(Ticket)
  },
  LockQueued: {
    ...LockPlace,
    session: Schema.String,
    pid: Schema.Natural,
    type: LockType,
    ...Range,
    ticket: Ticket
  },
  Unlocked: { ...LockPlace, session: Schema.String, ...Range },
  LockCancelled: { ...LockPlace, session: Schema.String, ticket: Ticket },
  SlicesReserved: {
    holder: Schema.String,
    first: Schema.Natural,
    count: Schema.Natural.check(Schema.isBetween({ minimum: 1, maximum: reserveSlicesMax }))
  },
  /** Reservations, by their first ids, that their holders did not use up in time. */
  SlicesAbandoned: { firsts: Schema.Array(Schema.Natural), version },
  /** The session alone makes entries in these directories, and tells of them afterwards. */
  Lent: { inos: Schema.Array(Ino), session: ActorId },
  /** Somebody else wants to change something there: the session tells what it has made, and gives them back. */
  Recalled: { inos: Schema.Array(Ino) },
  Returned: { inos: Schema.Array(Ino) },
  /** It was asked for directories and has not given them back: whether it still lives is asked of its own actor. */
  Doubted: { session: ActorId },
  /** For what the session makes in directories that are lent to it: `first` to `first + count - 1`, in that order. */
  InosReserved: { session: ActorId, first: Ino, count: Schema.Natural },
  /** The garbage with these sequences is out of the store and of the queue. */
  Collected: { sequences: Schema.Array(Schema.Natural) }
})
export type WorkspaceEvent = typeof WorkspaceEvent.Type
