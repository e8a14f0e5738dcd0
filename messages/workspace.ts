/** What a workspace says and hears: its tree, the slices of its files, locks, and who has it mounted. */
import { Schema } from "effect"
import { Layout } from "./account.ts"
import { ActorId } from "./ids.ts"
import { Attributes, Errno, Id, Ino, InodeType, Mode, Name, Time, Who } from "./inode.ts"
import { Lock, LockPlace, LockType, Range } from "./lock.ts"
import { MountMode } from "./mount-session.ts"
import { protocol } from "./protocol.ts"
import { Appendage, Garbage, Part, Placement, reserveSlicesMax, writeSlicesMax } from "./slices.ts"
import { made, Traits, WorkspaceEvent } from "./workspace-events.ts"

/** Who changes something, and when by the clock of the host that serves it. */
const change = { who: Who, time: Time }
const place = { parent: Ino, name: Name }
const range = { offset: Schema.Natural, length: Schema.Natural }

/** The entry that made it so: a replica that has folded it shows the change. Where nothing changed, the newest one. */
const version = Schema.Natural
const Done = Schema.Struct({ version })
const Changed = Schema.Struct({ attributes: Attributes, version })

/** What lost a name, and how many it has left. */
const Removed = Schema.Struct({ ino: Ino, nlink: Schema.Natural, version })

const lend = Schema.optionalKey(Schema.Boolean)

/** As many entries a session may have made and not told of yet: what is lost with a host, and what quotas set aside. */
export const aheadMax = 1024

/** What was set of a file behind the bytes that are written: one entry has both. */
const set = Schema.optionalKey(Traits)

/** What the event says that it becomes. */
const Made = Schema.Struct({ ...made, name: Name })
export type Made = typeof Made.Type

/** What else a session does ahead has one of its numbers too, in the same order as what it makes. */
const SetAhead = Schema.Struct({ turn: Ino, set: Schema.Struct({ ino: Ino, ...Traits.fields }) })
const RemovedAhead = Schema.Struct({
  turn: Ino,
  removed: Schema.Struct({ ino: Ino, type: InodeType, ...place, time: Time })
})
/** A file, and the one that it replaces. */
const MovedAhead = Schema.Struct({
  turn: Ino,
  moved: Schema.Struct({
    ino: Ino,
    ...place,
    toParent: Ino,
    toName: Name,
    replaced: Schema.optionalKey(Schema.Struct({ ino: Ino, type: InodeType })),
    time: Time
  })
})
export type SetAhead = typeof SetAhead.Type
export type RemovedAhead = typeof RemovedAhead.Type
export type MovedAhead = typeof MovedAhead.Type
const Step = Schema.Union([Made, SetAhead, RemovedAhead, MovedAhead])
export type Step = typeof Step.Type

/** Its place among all steps of its session. */
export const numberOf = (step: Step): number => ("turn" in step ? step.turn : step.ino)

const page = { limit: Schema.optionalKey(Schema.Natural) }

export const workspace = protocol({
  kind: "workspace",
  commands: {
    /** By administrators, keys and nodes. The layout is fixed once slice ids are given out. 0 lifts a limit. */
    Configure: {
      input: Schema.Struct({
        layout: Schema.optionalKey(Layout),
        bytesMax: Schema.optionalKey(Schema.Natural),
        entriesMax: Schema.optionalKey(Schema.Natural)
      }),
      reply: Done
    },
    BeginSession: {
      input: Schema.Struct({ session: ActorId, mode: MountMode, host: Schema.optionalKey(Schema.String) }),
      reply: Done
    },
    EndSession: { input: Schema.Struct({ session: ActorId }), reply: Done },
    /**
     * A file that is there already is answered as it is, unless `exclusive`. `lend`: a session would like to have the
     * directory to itself for a while.
     */
    Create: {
      input: Schema.Struct({ ...place, mode: Mode, exclusive: Schema.optionalKey(Schema.Boolean), lend, ...change }),
      reply: Schema.Struct({ attributes: Attributes, created: Schema.Boolean, version })
    },
    /** O_TMPFILE: open, and without a name until it is linked. `parent` gives it its group. */
    CreateNameless: { input: Schema.Struct({ parent: Ino, mode: Mode, ...change }), reply: Changed },
    /** `lend`: the new directory. */
    Mkdir: { input: Schema.Struct({ ...place, mode: Mode, lend, ...change }), reply: Changed },
    Mknod: {
      input: Schema.Struct({
        ...place,
        type: InodeType,
        mode: Mode,
        rdev: Schema.optionalKey(Schema.Natural),
        ...change
      }),
      reply: Changed
    },
    Symlink: { input: Schema.Struct({ ...place, target: Name, ...change }), reply: Changed },
    Link: { input: Schema.Struct({ ino: Ino, ...place, ...change }), reply: Changed },
    /** `open` when the session still has the file open. `lend` as with Create. */
    Unlink: {
      input: Schema.Struct({ ...place, open: Schema.optionalKey(Schema.Boolean), lend, ...change }),
      reply: Removed
    },
    /** `open` as with Unlink: the directory is empty, but a process may stand in it. */
    Rmdir: {
      input: Schema.Struct({ ...place, open: Schema.optionalKey(Schema.Boolean), lend, ...change }),
      reply: Removed
    },
    /** `open` when the session still has what is replaced open. */
    Rename: {
      input: Schema.Struct({
        ...place,
        toParent: Ino,
        toName: Name,
        flag: Schema.optionalKey(Schema.Literals(["noreplace", "exchange"])),
        open: Schema.optionalKey(Schema.Boolean),
        ...change
      }),
      reply: Schema.Struct({ attributes: Attributes, replaced: Schema.optionalKey(Ino), version })
    },
    SetAttr: {
      input: Schema.Struct({
        ino: Ino,
        mode: Schema.optionalKey(Mode),
        uid: Schema.optionalKey(Id),
        gid: Schema.optionalKey(Id),
        size: Schema.optionalKey(Schema.Natural),
        atime: Schema.optionalKey(Time),
        mtime: Schema.optionalKey(Time),
        ...change
      }),
      reply: Changed
    },
    Truncate: { input: Schema.Struct({ ino: Ino, size: Schema.Natural, ...change }), reply: Changed },
    Fallocate: {
      input: Schema.Struct({
        ino: Ino,
        ...range,
        /** `keep` and the ones after it leave the size as it is, but for `zero`, which may extend it. */
        how: Schema.Literals(["extend", "keep", "punch", "zero", "zero-keep"]),
        ...change
      }),
      reply: Changed
    },
    /** The objects of the slices are stored before this is sent. All slices become readable at once. */
    Write: {
      input: Schema.Struct({
        ino: Ino,
        slices: Schema.Array(Placement).check(Schema.isMaxLength(writeSlicesMax)),
        set,
        ...change
      }),
      reply: Changed
    },
    /** The slices go behind one another to the end of the file, wherever others have brought it: `offset` is where. */
    Append: {
      input: Schema.Struct({
        ino: Ino,
        slices: Schema.Array(Appendage).check(Schema.isMaxLength(writeSlicesMax)),
        set,
        ...change
      }),
      reply: Schema.Struct({ offset: Schema.Natural, attributes: Attributes, version })
    },
    CopyRange: {
      input: Schema.Struct({ from: Ino, ...range, ino: Ino, to: Schema.Natural, ...change }),
      reply: Schema.Struct({ copied: Schema.Natural, attributes: Attributes, version })
    },
    SetXattr: {
      input: Schema.Struct({
        ino: Ino,
        name: Name,
        value: Schema.String,
        flag: Schema.optionalKey(Schema.Literals(["create", "replace"])),
        ...change
      }),
      reply: Changed
    },
    RemoveXattr: { input: Schema.Struct({ ino: Ino, name: Name, ...change }), reply: Changed },
    /** For a file that lost its last name: a session that has it open says so, and it stays until `Release`. */
    Open: { input: Schema.Struct({ ino: Ino }), reply: Changed },
    Release: { input: Schema.Struct({ ino: Ino }), reply: Done },
    /** Not granted: without `wait` EAGAIN, else its ticket; the event `Locked` with that ticket says when it is. */
    Lock: {
      input: Schema.Struct({
        ...LockPlace,
        pid: Schema.Natural,
        type: LockType,
        ...Range,
        wait: Schema.optionalKey(Schema.Boolean)
      }),
      reply: Schema.Struct({
        granted: Schema.Boolean,
        token: Schema.optionalKey(Schema.Natural),
        ticket: Schema.optionalKey(Schema.Natural),
        version
      })
    },
    Unlock: { input: Schema.Struct({ ...LockPlace, ...Range }), reply: Done },
    /** Gives up waiting. `granted` when it was too late for that. */
    CancelLock: {
      input: Schema.Struct({ ...LockPlace, ticket: Schema.Natural }),
      reply: Schema.Struct({ granted: Schema.Boolean, version })
    },
    /** Ids that only grow, `first` to `first + count - 1`; each is for one slice and for the caller alone. */
    ReserveSlices: {
      input: Schema.Struct({
        count: Schema.Natural.check(Schema.isBetween({ minimum: 1, maximum: reserveSlicesMax }))
      }),
      reply: Schema.Struct({ first: Schema.Natural, count: Schema.Natural, version })
    },
    /**
     * What a session has made, set, removed and renamed in directories that are lent to it, in its order and with
     * numbers of its own. Directories that it made are lent to it as well. What was told before is passed over.
     */
    TellAhead: { input: Schema.Struct({ made: Schema.Array(Step).check(Schema.isMaxLength(aheadMax)) }), reply: Done },
    /** By a session that has told of all that it made there. */
    GiveBack: { input: Schema.Struct({ inos: Schema.Array(Ino).check(Schema.isMaxLength(4096)) }), reply: Done },
    /** By what sweeps: the objects of this garbage are gone. */
    Collect: {
      input: Schema.Struct({ sequences: Schema.Array(Schema.Natural).check(Schema.isMaxLength(10_000)) }),
      reply: Done
    }
  },
  queries: {
    Lookup: { input: Schema.Struct(place), reply: Schema.Struct({ attributes: Attributes, version }) },
    Attributes: { input: Schema.Struct({ ino: Ino }), reply: Changed },
    /** `.` and `..` are left to the mount. What is there from the first page to the last is in exactly one of them. */
    ReadDir: {
      input: Schema.Struct({ ino: Ino, after: Schema.optionalKey(Schema.Natural), ...page }),
      reply: Schema.Struct({
        parent: Ino,
        entries: Schema.Array(Schema.Struct({ name: Name, cursor: Schema.Natural, attributes: Attributes })),
        end: Schema.Boolean,
        version
      })
    },
    LinkTarget: { input: Schema.Struct({ ino: Ino }), reply: Schema.Struct({ target: Name }) },
    /** The value in base64. */
    Xattr: { input: Schema.Struct({ ino: Ino, name: Name }), reply: Schema.Struct({ value: Schema.String }) },
    ListXattr: { input: Schema.Struct({ ino: Ino }), reply: Schema.Struct({ names: Schema.Array(Name) }) },
    /** Parts in the file's order without gaps, to the end of the range or the file; `more` when they are too many. */
    ReadPlan: {
      input: Schema.Struct({ ino: Ino, ...range }),
      reply: Schema.Struct({ size: Schema.Natural, parts: Schema.Array(Part), more: Schema.Boolean, version })
    },
    /** Limits of 0 are none. */
    StatFs: {
      input: Schema.Struct({}),
      reply: Schema.Struct({
        layout: Layout,
        bytes: Schema.Natural,
        bytesMax: Schema.Natural,
        entries: Schema.Natural,
        entriesMax: Schema.Natural,
        version
      })
    },
    /**
     * The first lock that stands in the way of this one, as F_GETLK tells it. With a ticket, whether that still waits:
     * a caller whose ticket does not any more holds the lock.
     */
    Locks: {
      input: Schema.Struct({ ...LockPlace, type: LockType, ...Range, ticket: Schema.optionalKey(Schema.Natural) }),
      reply: Schema.Struct({ conflict: Schema.optionalKey(Lock), waits: Schema.optionalKey(Schema.Boolean) })
    },
    /** From the root, for services without a mount. The last link is followed when `follow` is set. */
    Resolve: {
      input: Schema.Struct({
        path: Schema.String.check(Schema.isMaxLength(16_384)),
        follow: Schema.optionalKey(Schema.Boolean)
      }),
      reply: Schema.Struct({ attributes: Attributes, parent: Ino, name: Name, version })
    },
    /** The queue in its order. `held` counts what it holds. */
    Garbage: {
      input: Schema.Struct({ after: Schema.optionalKey(Schema.Natural), ...page }),
      reply: Schema.Struct({ garbage: Schema.Array(Garbage), held: Schema.Natural, end: Schema.Boolean })
    },
    Sessions: {
      input: Schema.Struct({}),
      reply: Schema.Struct({
        sessions: Schema.Array(
          Schema.Struct({
            session: ActorId,
            mode: MountMode,
            host: Schema.optionalKey(Schema.String),
            began: Schema.Natural
          })
        )
      })
    }
  },
  refusal: Schema.TaggedUnion({
    Errno: { code: Errno, why: Schema.String },
    /** It has ended, or was never begun: nothing that it had buffered is committed any more. */
    SessionOver: { session: Schema.String, why: Schema.String },
    NotAllowed: { caller: Schema.String, why: Schema.String }
  }),
  event: WorkspaceEvent
})
export type Workspace = typeof workspace
