/**
 * What the main thread knows of a workspace whose tree is too large to hold: locks, what is open here, and some names
 * and attributes, which are forgotten as soon as somebody changes them.
 */

import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { bare } from "../../actors/workspace/tree/tree.ts"
import type { Attributes } from "../../messages/inode.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Invalidation } from "../ports/mount.ts"
import { Ghosts } from "./ghosts.ts"
import { foreign, own } from "./invalidate.ts"
import { Opens } from "./opens.ts"
import { Recent } from "./recent.ts"
import type { ToReplica } from "./telling.ts"
import { View, type Waiting } from "./view.ts"

/** What the tree without a file is kept by: all else in it would only grow. */
const kept = new Set([
  "Configured",
  "SessionBegan",
  "SessionEnded",
  "Locked",
  "LockQueued",
  "Unlocked",
  "LockCancelled"
])

const keyOf = (parent: number, name: string): string => `${parent}/${name}`

const entryOf = (key: string): Invalidation => {
  const slash = key.indexOf("/")
  return { kind: "entry", parent: Number(key.slice(0, slash)), name: key.slice(slash + 1) }
}

const attributesOf = (ino: number): Invalidation => ({ kind: "inode", ino, offset: -1, length: 0 })
const everythingOf = (ino: number): Invalidation => ({ kind: "inode", ino, offset: 0, length: 0 })

interface OutlineOptions {
  readonly limit: number
  readonly resumed: boolean
  readonly now: () => number
}

export class Outline extends View {
  readonly opens: Opens
  /** Locks of this mount are held that are not known here: a process before this one took them, or nobody heard. */
  locksUnknown: boolean
  private readonly limit: number
  /** Names that the kernel may know, and where they lead: what is forgotten here is to be forgotten there. */
  private readonly names = new Map<string, number>()
  private readonly attributes = new Map<number, Attributes>()
  /** Of what is open here: the size that was committed last. */
  private readonly sizes = new Map<number, number>()
  /** Reaped just now: what is pending of them is not wanted. */
  private readonly gone = new Set<number>()
  /** Tickets of this mount whose locks were granted: what was queued before it began is in no queue here. */
  private readonly granted = new Set<number>()
  /** Files of which the kernel's pages are good: what changed since was told to it. */
  private readonly clean = new Set<number>()
  /** Directories whose listing the kernel may have. */
  private readonly listed = new Set<number>()
  readonly ghosts = new Ghosts()
  readonly recent: Recent

  constructor(workspace: string, session: string, options: OutlineOptions) {
    super(workspace, session)
    this.tree = bare(workspace)
    this.limit = options.limit
    this.recent = new Recent(options.now)
    this.locksUnknown = options.resumed
    this.opens = new Opens(1, options.resumed)
  }

  /** Of the messages to the other thread it is told of listeners alone; files that were made open are counted here. */
  override tell(message: ToReplica): void {
    if (message.kind === "opened") this.opens.open(message.ino)
    else if (message.kind === "listening") super.tell(message)
  }

  /** Follows from here on; what came before may have gone unheard. */
  readonly forget = (version: number): void => {
    const isFirst = this.version === 0
    const listed = [...this.listed]
    this.listed.clear()
    this.version = version
    this.begunAt = version
    this.attributes.clear()
    this.clean.clear()
    if (isFirst) return
    this.locksUnknown = true
    const known = [...this.names]
    this.names.clear()
    this.invalidate(known.flatMap(([key, ino]) => [entryOf(key), everythingOf(ino)]))
    this.invalidate([...this.sizes.keys(), ...listed].map(everythingOf))
  }

  override recover(): void {
    // Files that a process before this one had written to show it when they are looked at.
  }

  protected override outdated(event: WorkspaceEvent, isOwn: boolean): ReadonlyArray<Invalidation> {
    if (!isOwn) this.recent.changed(event)
    const told = isOwn ? own(this.tree, event) : [...foreign(this.tree, event), ...this.replaced(event)]
    for (const one of told) if (one.kind === "inode" && one.offset >= 0 && one.length === 0) this.clean.delete(one.ino)
    return told
  }

  /** What had a name that leads elsewhere now may be there still, by another name or because it is open. */
  private replaced(event: WorkspaceEvent): ReadonlyArray<Invalidation> {
    if (event._tag !== "Renamed") return []
    const other = this.names.get(keyOf(event.toParent, event.toName))
    return other === undefined ? [] : [attributesOf(other)]
  }

  protected override isQueued({ ticket }: Waiting): boolean {
    return !this.granted.delete(ticket)
  }

  protected override mayBeOpen(ino: number): boolean {
    return this.opens.isOpen(ino)
  }

  override inoNamed(parent: number, name: string): number {
    return this.names.get(keyOf(parent, name)) ?? 0
  }

  /** Who waits for a lock that may have been granted unheard. */
  get doubtful(): ReadonlyArray<Waiting> {
    return [...this.waiting].filter(({ version }) => version <= this.begunAt)
  }

  holds({ ticket }: Waiting): void {
    this.granted.add(ticket)
    this.grant()
  }

  protected override fold(event: WorkspaceEvent, at: number): void {
    if (event._tag === "Locked" && event.ticket !== undefined && event.session === this.session)
      this.granted.add(event.ticket)
    if (kept.has(event._tag)) {
      evolve(this.tree, event, at)
      return
    }
    this.forgetNames(event)
    if ("ino" in event) this.attributes.delete(event.ino)
    if ("parent" in event) this.attributes.delete(event.parent)
    if ("toParent" in event) this.attributes.delete(event.toParent)
    this.resize(event)
    this.orphan(event)
  }

  private forgetNames(event: WorkspaceEvent): void {
    if (event._tag === "Unlinked") this.names.delete(keyOf(event.parent, event.name))
    if (event._tag !== "Renamed") return
    const { ino, parent, name, toParent, toName, exchange } = event
    const other = this.names.get(keyOf(toParent, toName))
    if (other !== undefined) {
      this.attributes.delete(other)
      if (event.orphan !== undefined && this.opens.has(other)) this.lost(other)
    }
    this.names.delete(keyOf(parent, name))
    if (exchange === true && other !== undefined) this.names.set(keyOf(parent, name), other)
    this.names.set(keyOf(toParent, toName), ino)
  }

  private resize(event: WorkspaceEvent): void {
    if ("size" in event && "ino" in event && this.sizes.has(event.ino)) this.sizes.set(event.ino, event.size)
    if (event._tag === "Copied" && this.sizes.has(event.ino))
      this.sizes.set(event.ino, Math.max(this.sizes.get(event.ino) ?? 0, event.to + event.length))
  }

  private orphan(event: WorkspaceEvent): void {
    switch (event._tag) {
      case "Unlinked":
        if (event.orphan !== undefined && this.opens.has(event.ino)) this.lost(event.ino)
        break
      case "Created":
        if (event.name === undefined && event.orphan?.holder === this.session) this.lost(event.ino)
        break
      case "Linked":
        this.tree.orphans.delete(event.ino)
        break
      case "Reaped":
        for (const ino of event.inos) {
          this.tree.orphans.delete(ino)
          this.sizes.delete(ino)
          this.gone.add(ino)
        }
        break
    }
  }

  /** It has no name any more, or none yet, and lives by being open. */
  lost(ino: number): void {
    this.tree.orphans.set(ino, { until: 0, holders: new Set(), nameless: false })
  }

  override committedSize(ino: number): number | undefined {
    if (this.gone.has(ino)) return undefined
    return this.sizes.get(ino) ?? this.pending.get(ino)?.size ?? 0
  }

  override sweep(): void {
    super.sweep()
    this.gone.clear()
    for (const ino of this.sizes.keys()) if (!this.opens.has(ino) && !this.pending.has(ino)) this.sizes.delete(ino)
  }

  isSized(ino: number): boolean {
    return this.sizes.has(ino)
  }

  /** `version` is the one that said so: what was heard since knows better. */
  opened(ino: number, size: number, version: number): void {
    if (version >= this.version || !this.sizes.has(ino)) this.sizes.set(ino, size)
  }

  /** Whether the kernel may keep the pages of an earlier open; from now on it may. */
  keepsPages(ino: number): boolean {
    if (this.clean.has(ino)) return true
    if (this.clean.size >= this.limit) this.clean.clear()
    this.clean.add(ino)
    return false
  }

  attributesOf(ino: number): Attributes | undefined {
    return this.isLive ? this.attributes.get(ino) : undefined
  }

  /** What the workspace said at a version; of no use when something was heard since. */
  learn(attributes: Attributes, version: number): void {
    if (version < this.version || !this.isLive) return
    if (this.attributes.size >= this.limit) this.attributes.delete(this.attributes.keys().next().value as number)
    this.attributes.delete(attributes.ino)
    this.attributes.set(attributes.ino, attributes)
  }

  nameOf(parent: number, name: string): number | undefined {
    return this.isLive ? this.names.get(keyOf(parent, name)) : undefined
  }

  /** The kernel is told of the names of a directory, in their order. */
  list(ino: number): void {
    this.listed.add(ino)
    if (this.listed.size <= this.limit) return
    const [oldest = ino] = this.listed
    this.listed.delete(oldest)
    this.invalidate([everythingOf(oldest)])
  }

  /** The kernel is told of a name. */
  name(parent: number, name: string, ino: number): void {
    const key = keyOf(parent, name)
    this.names.delete(key)
    this.names.set(key, ino)
    if (this.names.size <= this.limit) return
    const oldest = this.names.keys().next().value as string
    this.names.delete(oldest)
    this.invalidate([entryOf(oldest)])
  }
}
