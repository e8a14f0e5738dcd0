/** What the two threads of a mount tell each other. */
import type { Traits, WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Invalidation } from "../ports/mount.ts"

/** An entry of the workspace, as far as a replica needs it. */
export interface Folded {
  readonly version: number
  readonly at: number
  readonly events: ReadonlyArray<WorkspaceEvent>
  /** Caused by another host. */
  readonly isForeign?: boolean
}

/** What of a file was written here and is not committed yet, so that it shows at once. */
export interface Pending {
  readonly ino: number
  readonly size: number
  readonly s: number
  readonly ns: number
  /** Set-user-id and set-group-id are gone with it. */
  readonly plain: boolean
  /** Set behind it, to be committed with it. */
  readonly set?: Traits | undefined
}

/** To the thread that answers the kernel at once. */
export type ToReplica =
  | { readonly kind: "state"; readonly bytes: Uint8Array; readonly version: number }
  | { readonly kind: "entries"; readonly entries: ReadonlyArray<Folded> }
  /** Whether the tail is known to be complete: else the kernel is to believe nothing for any time. */
  | { readonly kind: "live"; readonly isLive: boolean }
  | { readonly kind: "pending"; readonly pending: Pending }
  | { readonly kind: "settled"; readonly ino: number }
  /** Opened by the other thread. */
  | { readonly kind: "opened"; readonly ino: number }
  /** The workspace was told that this is open here, although it has no name. */
  | { readonly kind: "held"; readonly ino: number }
  /** Other hosts have it mounted: what is synchronized has to be seen there. */
  | { readonly kind: "company"; readonly areThere: boolean }
  /** Somebody reads `.accesslog`, or nobody does any more. */
  | { readonly kind: "listening"; readonly isOn: boolean }

/** From there. */
export type FromReplica =
  | { readonly kind: "invalidate"; readonly invalidations: ReadonlyArray<Invalidation> }
  /** It was not open after all. */
  | { readonly kind: "unheld"; readonly ino: number }
  /** An open file was closed, of which the other thread read. */
  | { readonly kind: "closed"; readonly handle: number }
  /** Requests that were answered at once, by kind, since it was last told. */
  | { readonly kind: "answered"; readonly counts: Readonly<Record<string, number>> }
  | { readonly kind: "line"; readonly line: string }

/** What the synchronous part is started with. */
export interface ReplicaStart {
  readonly workspace: string
  readonly session: string
  readonly readOnly: boolean
  /** Files are stored after they were closed. */
  readonly storesLate: boolean
  /** How long the kernel may keep what it is told, while the tail is complete. */
  readonly entryMs: number
  readonly attrMs: number
  /** The state; undefined where the thread has prepared it. */
  readonly bytes: Uint8Array | undefined
  /** Where it is counted what is open. */
  readonly signs: SharedArrayBuffer
  /** How much is made and not told to the workspace yet. */
  readonly depth: SharedArrayBuffer
  /** What has come behind this state already. */
  readonly told: ReadonlyArray<ToReplica>
  /** A process before this one served the same mount: what it knew of open files is not known. */
  readonly resumed: boolean
}

/** What it may prepare before it is started. */
export type ReplicaState = Pick<ReplicaStart, "workspace"> & { readonly bytes: Uint8Array }

/** The same where there is no replica. */
export type BoundedStart = Pick<ReplicaStart, "readOnly">

/** What was found out at once about a request that the other thread answers. */
export interface Known {
  /** Of what loses a name: a process here has it open. */
  readonly open?: boolean
  /** The other thread knows nothing newer than the replica: it has to ask the actor. */
  readonly stale?: boolean
  /** A file of the mount's own, like `.stats`. */
  readonly own?: boolean
}
