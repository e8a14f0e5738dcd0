/**
 * The synchronous part of a mount: a replica of the tree that answers what it knows on the thread that asks the
 * kernel.
 */

import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { extentsOf, linkTarget, lookup, readPlan } from "../../actors/workspace/tree/read.ts"
import { lockKey, type Tree } from "../../actors/workspace/tree/tree.ts"
import { bytesOfName } from "../../messages/names.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Answers, Entry, Errno, Later, Operation, Request, Stat, SyncFiles, SyncHost } from "../ports/mount.ts"
import { Ghosts } from "./ghosts.ts"
import { list } from "./listing.ts"
import { Opens } from "./opens.ts"
import { Recent } from "./recent.ts"
import { blankStat, fillStat, spaceOf } from "./stat.ts"
import type { FromReplica, Known, Pending, ReplicaStart, ReplicaState, ToReplica } from "./telling.ts"
import { isVirtual, virtualIno, virtualStat } from "./virtual.ts"
import { watched } from "./watch.ts"

type Answered<Op extends Operation> = Answers[Op] | Errno | Later

const truncates = 0o1000

const accessMode = 3
const longestName = 255
/** What an entry takes of a reply at least, alone and with its attributes: no reply holds more than that makes. */
const direntBytesLeast = 32
const plusBytesLeast = 160

const later = (known: Known = {}): Later => ({ later: known })
const toBeAsked = later()
const stale = later({ stale: true })
const ofMount = later({ own: true })

export const prepare = (data: unknown): Tree => {
  const { bytes, workspace } = data as ReplicaState
  return load(bytes, workspace)
}

export const open = (data: unknown, host: SyncHost, prepared?: unknown): SyncFiles => {
  const { bytes, ...start } = data as ReplicaStart
  const tree = bytes === undefined ? (prepared as Tree) : load(bytes, start.workspace)
  return watched(new Replica(tree, start, host).files, host)
}

type Beginning = Omit<ReplicaStart, "bytes">

class Replica {
  private tree: Tree
  private readonly start: Beginning
  private readonly tell: (message: FromReplica) => void
  private readonly recent: Recent
  private isLive = true
  private isAlone = true
  private readonly pending = new Map<number, Pending>()
  private readonly opens: Opens
  private readonly ghosts = new Ghosts()
  private readonly depth: Int32Array
  private readonly stat = blankStat()
  private readonly entry: { stat: Stat | undefined; entryMs: number; attrMs: number }

  constructor(tree: Tree, start: Beginning, host: SyncHost) {
    this.start = start
    this.tell = (message) => host.tell(message)
    this.recent = new Recent(host.nowMs)
    this.tree = tree
    this.depth = new Int32Array(start.depth)
    this.opens = new Opens(1, start.resumed, start.signs)
    this.entry = { stat: this.stat, entryMs: start.entryMs, attrMs: start.attrMs }
    for (const message of start.told) this.hear(message)
    // What came before it served is news to no kernel, but to one that another process has answered before.
    if (!start.resumed) this.recent.forget()
  }

  private hear(message: ToReplica): void {
    switch (message.kind) {
      case "entries":
        for (const { at, events, isForeign } of message.entries)
          for (const event of events) {
            this.fold(event, at)
            if (isForeign === true) this.recent.changed(event)
          }
        break
      case "state":
        this.tree = load(message.bytes, this.start.workspace)
        break
      case "live":
        this.isLive = message.isLive
        break
      case "pending":
        this.pending.set(message.pending.ino, message.pending)
        break
      case "settled":
        this.pending.delete(message.ino)
        break
      case "opened":
        this.opens.open(message.ino)
        break
      case "company":
        this.isAlone = !message.areThere
        break
      case "held":
        if (!this.opens.isOpen(message.ino)) this.tell({ kind: "unheld", ino: message.ino })
        break
    }
  }

  private fold(event: WorkspaceEvent, at: number): void {
    this.ghosts.heed(this.tree, event)
    evolve(this.tree, event, at)
  }

  /** The record is filled again and again: it is encoded before anything else is asked. */
  private show(slot: number): typeof this.entry {
    const { entry, start } = this
    const pending = this.pending.size === 0 ? undefined : this.pending.get(this.tree.inodes.ino[slot] as number)
    fillStat(this.stat, this.tree, slot, pending)
    entry.stat = this.stat
    entry.entryMs = start.entryMs
    entry.attrMs = pending === undefined ? start.attrMs : 0
    return entry
  }

  private showVirtual(ino: number): Entry {
    const { entry } = this
    virtualStat(this.stat, ino)
    entry.stat = this.stat
    entry.entryMs = this.start.entryMs
    entry.attrMs = 0
    return entry
  }

  private readonly lookup = ({ node, name }: Request<"lookup">): Answered<"lookup"> => {
    const virtual = virtualIno(node, name)
    if (virtual > 0) return this.showVirtual(virtual)
    if (!this.isLive) return stale
    const { inodes } = this.tree
    const parent = inodes.find(node)
    if (parent < 0) return "ENOENT"
    const slot = lookup(this.tree, parent, name)
    if (slot >= 0) {
      const entry = this.show(slot)
      if (this.recent.has(inodes.ino[slot] as number)) entry.attrMs = 0
      return entry
    }
    if (tooLong(name)) return "ENAMETOOLONG"
    // That there is no such name may be kept too: it is pushed when that changes.
    const { entry } = this
    entry.stat = undefined
    entry.entryMs = this.start.entryMs
    return entry
  }

  private readonly getattr = ({ node }: Request<"getattr">): Answered<"getattr"> => {
    if (isVirtual(node)) return this.showVirtual(node) as Answers["getattr"]
    const ghost = this.ghosts.of(node)
    if (ghost !== undefined) return { stat: ghost, attrMs: 0 }
    if (!this.isLive) return stale
    const slot = this.tree.inodes.find(node)
    return slot < 0 ? "ENOENT" : (this.show(slot) as Answers["getattr"])
  }

  private readonly readlink = ({ node }: Request<"readlink">): Answered<"readlink"> => {
    const slot = this.tree.inodes.find(node)
    if (slot < 0) return "ENOENT"
    const target = linkTarget(this.tree, slot)
    return target === undefined ? "EINVAL" : { target }
  }

  private readonly opened = (request: Request<"open">): Answered<"open"> => {
    const { node, flags } = request
    if (isVirtual(node)) {
      if ((flags & accessMode) !== 0) return "EROFS"
      return { handle: this.opens.open(node), directIo: true, noFlush: true }
    }
    const slot = this.tree.inodes.find(node)
    if (slot < 0) return this.isLive ? "ENOENT" : stale
    if ((flags & truncates) !== 0) {
      this.opens.wrote(node)
      return toBeAsked
    }
    // Without a name it lives by being held, and the actor has to know of everyone who holds it.
    if (this.tree.orphans.has(node) && !this.opens.has(node)) return toBeAsked
    return { handle: this.opens.open(node), keepCache: true }
  }

  private readonly opendir = ({ node }: Request<"opendir">): Answered<"opendir"> => {
    const slot = this.tree.inodes.find(node)
    if (slot < 0) return "ENOENT"
    return { handle: this.opens.open(node), cacheDir: this.isLive, keepCache: this.isLive }
  }

  private readonly readdir = ({ node, offset, size, plus }: Request<"readdir">): Answered<"readdir"> => {
    const slot = this.tree.inodes.find(node)
    if (slot < 0) return "ENOENT"
    const { start, pending, recent } = this
    const { entryMs, attrMs } = this.isLive ? start : { entryMs: 0, attrMs: 0 }
    const takenMax = Math.ceil(size / (plus ? plusBytesLeast : direntBytesLeast))
    return list(this.tree, slot, offset, { entryMs, attrMs, pending, recent, stat: this.stat, takenMax })
  }

  private readonly flush = ({ node, owner }: Request<"flush">): Answered<"flush"> => {
    if (this.opens.toFlush(node)) return toBeAsked
    return this.holds("posix", node, owner) ? toBeAsked : undefined
  }

  private readonly fsync = ({ node }: Request<"fsync">): Answered<"fsync"> =>
    // Where close waits for nothing, what became of the bytes is known to the other thread alone.
    this.opens.toFlush(node) || this.pending.has(node) || this.start.storesLate ? toBeAsked : this.told()

  /** What was made ahead of the workspace, and what other hosts show of it, is known to the other thread alone. */
  private told(): Later | undefined {
    return !this.isAlone || Atomics.load(this.depth, 0) > 0 ? toBeAsked : undefined
  }

  /** Closing asks nothing of anybody, but for what was written since, a lock, and what lived by being open. */
  private readonly release = (request: Request<"release">): Answered<"release"> => {
    const { node, handle, owner, flock } = request
    if (this.opens.wasRead(handle)) this.tell({ kind: "closed", handle })
    const left = this.opens.close(node)
    if (isVirtual(node)) return ofMount
    const known = { open: left > 0 }
    if (flock && this.holds("flock", node, owner)) return later(known)
    if (left <= 0 && this.tree.orphans.has(node)) return later(known)
    return undefined
  }

  private readonly releasedir = ({ node }: Request<"releasedir">): Answered<"releasedir"> => {
    const left = this.opens.close(node)
    return left <= 0 && this.tree.orphans.has(node) ? later({ open: false }) : undefined
  }

  private holds(family: "flock" | "posix", ino: number, owner: string): boolean {
    const locks = this.tree.locks.get(lockKey(family, ino))
    if (locks === undefined) return false
    const isOwn = (lock: { session: string; owner: string }) =>
      lock.session === this.start.session && lock.owner === owner
    return locks.held.some(isOwn) || locks.queue.some(isOwn)
  }

  private readonly unlink = ({ node, name }: Request<"unlink" | "rmdir">): Later | Errno => {
    if (virtualIno(node, name) > 0) return "EPERM"
    return this.losing(node, name)
  }

  /** Tells whether what has the name is open here: then it outlives it. */
  private losing(node: number, name: string): Later {
    const { inodes } = this.tree
    const parent = inodes.find(node)
    const slot = parent < 0 ? -1 : lookup(this.tree, parent, name)
    return slot >= 0 && this.opens.has(inodes.ino[slot] as number) ? later({ open: true }) : toBeAsked
  }

  private readonly rename = ({ node, name, toNode, toName }: Request<"rename">): Later | Errno => {
    if (virtualIno(node, name) > 0 || virtualIno(toNode, toName) > 0) return "EPERM"
    return this.losing(toNode, toName)
  }

  private readonly read = (request: Request<"read">): Answered<"read"> => {
    const { node, handle, offset } = request
    if (isVirtual(node)) return ofMount
    const slot = this.tree.inodes.find(node)
    if (slot >= 0 && !this.pending.has(node) && offset >= (this.tree.inodes.size[slot] as number)) return 0
    this.opens.read(handle)
    return toBeAsked
  }

  private readonly write = ({ node }: Request<"write">): Later | Errno => {
    if (isVirtual(node)) return "EPERM"
    this.opens.wrote(node)
    return toBeAsked
  }

  private readonly statfs = (): Answered<"statfs"> => {
    const { bytes, bytesMax, entriesMax, inodes } = this.tree
    return spaceOf({ bytes, bytesMax, entries: inodes.live - 1, entriesMax })
  }

  private readonly getxattr = ({ node, name }: Request<"getxattr">): Answered<"getxattr"> => {
    const value = this.tree.xattrs.get(node)?.get(name)
    if (value !== undefined) return Buffer.from(value, "base64")
    // Lists of access rights are not kept: programs are told so, and go by the mode.
    return name.startsWith("system.posix_acl_") ? "EOPNOTSUPP" : "ENODATA"
  }

  private readonly setxattr = ({ node, name }: Request<"setxattr">): Later | Errno => {
    if (isVirtual(node)) return "EPERM"
    return name.startsWith("system.") ? "EOPNOTSUPP" : toBeAsked
  }

  private readonly listxattr = ({ node }: Request<"listxattr">): Answered<"listxattr"> => [
    ...(this.tree.xattrs.get(node)?.keys() ?? [])
  ]

  private readonly lseek = ({ node, offset, whence }: Request<"lseek">): Answered<"lseek"> => {
    if (this.pending.has(node)) return toBeAsked
    const slot = this.tree.inodes.find(node)
    if (slot < 0) return "ENOENT"
    return seek(this.tree, slot, offset, whence)
  }

  private readonly setlk = ({ node }: Request<"setlk" | "getlk">): Later | Errno =>
    isVirtual(node) ? "ENOLCK" : toBeAsked

  /** Changes are not decided here, but what is a matter of the mount alone is. */
  private changing<Op extends Operation>(handler: (request: Request<Op>, out: Uint8Array) => Answered<Op>) {
    const { readOnly } = this.start
    return (request: Request<Op>, out: Uint8Array): Answered<Op> => (readOnly ? "EROFS" : handler(request, out))
  }

  private readonly making = ({ node, name }: { readonly node: number; readonly name: string }): Later | Errno => {
    if (virtualIno(node, name) > 0) return "EEXIST"
    return tooLong(name) ? "ENAMETOOLONG" : toBeAsked
  }

  get files(): SyncFiles {
    return {
      heard: (message) => this.hear(message as ToReplica),
      forget: ({ node }) => this.ghosts.forget(node),
      lookup: this.lookup,
      getattr: this.getattr,
      readlink: this.readlink,
      open: this.opened,
      opendir: this.opendir,
      readdir: this.readdir,
      releasedir: this.releasedir,
      release: this.release,
      flush: this.flush,
      fsync: this.fsync,
      fsyncdir: () => this.told(),
      statfs: this.statfs,
      read: this.read,
      write: this.changing<"write">(this.write),
      getxattr: this.getxattr,
      listxattr: this.listxattr,
      setxattr: this.changing<"setxattr">(this.setxattr),
      removexattr: this.changing<"removexattr">(() => toBeAsked),
      setattr: this.changing<"setattr">(({ node }) => (isVirtual(node) ? "EPERM" : toBeAsked)),
      create: this.changing<"create">(this.making),
      mkdir: this.changing<"mkdir">(this.making),
      mknod: this.changing<"mknod">(this.making),
      symlink: this.changing<"symlink">(this.making),
      link: this.changing<"link">(this.making),
      tmpfile: this.changing<"tmpfile">(() => toBeAsked),
      unlink: this.changing<"unlink">(this.unlink),
      rmdir: this.changing<"rmdir">(this.unlink),
      rename: this.changing<"rename">(this.rename),
      fallocate: this.changing<"fallocate">(() => toBeAsked),
      copy: this.changing<"copy">(() => toBeAsked),
      lseek: this.lseek,
      getlk: this.setlk,
      setlk: this.setlk,
      syncfs: () => toBeAsked
    }
  }
}

export const tooLong = (name: string): boolean => name.length > longestName / 4 && bytesOfName(name) > longestName

/** The next byte that is stored, or the next that is not; behind the end there is nothing of either. */
export const seek = (tree: Tree, slot: number, offset: number, whence: "data" | "hole"): number | Errno => {
  const size = tree.inodes.size[slot] as number
  if (offset >= size || offset < 0) return "ENXIO"
  if (extentsOf(tree, slot).length === 0) return whence === "hole" ? offset : "ENXIO"
  for (const { at, id, len } of readPlan(tree, slot, { offset, length: size - offset })) {
    if (at + len <= offset) continue
    if ((id !== 0) === (whence === "data")) return Math.max(at, offset)
  }
  return whence === "hole" ? size : "ENXIO"
}
