/** Directories that are lent: what a session tells of them, how others get them back, and what quotas set aside. */
import { beforeEach, describe, expect, it } from "vitest"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { save } from "../../actors/workspace/snapshot/save.ts"
import { doubtMs } from "../../messages/limits.ts"
import { aheadMax, type Made, type Step } from "../../messages/workspace.ts"
import { dump } from "../property/workspace.dump.ts"
import { Desk, root } from "./workspace.ts"

const time = [1, 0] as const
const change = { who: root, time }
let desk: Desk
let folder: number

const begin = (session: string) =>
  desk.do({ _tag: "BeginSession", session: session as never, mode: "rw", host: "h1" }, "outbox")
const mkdir = (name: string, caller: string, lend = true): number =>
  desk.do({ _tag: "Mkdir", parent: 1, name, mode: 0o755, lend, ...change }, caller).attributes.ino
const create = (name: string, caller: string, parent = folder, lend = false) =>
  desk.fault({ _tag: "Create", parent, name, mode: 0o644, lend, ...change }, caller)
const made = (at: number, name: string, parent = folder, type: Made["type"] = "file"): Made => ({
  ...{ ino: desk.tree.loans.nextOf("s1") + at, parent, name, type, mode: 0o644, uid: 0, gid: 0, time }
})
const tell = (some: ReadonlyArray<Step>, caller = "s1") => desk.fault({ _tag: "TellAhead", made: some }, caller)
const giveBack = (...inos: ReadonlyArray<number>) => desk.do({ _tag: "GiveBack", inos }, "s1")
const isThere = (name: string, parent = folder) => !("refused" in desk.ask({ _tag: "Lookup", parent, name }))
const tags = () => desk.log.map(({ event }) => event._tag)

beforeEach(() => {
  desk = new Desk()
  begin("s1")
  begin("s2")
  folder = mkdir("d", "s1")
})

describe("a directory", () => {
  it("is lent to the session that makes it and asks for it, with numbers of its own", () => {
    expect(tags().slice(-3)).toEqual(["Created", "Lent", "InosReserved"])
    expect(desk.tree.loans.isLentTo(folder, "s1")).toBe(true)
    expect(desk.tree.loans.nextOf("s1")).toBe(folder + 1)
    expect(mkdir("e", "s2", false)).toBe(folder + 1 + 4 * aheadMax)
    expect(desk.tree.loans.all.size).toBe(1)
  })

  it("is lent to no key, and to nobody twice", () => {
    mkdir("k", "key-1")
    expect(create("a", "key-1", 1, true)).toBe(undefined)
    expect(create("b", "s1", 1, true)).toBe(undefined)
    expect(create("c", "s1", 1, true)).toBe(undefined)
    expect([...desk.tree.loans.all.keys()]).toEqual([folder, 1])
  })

  it("is lent to who removes something and asks for it", () => {
    for (const name of ["a", "b"]) create(name, "s1", 1)
    const remove = (name: string) => ({ _tag: "Unlink", parent: 1, name, lend: true, ...change }) as const
    expect([desk.fault(remove("a"), "s1"), desk.tree.loans.isLentTo(1, "s1")]).toEqual([undefined, true])
    expect([desk.fault(remove("b"), "s2"), tags().at(-1)]).toEqual(["Again", "Recalled"])
  })

  it("goes with its session, and with itself", () => {
    desk.do({ _tag: "Rmdir", parent: 1, name: "d", ...change }, "s1")
    expect(desk.tree.loans.all.size).toBe(0)
    mkdir("e", "s1")
    desk.do({ _tag: "EndSession", session: "s1" as never }, "outbox")
    expect([desk.tree.loans.all.size, desk.tree.loans.borrowers.size]).toEqual([0, 0])
  })

  it("is in a snapshot", () => {
    tell([made(0, "a")])
    create("x", "s2")
    expect(dump(load(save(desk.tree), "acme_1"))).toEqual(dump(desk.tree))
  })
})

describe("what a session has made", () => {
  it("is told in its order, with what is in new directories, and again without harm", () => {
    const list = made(1, "list", folder, "directory")
    const all = [made(0, "a"), list, made(2, "in", list.ino), made(3, "on", list.ino)]
    expect(tell(all)).toBe(undefined)
    expect([isThere("a"), isThere("in", list.ino), isThere("on", list.ino)]).toEqual([true, true, true])
    expect(desk.tree.loans.isLentTo(list.ino, "s1")).toBe(true)
    const { version } = desk
    expect(tell(all)).toBe(undefined)
    expect(desk.version).toBe(version)
    expect(tell([...all, made(0, "more")])).toBe(undefined)
    expect(isThere("more")).toBe(true)
  })

  it("is refused where it cannot be so", () => {
    expect(tell([made(0, "a"), made(1, "a")])).toBe("EEXIST")
    expect(tell([made(0, "a", 1)])).toBe("ESTALE")
    expect(tell([made(1, "b"), made(0, "a")])).toBe("ESTALE")
    expect(tell([made(0, "..")])).toBe("EINVAL")
    expect(tell([made(0, "l", folder, "symlink")])).toBe("EINVAL")
    expect(tell([made(0, "a", 9999)])).toBe("ENOENT")
    desk.do({ _tag: "EndSession", session: "s1" as never }, "outbox")
    expect(tell([{ ...made(0, "a"), ino: folder + 1 }])).toBe("SessionOver")
    expect(isThere("a")).toBe(false)
  })

  it("gets further numbers before those that it has are used", () => {
    for (let round = 0; round < 9; round++)
      expect(tell(Array.from({ length: aheadMax }, (_, at) => made(at, `${round}-${at}`)))).toBe(undefined)
    expect(desk.tree.loans.leftOf("s1")).toBeGreaterThanOrEqual(aheadMax)
    expect(tags().filter((tag) => tag === "InosReserved")).toHaveLength(3)
  })
})

describe("what a session has set, removed and renamed", () => {
  const number = (at: number) => desk.tree.loans.nextOf("s1") + at
  const removed = (at: number, ino: number, name: string, parent = folder, type: Made["type"] = "file"): Step => ({
    turn: number(at),
    removed: { ino, type, parent, name, time }
  })
  const set = (at: number, ino: number): Step => ({ turn: number(at), set: { ino, mode: 0o600, ctime: time } })
  const moved = (at: number, ino: number, name: string, toName: string, replaced?: number): Step => ({
    turn: number(at),
    moved: {
      ...{ ino, parent: folder, name, toParent: folder, toName, time },
      ...(replaced === undefined ? {} : { replaced: { ino: replaced, type: "file" } })
    }
  })
  const modeOf = (name: string) => desk.show({ _tag: "Lookup", parent: folder, name }).attributes.mode

  it("is told in its order with what it has made, and again without harm", () => {
    const [a, b] = [made(0, "a"), made(1, "b")]
    const list = made(5, "list", folder, "directory")
    const all = [a, b, set(2, a.ino), moved(3, a.ino, "a", "b", b.ino), made(4, "a"), list]
    const more = [...all, made(6, "in", list.ino), removed(7, number(6), "in", list.ino)]
    const steps = [...more, removed(8, list.ino, "list", folder, "directory")]
    expect(tell(steps)).toBe(undefined)
    expect([isThere("a"), modeOf("b"), isThere("list")]).toEqual([true, 0o600, false])
    const { version } = desk
    expect([tell(steps), desk.version]).toEqual([undefined, version])
    expect(desk.tree.loans.all.has(list.ino)).toBe(false)
  })

  it("leaves what other sessions may have open for a while", () => {
    const a = made(0, "a")
    tell([a])
    expect(tell([removed(0, a.ino, "a")])).toBe(undefined)
    expect(desk.tree.orphans.has(a.ino)).toBe(true)
    desk.do({ _tag: "EndSession", session: "s2" as never }, "outbox")
    const b = made(0, "b")
    tell([b])
    expect(tell([removed(0, b.ino, "b")])).toBe(undefined)
    expect([desk.tree.orphans.has(b.ino), desk.tree.inodes.find(b.ino)]).toEqual([false, -1])
  })

  it("leaves what others have given another name", () => {
    const a = made(0, "a")
    tell([a])
    expect(desk.fault({ _tag: "Link", ino: a.ino, parent: 1, name: "other", ...change }, "s2")).toBe(undefined)
    expect(tell([removed(0, a.ino, "a")])).toBe(undefined)
    expect([isThere("a"), isThere("other", 1), desk.tree.orphans.size]).toEqual([false, true, 0])
  })

  it("is refused where it cannot be so", () => {
    const a = made(0, "a")
    const list = made(1, "list", folder, "directory")
    tell([a, list, made(2, "in", list.ino)])
    expect(tell([removed(0, a.ino + 1, "a")])).toBe("ENOENT")
    expect(tell([removed(0, list.ino, "list", folder, "directory")])).toBe("ENOTEMPTY")
    expect(tell([moved(0, a.ino, "a", "list")])).toBe("ENOENT")
    expect(tell([moved(0, a.ino, "a", "..")])).toBe("EINVAL")
    giveBack(folder)
    expect([tell([removed(0, a.ino, "a")]), tell([moved(0, a.ino, "a", "b")])]).toEqual(["ESTALE", "ESTALE"])
  })
})

describe("others who change a lent directory", () => {
  const changes: ReadonlyArray<[string, (caller: string) => string | undefined]> = [
    ["make something in it", (caller) => create("x", caller)],
    [
      "remove something of it",
      (caller) => desk.fault({ _tag: "Unlink", parent: folder, name: "a", ...change }, caller)
    ],
    ["remove it", (caller) => desk.fault({ _tag: "Rmdir", parent: 1, name: "d", ...change }, caller)],
    ["change its rights", (caller) => desk.fault({ _tag: "SetAttr", ino: folder, mode: 0o700, ...change }, caller)],
    [
      "move it",
      (caller) => desk.fault({ _tag: "Rename", parent: 1, name: "d", toParent: 1, toName: "e", ...change }, caller)
    ],
    ["limit the entries", () => desk.fault({ _tag: "Configure", entriesMax: 100_000 }, "admin")]
  ]
  it.each(changes)("who %s come again when it was given back", (_, work) => {
    const again = work("s2")
    expect(again).toBe("Again")
    expect(tags().at(-1)).toBe("Recalled")
    expect(work("key-1")).toBe("Again")
    expect(tags().filter((tag) => tag === "Recalled")).toHaveLength(1)
    expect(tell([made(0, "a")])).toBe(undefined)
    giveBack(folder)
    expect(work("s2")).not.toBe("Again")
  })

  it("doubt a session that keeps it, once in a while", () => {
    const doubts = () => tags().filter((tag) => tag === "Doubted").length
    expect(create("x", "s2")).toBe("Again")
    desk.at += doubtMs - 1
    expect(create("x", "s2")).toBe("Again")
    expect(doubts()).toBe(0)
    desk.at += 1
    for (let times = 0; times < 3; times++) expect(create("x", "s2")).toBe("Again")
    expect(desk.log.at(-1)?.event).toEqual({ _tag: "Doubted", session: "s1" })
    expect(doubts()).toBe(1)
    expect(dump(load(save(desk.tree), "acme_1"))).toEqual(dump(desk.tree))
    desk.at += doubtMs
    expect(create("x", "s2")).toBe("Again")
    expect(doubts()).toBe(2)
    desk.do({ _tag: "EndSession", session: "s1" as never }, "outbox")
    expect(create("x", "s2")).toBe(undefined)
  })

  it("need not come again for what is beside it, nor its own session for anything", () => {
    expect(create("y", "s2", 1)).toBe(undefined)
    expect(create("z", "s1")).toBe(undefined)
    expect(desk.fault({ _tag: "SetAttr", ino: folder, mode: 0o700, ...change }, "s1")).toBe(undefined)
    expect(tags()).not.toContain("Recalled")
  })

  it("find room set aside for what is made there", () => {
    giveBack(folder)
    desk.do({ _tag: "Configure", entriesMax: 3 * aheadMax })
    mkdir("e", "s1")
    while (create(`f${desk.version}`, "s2", 1) === undefined);
    expect(desk.tree.inodes.live - 1).toBe(2 * aheadMax)
    expect(create("own", "s1", 1)).toBe(undefined)
    mkdir("f", "s1")
    expect(desk.tree.loans.all.size).toBe(1)
  })
})
