/** The small laws of a mount: what is listed, what is open, what the kernel is told, what shows before a commit. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { save } from "../../actors/workspace/snapshot/save.ts"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { readNamed } from "../../runtime/cli/file.ts"
import { bytesText, progress } from "../../runtime/cli/progress.ts"
import { type Data, newMeters } from "../../runtime/files/data.ts"
import { differences, foreign } from "../../runtime/mount/invalidate.ts"
import { list } from "../../runtime/mount/listing.ts"
import { Opens } from "../../runtime/mount/opens.ts"
import { seek } from "../../runtime/mount/replica.ts"
import { blankStat, fillStat } from "../../runtime/mount/stat.ts"
import type { ToReplica } from "../../runtime/mount/telling.ts"
import { View } from "../../runtime/mount/view.ts"
import { isVirtual, virtualIno, virtualName } from "../../runtime/mount/virtual.ts"
import type { Invalidation } from "../../runtime/ports/mount.ts"
import { splitPath } from "../../runtime/transfer/files.ts"

const time = [1, 2] as const
const created = (ino: number, name: string, parent = 1): WorkspaceEvent => ({
  ...{ _tag: "Created", ino, parent, name, type: "file", mode: 0o644, uid: 5, gid: 6, time }
})
const written = (ino: number, pos: number, len: number): WorkspaceEvent => ({
  _tag: "Written",
  ino,
  slices: [{ chunk: 0, pos, id: ino * 100 + pos, size: len, off: 0, len, digests: "0".repeat(16) }],
  size: pos + len,
  time,
  version: 1
})

const treeOf = (...events: ReadonlyArray<WorkspaceEvent>): Tree =>
  events.reduce((tree, event) => evolve(tree, event, 0), initial("w"))

/** Each is read before the next one is taken: it is one record, filled again and again. */
const names = (tree: Tree, offset: number, takenMax = 100) =>
  Array.from(
    list(tree, tree.inodes.find(1), offset, {
      ...{ entryMs: 1, attrMs: 2, pending: new Map(), recent: new Set<number>() },
      ...{ stat: blankStat(), takenMax }
    }),
    ({ name, next, stat }) => [name, next, stat.ino] as const
  )

describe("a listing", () => {
  const tree = treeOf(created(2, "a"), created(3, "b"), created(4, "c"))

  it("begins with the dots, and goes on behind any entry", () => {
    const all = names(tree, 0)
    expect(all.map(([name]) => name)).toEqual([".", "..", "a", "b", "c"])
    for (const [at, [, next]] of all.entries()) expect(names(tree, next)).toEqual(all.slice(at + 1))
  })

  it("takes no more than a reply holds", () => {
    expect(names(tree, 0, 2).map(([name]) => name)).toEqual([".", "..", "a", "b"])
  })
})

describe("what is open", () => {
  it("is counted, and what was written is flushed once", () => {
    const opens = new Opens(1, false)
    expect(opens.has(2)).toBe(false)
    expect(opens.open(2)).not.toBe(opens.open(2))
    expect(opens.close(2)).toBe(1)
    expect(opens.has(2)).toBe(true)
    expect(opens.toFlush(2)).toBe(false)
    opens.wrote(2)
    expect([opens.toFlush(2), opens.toFlush(2)]).toEqual([true, false])
    expect(opens.close(2)).toBe(0)
    expect(opens.has(2)).toBe(false)
  })

  it("is not known after another process, so everything may be, and is flushed once", () => {
    const opens = new Opens(1, true)
    expect(opens.has(7)).toBe(true)
    expect([opens.toFlush(7), opens.toFlush(7)]).toEqual([true, false])
  })
})

describe("files of the mount itself", () => {
  it("are at the root, by name alone", () => {
    const ino = virtualIno(1, ".stats")
    expect(isVirtual(ino)).toBe(true)
    expect(virtualName(ino)).toBe(".stats")
    expect(virtualIno(2, ".stats")).toBe(-1)
    expect(virtualIno(1, "stats")).toBe(-1)
    expect(isVirtual(2 ** 40)).toBe(false)
  })
})

describe("what the kernel is told", () => {
  const tree = treeOf(created(2, "a"), created(3, "b"))

  it("names entries, attributes and pages that changed elsewhere", () => {
    expect(foreign(tree, created(4, "c"))).toContainEqual({ kind: "entry", parent: 1, name: "c" })
    expect(foreign(tree, written(2, 10, 5))).toEqual([{ kind: "inode", ino: 2, offset: 10, length: 5 }])
    const renamed: WorkspaceEvent = {
      ...{ _tag: "Renamed", ino: 2, parent: 1, name: "a", toParent: 1, toName: "b", time, version: 1 }
    }
    const told = foreign(tree, renamed)
    expect(told).toContainEqual({ kind: "entry", parent: 1, name: "a" })
    expect(told).toContainEqual({ kind: "entry", parent: 1, name: "b" })
    // What lost its name may have others.
    expect(told).toContainEqual({ kind: "inode", ino: 3, offset: -1, length: 0 })
  })

  it("after a gap is what differs", () => {
    const later = treeOf(created(2, "a"), created(3, "b"), written(3, 0, 4), created(4, "c"))
    const told = [...differences(tree, later)]
    expect(told).toContainEqual({ kind: "inode", ino: 3, offset: 0, length: 0 })
    expect(told).toContainEqual({ kind: "entry", parent: 1, name: "c" })
    expect(told).not.toContainEqual({ kind: "inode", ino: 2, offset: 0, length: 0 })
  })
})

describe("data and holes", () => {
  it("are found in a sparse file", () => {
    const tree = treeOf(created(2, "a"), written(2, 1000, 10))
    const at = (offset: number, whence: "data" | "hole") => seek(tree, tree.inodes.find(2), offset, whence)
    expect([at(0, "data"), at(0, "hole")]).toEqual([1000, 0])
    expect([at(1005, "data"), at(1005, "hole")]).toEqual([1005, 1010])
    expect([at(1010, "data"), at(2000, "hole")]).toEqual(["ENXIO", "ENXIO"])
  })
})

/** Told and invalidated in the order in which it came. */
const outlet = () => {
  const told: Array<ToReplica | Invalidation> = []
  return {
    told,
    tell: (message: unknown) => void told.push(message as ToReplica),
    invalidate: (all: ReadonlyArray<Invalidation>) => void told.push(...all),
    invalidated: Effect.void
  }
}

const dataWith = (dirty: Map<number, number>): Data =>
  ({
    isDirty: (ino: number) => dirty.has(ino),
    sizeOf: (ino: number, committed: number) => Math.max(committed, dirty.get(ino) ?? 0),
    discard: (ino: number) => void dirty.delete(ino),
    meters: newMeters()
  }) as unknown as Data

const entry = (version: number, caller: string, ...events: ReadonlyArray<WorkspaceEvent>) => ({
  ...{ version, position: version, at: 0, caller, cause: `c${version}`, events }
})

describe("a view", () => {
  it("tells the other thread before the kernel, and its own names not at all", () => {
    const view = new View("w", "me")
    const out = outlet()
    view.load(save(initial("w")), 0)
    view.connect(out)
    view.apply([entry(1, "me", created(2, "mine"))])
    expect(out.told.map(({ kind }) => kind)).toEqual(["entries"])
    view.apply([entry(2, "other", created(3, "theirs"))])
    expect(out.told.map(({ kind }) => kind)).toEqual(["entries", "entries", "entry", "inode"])
  })

  it("keeps what it is told before there is a mount, in its order", () => {
    const view = new View("w", "me")
    const out = outlet()
    view.load(save(initial("w")), 0)
    view.apply([entry(1, "other", created(3, "theirs"))])
    view.connect(out)
    expect(out.told.map(({ kind }) => kind)).toEqual(["entries", "entry", "inode"])
  })

  it("holds what loses its last name elsewhere and is open here, and nothing else", () => {
    const view = new View("w", "me")
    const held: Array<number> = []
    view.hold = (ino) => void held.push(ino)
    view.load(save(treeOf(created(2, "a"), created(3, "b"), created(4, "c"), created(5, "d"))), 1)
    view.connect(outlet())
    const opens = new Opens(1, false, view.signs)
    for (const ino of [2, 3, 5]) opens.open(ino)
    opens.close(5)
    const orphan = { until: 9 }
    const unlinked = (ino: number, name: string): WorkspaceEvent => ({
      ...{ _tag: "Unlinked", ino, parent: 1, name, time, orphan, version: 2 }
    })
    view.apply([entry(2, "other", unlinked(2, "a"), unlinked(5, "d"))])
    expect(held).toEqual([2])
    const over = { parent: 1, name: "c", toParent: 1, toName: "b" }
    view.apply([entry(3, "other", { _tag: "Renamed", ino: 4, ...over, time, orphan, version: 3 })])
    expect(held).toEqual([2, 3])
    opens.open(4)
    view.apply([entry(4, "me", unlinked(4, "b"))])
    expect(held).toEqual([2, 3])
  })

  it("shows what is written until it is committed and folded", () => {
    const view = new View("w", "me")
    const dirty = new Map([[2, 500]])
    view.load(save(treeOf(created(2, "a"))), 1)
    view.connect(outlet())
    view.attach(dataWith(dirty))
    view.pend({ ino: 2, size: 500, s: 9, ns: 8, plain: true })
    const stat = fillStat(blankStat(), view.tree, view.tree.inodes.find(2), view.pending.get(2))
    expect([stat.size, stat.mtimeS, stat.mtimeNs]).toEqual([500, 9, 8])
    dirty.delete(2)
    view.committed({ ino: 2, attributes: {} as never, version: 2 })
    expect(view.pending.has(2)).toBe(true)
    view.apply([entry(2, "me", written(2, 0, 500))])
    expect(view.pending.has(2)).toBe(false)
  })

  it("gives up what nobody can read any more", () => {
    const view = new View("w", "me")
    const dirty = new Map([[2, 500]])
    view.load(save(treeOf(created(2, "a"))), 1)
    view.connect(outlet())
    view.attach(dataWith(dirty))
    view.pend({ ino: 2, size: 500, s: 9, ns: 8, plain: false })
    view.apply([entry(2, "other", { _tag: "Unlinked", ino: 2, parent: 1, name: "a", time, version: 2 })])
    expect([dirty.size, view.pending.size]).toEqual([0, 0])
  })

  it("wakes who waits for a lock, whichever comes first", () => {
    const view = new View("w", "me")
    const begun: WorkspaceEvent = { _tag: "SessionBegan", session: "me" as never, mode: "rw" }
    view.load(save(treeOf(created(2, "a"), begun)), 1)
    view.begin()
    view.connect(outlet())
    const locked = (ticket: number): WorkspaceEvent => ({
      ...{ _tag: "Locked", ino: 2, family: "flock", owner: "o", session: "me", pid: 1, type: "write" },
      ...{ start: 0, end: 9, token: 1, ticket }
    })
    const queued = (ticket: number): WorkspaceEvent => ({
      ...{ _tag: "LockQueued", ino: 2, family: "flock", owner: "o", session: "me", pid: 1, type: "write" },
      ...{ start: 0, end: 9, ticket }
    })
    const woken: Array<number> = []
    const wait = (ticket: number, version: number) =>
      view.whenGranted({ family: "flock", ino: 2, ticket, version, wake: () => woken.push(ticket) })
    wait(1, 2)
    view.apply([entry(2, "me", queued(1))])
    expect(woken).toEqual([])
    view.apply([entry(3, "other", locked(1))])
    expect(woken).toEqual([1])
    view.apply([entry(4, "me", queued(2)), entry(5, "other", locked(2))])
    wait(2, 4)
    expect(woken).toEqual([1, 2])
    // What was granted while nothing was heard shows in the state that is loaded.
    view.apply([entry(6, "me", queued(3))])
    wait(3, 6)
    view.load(save(treeOf(created(2, "a"), begun, locked(3))), 7)
    expect(woken).toEqual([1, 2, 3])
    // A session that has ended was granted nothing.
    view.apply([entry(8, "me", queued(4))])
    wait(4, 8)
    view.apply([entry(9, "other", { _tag: "SessionEnded", session: "me" as never, version: 9 })])
    expect(woken).toEqual([1, 2, 3])
  })
})

describe("the command line of files", () => {
  it("reads what it is given", () => {
    expect(readNamed("demo:/a/b")).toEqual({ workspace: "demo", path: "/a/b" })
    expect(readNamed("demo:a:b")).toEqual({ workspace: "demo", path: "/a:b" })
    expect(readNamed("/etc/passwd")).toBeUndefined()
    expect(splitPath("/a/b/c/")).toEqual({ directory: "/a/b", name: "c" })
    expect(splitPath("/c")).toEqual({ directory: "/", name: "c" })
    expect([bytesText(5), bytesText(1536), bytesText(3 * 1024 ** 3)]).toEqual(["5 B", "1.5 KiB", "3.0 GiB"])
  })

  it("shows how far it has come on a terminal, and only when it takes long", () => {
    const lines: Array<string> = []
    let now = 0
    const bar = progress("file", 100, { isTTY: true, write: (text) => lines.push(text) }, () => now)
    bar.moved(10)
    now = 1000
    bar.moved(50)
    bar.end()
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain("50%")
  })
})
