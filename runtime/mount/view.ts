/** The replica on the main thread: it folds what the actor committed, tells the other thread, and then the kernel. */

import { Deferred, Effect } from "effect"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { inoNamed } from "../../actors/workspace/tree/read.ts"
import { initial, lockKey, type Tree } from "../../actors/workspace/tree/tree.ts"
import type { LockFamily } from "../../messages/lock.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Committed, Data } from "../files/data.ts"
import type { Fold, Published } from "../follow.ts"
import type { Invalidation, Mounted } from "../ports/mount.ts"
import { differences, foreign, own } from "./invalidate.ts"
import { mayBeOpen, newSigns } from "./opens.ts"
import type { Folded, Pending, ToReplica } from "./telling.ts"

/** What a mount does with what it is told; before it is there, this waits. */
type Outlet = Pick<Mounted, "tell" | "invalidate" | "invalidated">

/** What is made here before the workspace has heard of it. */
export interface Foreseen {
  readonly loans: number
  readonly depth: number
  readonly counts: Readonly<Record<string, number>>
  /** What of an own event the replica does not show yet. */
  readonly settle: (event: WorkspaceEvent) => ReadonlyArray<WorkspaceEvent>
  /** What shows over this event of somebody else, because the workspace hears of it later. */
  /** What others did, as it is folded here. */
  readonly beneath: (event: WorkspaceEvent) => WorkspaceEvent
  readonly again: (event: WorkspaceEvent) => ReadonlyArray<WorkspaceEvent>
  readonly folded: () => void
  readonly reloaded: () => void
  readonly lent: (inos: ReadonlyArray<number>) => void
  readonly recalled: (inos: ReadonlyArray<number>) => void
  /** Others changed something there. */
  readonly changed: (inos: ReadonlyArray<number>) => void
  readonly sweep: () => void
}

type Told = { readonly tell: ToReplica } | { readonly invalidate: ReadonlyArray<Invalidation> }

/** A place in the queue of a lock, since an entry. */
export interface Waiting {
  readonly family: LockFamily
  readonly ino: number
  readonly ticket: number
  readonly version: number
  readonly wake: () => void
}

/** What of a file is gone with these events for good. */
export const inosOf = (event: WorkspaceEvent): ReadonlyArray<number> => {
  if (event._tag === "Reaped") return event.inos
  return "ino" in event ? [event.ino] : []
}

/** The directories that an event is about. */
export const placesOf = (event: WorkspaceEvent): ReadonlyArray<number> => {
  if (!("parent" in event)) return []
  return "toParent" in event ? [event.parent, event.toParent] : [event.parent]
}

export class View implements Fold {
  readonly session: string
  readonly workspace: string
  tree: Tree
  version = 0
  /** The newest version that something was answered with: bytes are read from no older state. */
  answeredUpTo = 0
  /** The version of the state that all began with: what came before it was heard from nobody. */
  begunAt = 0
  isLive = true
  private bytes: Uint8Array | undefined
  private hasBegun = false
  private readonly connecting = Deferred.makeUnsafe<void>()
  readonly pending = new Map<number, Pending>()
  private readonly settling = new Map<number, number>()
  private data: Data | undefined
  private outlet: Outlet | undefined
  private early: Array<Told> = []
  protected readonly waiting = new Set<Waiting>()
  entries = 0
  invalidations = 0
  readonly signs = newSigns()
  private writesBack = false
  ahead: Foreseen | undefined
  /** Gives the other thread a state before it begins; false where it cannot be given any yet. */
  prepare: (bytes: Uint8Array) => boolean = () => false
  /** Called with what another host took the last name of while it may be open here. */
  hold: (ino: number) => void = () => undefined
  /** Called with what was folded, when the other thread and the kernel have been told of it. */
  heed: (entries: ReadonlyArray<Published>) => void = () => undefined

  constructor(workspace: string, session: string) {
    this.workspace = workspace
    this.session = session
    this.tree = initial(workspace)
  }

  /** What the other thread begins with: the state as it was loaded, and what was told since. */
  begin(): { readonly bytes: Uint8Array | undefined; readonly told: ReadonlyArray<ToReplica> } {
    const { bytes } = this
    this.bytes = undefined
    this.hasBegun = true
    const told = this.early.flatMap((each) => ("tell" in each ? [each.tell] : []))
    this.early = this.early.filter((each) => "invalidate" in each)
    return { bytes, told }
  }

  /** What came since it began follows, in its order. */
  connect(outlet: Outlet): void {
    this.outlet = outlet
    for (const told of this.early) {
      if ("tell" in told) outlet.tell(told.tell)
      else outlet.invalidate(told.invalidate)
    }
    this.early = []
    Deferred.doneUnsafe(this.connecting, Effect.void)
  }

  get isConnected(): boolean {
    return this.outlet !== undefined
  }

  /** Waits until the other thread can be told something. */
  get connected(): Effect.Effect<void> {
    return Deferred.await(this.connecting)
  }

  /** A kernel that writes back keeps what is written for a while, and believes its own times meanwhile. */
  attach(data: Data, writesBack = false): void {
    this.data = data
    this.writesBack = writesBack
  }

  tell(message: ToReplica): void {
    if (this.outlet === undefined) this.early.push({ tell: message })
    else this.outlet.tell(message)
  }

  invalidate(invalidations: ReadonlyArray<Invalidation>): void {
    if (invalidations.length === 0) return
    this.invalidations += invalidations.length
    if (this.outlet === undefined) this.early.push({ invalidate: invalidations })
    else this.outlet.invalidate(invalidations)
  }

  answered(version: number): void {
    this.answeredUpTo = Math.max(this.answeredUpTo, version)
  }

  /** Waits until the kernel knows all that it was told before. */
  get invalidated(): Effect.Effect<void> {
    return this.outlet?.invalidated ?? Effect.void
  }

  load(bytes: Uint8Array, version: number): void {
    const old = this.tree
    const isFirst = this.version === 0 && this.entries === 0
    // The other thread reads it at the same time, where it can.
    const isPrepared = !this.hasBegun && this.prepare(bytes)
    this.tree = load(bytes, this.workspace)
    this.version = version
    if (!this.hasBegun) {
      this.begunAt = version
      this.bytes = isPrepared ? undefined : bytes
      this.early = []
      return
    }
    this.tell({ kind: "state", bytes, version })
    this.ahead?.reloaded()
    if (!isFirst) this.invalidate([...differences(old, this.tree)])
    this.grant()
    this.heed([])
  }

  apply(entries: ReadonlyArray<Published>): void {
    const invalidations: Array<Invalidation> = []
    const touched: Array<number> = []
    const orphaned: Array<number> = []
    const folded: Array<Folded> = []
    for (const entry of entries) {
      const { caller, at } = entry
      const events = this.fresh(entry)
      const isForeign = caller !== this.session
      folded.push({ version: entry.version, at, events, ...(isForeign && { isForeign }) })
      for (const event of events) {
        const orphan = caller === this.session ? 0 : this.orphanOf(event)
        if (orphan > 0 && this.mayBeOpen(orphan)) orphaned.push(orphan)
        if (caller !== this.session || !this.isForgotten(event))
          invalidations.push(...this.outdated(event, caller === this.session))
        this.fold(event, at)
        touched.push(...inosOf(event))
      }
    }
    this.version = entries.at(-1)?.version ?? this.version
    this.entries += entries.length
    this.tell({ kind: "entries", entries: folded })
    this.ahead?.folded()
    for (const ino of touched) this.renew(ino)
    for (const [ino, version] of this.settling) if (version <= this.version) this.settle(ino)
    this.invalidate(invalidations)
    for (const ino of orphaned) this.hold(ino)
    this.heed(entries)
    // Who has waited for a lock goes on behind what its last holder did, on the other thread and in the kernel too.
    this.grant()
  }

  /** What of an entry is not shown yet; those that have to do with loans are told to whoever has to do with them. */
  private fresh({ caller, events: all }: Published): ReadonlyArray<WorkspaceEvent> {
    const events = all as ReadonlyArray<WorkspaceEvent>
    const { ahead } = this
    if (ahead === undefined) return events
    for (const event of events) {
      if (event._tag === "Recalled") ahead.recalled(event.inos)
      else if (event._tag === "Lent" && event.session === this.session) ahead.lent(event.inos)
      else if (caller !== this.session) ahead.changed(placesOf(event))
    }
    const fresh =
      caller === this.session
        ? events.flatMap((event) => ahead.settle(event))
        : events.map((event) => ahead.beneath(event))
    return fresh.flatMap((event) => [event, ...ahead.again(event)])
  }

  /** Shows what the workspace will say in its turn. */
  foresee(events: ReadonlyArray<WorkspaceEvent>): void {
    for (const event of events) this.fold(event, 0)
    this.tell({ kind: "entries", entries: [{ version: this.version, at: 0, events }] })
  }

  /** What lost its last name and is there still, for whoever has it open; asked before the event is folded. */
  private orphanOf(event: WorkspaceEvent): number {
    if ((event._tag !== "Unlinked" && event._tag !== "Renamed") || event.orphan === undefined) return 0
    return event._tag === "Unlinked" ? event.ino : this.inoNamed(event.toParent, event.toName)
  }

  protected mayBeOpen(ino: number): boolean {
    return mayBeOpen(this.signs, ino)
  }

  inoNamed(parent: number, name: string): number {
    return inoNamed(this.tree, parent, name)
  }

  /**
   * Whether the kernel does not believe it any more in any case: a write makes it forget times, size and space used,
   * and until that is committed it is told to keep nothing of them. Set-id bits it forgets only when it is told to.
   */
  private isForgotten(event: WorkspaceEvent): boolean {
    return event._tag === "Written" && !this.writesBack && this.pending.get(event.ino)?.plain === false
  }

  /** What the kernel should no longer believe; asked before the event is folded. */
  protected outdated(event: WorkspaceEvent, isOwn: boolean): ReadonlyArray<Invalidation> {
    return isOwn ? own(this.tree, event) : foreign(this.tree, event)
  }

  protected fold(event: WorkspaceEvent, at: number): void {
    evolve(this.tree, event, at)
  }

  /** The size of a file without what is pending; undefined when it is gone. */
  committedSize(ino: number): number | undefined {
    const slot = this.tree.inodes.find(ino)
    return slot < 0 ? undefined : this.tree.inodes.size[slot]
  }

  live(isLive: boolean): void {
    this.isLive = isLive
    this.tell({ kind: "live", isLive })
  }

  /** What is written here lies over what anybody commits; a file that is gone for good needs none of it. */
  private renew(ino: number): void {
    const { data } = this
    if (data === undefined || (!this.pending.has(ino) && !data.isDirty(ino))) return
    const committed = this.committedSize(ino)
    if (committed === undefined) {
      data.discard(ino)
      this.unpend(ino)
      return
    }
    const before = this.pending.get(ino)
    if (before === undefined) return
    this.pend({ ...before, size: data.sizeOf(ino, committed) })
  }

  /** What a process before this one had accepted, and not committed, shows again. */
  recover(): void {
    const { data, tree } = this
    if (data === undefined || data.meters.recoveredBytes === 0) return
    const { inodes } = tree
    for (let slot = 0; slot < inodes.top; slot++) {
      const ino = inodes.ino[slot] as number
      if (ino === 0 || !data.isDirty(ino)) continue
      const size = data.sizeOf(ino, inodes.size[slot] as number)
      const s = inodes.mtime[slot] as number
      this.pend({ ino, size, s, ns: inodes.mtimeNs[slot] as number, plain: false, set: data.traitsOf(ino) })
    }
  }

  pend(pending: Pending): void {
    this.pending.set(pending.ino, pending)
    this.tell({ kind: "pending", pending })
  }

  private unpend(ino: number): void {
    this.settling.delete(ino)
    if (this.pending.delete(ino)) this.tell({ kind: "settled", ino })
  }

  /** The entry that has what was committed of a file last. */
  settlesAt(ino: number): number {
    return this.settling.get(ino) ?? 0
  }

  /** Nothing is pending any more, once the replica shows what was committed. */
  settle(ino: number): void {
    if ((this.settling.get(ino) ?? 0) > this.version) return
    if (this.data?.isDirty(ino) === true) this.undress(ino, this.data)
    else this.unpend(ino)
  }

  /** What was set is committed, though more was written since: what others set shows again. */
  private undress(ino: number, data: Data): void {
    const pending = this.pending.get(ino)
    if (pending?.set !== undefined && !data.isSet(ino)) this.pend({ ...pending, set: undefined })
  }

  committed({ ino, version, moved }: Committed): void {
    this.settling.set(ino, version)
    // The kernel has these pages where it believed them to be.
    if (moved !== undefined && moved.offset !== moved.believed)
      this.invalidate([{ kind: "inode", ino, offset: 0, length: 0 }])
    this.settle(ino)
  }

  /** Looks again at what is said to be pending: between a commit and its being heard the order is free. */
  sweep(): void {
    for (const ino of this.pending.keys()) this.settle(ino)
    this.ahead?.sweep()
  }

  /**
   * Who has asked for a lock and is not in its queue any more has it, also where the event was not heard. A session
   * that is over has nothing: its successor asks anew.
   */
  protected isQueued({ family, ino, ticket }: Waiting): boolean {
    if (!this.tree.sessions.has(this.session)) return true
    return this.tree.locks.get(lockKey(family, ino))?.queue.some((lock) => lock.token === ticket) === true
  }

  protected grant(): void {
    for (const one of this.waiting) {
      if (this.version < one.version || this.isQueued(one)) continue
      this.waiting.delete(one)
      one.wake()
    }
  }

  /** Calls back when the lock is held that was queued; it may be already. Gives how to stop waiting. */
  whenGranted(waiting: Waiting): () => void {
    this.waiting.add(waiting)
    this.grant()
    return () => void this.waiting.delete(waiting)
  }
}
