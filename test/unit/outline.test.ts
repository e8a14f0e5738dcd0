/** What a mount knows that holds no replica: it forgets what somebody changed, and lets the kernel forget it too. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Attributes } from "../../messages/inode.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { Outline } from "../../runtime/mount/outline.ts"
import type { Invalidation } from "../../runtime/ports/mount.ts"

const time = [1, 2] as const

const attributes = (ino: number, size = 0): Attributes => ({
  ...{ ino, type: "file", mode: 0o644, nlink: 1, uid: 0, gid: 0, rdev: 0, size, used: size },
  ...{ atime: [0, 0], mtime: [0, 0], ctime: [0, 0] }
})

/** An outline that follows from version 10 on, and what the kernel is told. */
const followed = (limit = 100) => {
  const told: Array<Invalidation> = []
  const outline = new Outline("w", "me", { limit, resumed: false, now: () => 0 })
  outline.forget(10)
  outline.connect({
    tell: () => undefined,
    invalidate: (all) => void told.push(...all),
    invalidated: Effect.void
  })
  let version = 10
  const hear = (caller: string, ...events: ReadonlyArray<WorkspaceEvent>): void => {
    version += 1
    outline.apply([{ version, position: version, at: 0, caller, cause: "c", events }])
  }
  return { outline, told, hear }
}

const renamed = (name: string, toName: string, ino: number): WorkspaceEvent => ({
  ...{ _tag: "Renamed", ino, parent: 1, name, toParent: 1, toName, time, version: 11 }
})

describe("attributes", () => {
  it("are kept until somebody changes them, and not learned from before what was heard", () => {
    const { outline, hear } = followed()
    outline.learn(attributes(2), 10)
    expect(outline.attributesOf(2)?.ino).toBe(2)
    hear("other", { _tag: "AttributesSet", ino: 2, mode: 0o600, ctime: time })
    expect(outline.attributesOf(2)).toBeUndefined()
    outline.learn(attributes(2), 10)
    expect(outline.attributesOf(2)).toBeUndefined()
    outline.learn(attributes(2), 11)
    expect(outline.attributesOf(2)).toBeDefined()
  })

  it("are not more than so many, and none while the tail is lost", () => {
    const { outline } = followed(3)
    for (const ino of [2, 3, 4, 5]) outline.learn(attributes(ino), 10)
    expect([2, 3, 4, 5].map((ino) => outline.attributesOf(ino)?.ino)).toEqual([undefined, 3, 4, 5])
    outline.live(false)
    expect(outline.attributesOf(5)).toBeUndefined()
  })
})

describe("names", () => {
  it("lead elsewhere after a rename, and what was replaced is told to the kernel", () => {
    const { outline, told, hear } = followed()
    outline.name(1, "a", 2)
    outline.name(1, "b", 3)
    hear("other", renamed("a", "b", 2))
    expect([outline.nameOf(1, "a"), outline.nameOf(1, "b")]).toEqual([undefined, 2])
    expect(told).toContainEqual({ kind: "inode", ino: 3, offset: -1, length: 0 })
  })

  it("that there is no room for are forgotten by the kernel too", () => {
    const { outline, told } = followed(2)
    for (const [at, name] of ["a", "b", "c"].entries()) outline.name(7, name, 2 + at)
    expect(outline.nameOf(7, "a")).toBeUndefined()
    expect(told).toEqual([{ kind: "entry", parent: 7, name: "a" }])
  })

  it("and pages are all forgotten where something went unheard", () => {
    const { outline, told } = followed()
    outline.name(1, "a", 2)
    outline.opens.open(9)
    outline.opened(9, 5, 10)
    expect([outline.keepsPages(9), outline.keepsPages(9)]).toEqual([false, true])
    outline.forget(50)
    expect(outline.nameOf(1, "a")).toBeUndefined()
    expect(outline.keepsPages(9)).toBe(false)
    expect(told).toContainEqual({ kind: "entry", parent: 1, name: "a" })
    expect(told).toContainEqual({ kind: "inode", ino: 9, offset: 0, length: 0 })
    expect(outline.locksUnknown).toBe(true)
  })
})

describe("an open file", () => {
  it("has the size that was committed last, by whomever", () => {
    const { outline, hear } = followed()
    outline.opens.open(2)
    outline.opened(2, 5, 10)
    hear("other", { _tag: "Truncated", ino: 2, size: 77, time, version: 11 })
    expect(outline.committedSize(2)).toBe(77)
    // What was asked before that was heard knows less.
    outline.opened(2, 5, 10)
    expect(outline.committedSize(2)).toBe(77)
    outline.opens.close(2)
    outline.sweep()
    expect(outline.isSized(2)).toBe(false)
  })

  it("that loses its last name is an orphan, until it gets another one or is reaped", () => {
    const { outline, hear } = followed()
    outline.opens.open(2)
    const unlinked: WorkspaceEvent = {
      _tag: "Unlinked",
      ino: 2,
      parent: 1,
      name: "a",
      time,
      orphan: { until: 9 },
      version: 11
    }
    hear("other", unlinked)
    expect(outline.tree.orphans.has(2)).toBe(true)
    hear("other", { _tag: "Linked", ino: 2, parent: 1, name: "b", time })
    expect(outline.tree.orphans.has(2)).toBe(false)
    hear("other", unlinked)
    hear("other", { _tag: "Reaped", inos: [2], version: 14 })
    expect([outline.tree.orphans.has(2), outline.committedSize(2)]).toEqual([false, undefined])
  })

  it("with locks that were granted unheard has them once that is known", () => {
    const { outline } = followed()
    const woken: Array<string> = []
    const waiting = (ticket: number, version: number) => ({
      ...{ family: "posix" as const, ino: 2, ticket, version },
      wake: () => void woken.push(`${ticket}`)
    })
    outline.whenGranted(waiting(1, 12))
    outline.forget(30)
    outline.whenGranted(waiting(2, 31))
    expect(outline.doubtful.map(({ ticket }) => ticket)).toEqual([1])
    for (const one of outline.doubtful) outline.holds(one)
    expect(woken).toEqual(["1"])
  })
})
