/** Sessions: who may change anything, what is held open without a name, and locks with their queue. */
import { beforeEach, describe, expect, it } from "vitest"
import { workspaceDecider } from "../../actors/workspace/workspace.ts"
import { lockEndMax } from "../../messages/lock.ts"
import { Desk, digestsOf, root } from "./workspace.ts"

const change = { who: root, time: [1, 0] as const }
let desk: Desk
let ino: number
const begin = (session: string, mode: "rw" | "ro" = "rw") =>
  desk.do({ _tag: "BeginSession", session: session as never, mode, host: "h1" }, "outbox")
const end = (session: string) => desk.do({ _tag: "EndSession", session: session as never }, "outbox")

beforeEach(() => {
  desk = new Desk()
  ino = desk.do({ _tag: "Create", parent: 1, name: "f", mode: 0o644, ...change }).attributes.ino
  begin("s1")
})

const gone = (of = ino) => "refused" in desk.ask({ _tag: "Attributes", ino: of })
const unlink = (open: boolean, caller: string, name = "f") =>
  desk.do({ _tag: "Unlink", parent: 1, name, open, ...change }, caller)

describe("a session", () => {
  it("that was never begun or has ended changes and asks nothing", () => {
    const make = (caller: string) => desk.fault({ _tag: "Mkdir", parent: 1, name: "d", mode: 0, ...change }, caller)
    expect(make("s9")).toBe("SessionOver")
    end("s1")
    expect(make("s1")).toBe("SessionOver")
    expect(desk.ask({ _tag: "StatFs" }, "s1")).toMatchObject({ refused: { _tag: "SessionOver", session: "s1" } })
    expect([make("admin"), make("node"), make("key-k1")]).toEqual([undefined, "EEXIST", "EEXIST"])
  })

  it("that may only read changes nothing", () => {
    begin("r1", "ro")
    expect(desk.fault({ _tag: "Mkdir", parent: 1, name: "d", mode: 0, ...change }, "r1")).toBe("EROFS")
    expect(desk.show({ _tag: "Attributes", ino }, "r1").attributes.ino).toBe(ino)
  })

  it("is begun and ended by others, as often as they say so", () => {
    const { version } = desk
    expect(begin("s1")).toEqual({ version })
    expect(end("s7")).toEqual({ version })
    const command = { _tag: "BeginSession", session: "s2" as never, mode: "rw" } as const
    expect([desk.fault(command, "s1"), desk.fault(command, "key-k")]).toEqual(["NotAllowed", "NotAllowed"])
    expect(desk.fault({ ...command, session: "admin" as never }, "outbox")).toBe("EINVAL")
    expect(desk.fault({ _tag: "Configure", bytesMax: 1 }, "s1")).toBe("NotAllowed")
    expect(desk.show({ _tag: "Sessions" }).sessions).toEqual([
      { session: "s1", mode: "rw", host: "h1", began: desk.at }
    ])
  })
})

describe("a file without a name", () => {
  it("goes with its last name when nobody has it open", () => {
    expect(unlink(false, "s1")).toMatchObject({ ino, nlink: 0 })
    expect(gone()).toBe(true)
  })

  it("stays while its session has it open, with all that can be done to it", () => {
    unlink(true, "s1")
    expect(desk.show({ _tag: "Attributes", ino }).attributes.nlink).toBe(0)
    const { first } = desk.do({ _tag: "ReserveSlices", count: 1 }, "s1")
    const slices = [{ chunk: 0, pos: 0, id: first, size: 4, off: 0, len: 4, digests: digestsOf(4) }]
    desk.do({ _tag: "Write", ino, slices, ...change }, "s1")
    expect(desk.fault({ _tag: "Link", ino, parent: 1, name: "again", ...change }, "s1")).toBe("ENOENT")
    desk.do({ _tag: "Release", ino }, "s1")
    expect(gone()).toBe(true)
    expect(desk.show({ _tag: "Garbage" }).garbage).toMatchObject([{ id: first, version: desk.version }])
  })

  it("goes when its session ends", () => {
    unlink(true, "s1")
    end("s1")
    expect(gone()).toBe(true)
  })

  it("waits for other sessions to say that they have it open", () => {
    begin("s2")
    unlink(false, "s1")
    expect(gone()).toBe(false)
    desk.at += 59_999
    desk.tick()
    expect(gone()).toBe(false)
    desk.do({ _tag: "Open", ino }, "s2")
    desk.at += 10
    desk.tick()
    expect(gone()).toBe(false)
    desk.do({ _tag: "Release", ino }, "s2")
    expect(gone()).toBe(true)
  })

  it("waits for them also when the session that took the name has closed it", () => {
    begin("s2")
    unlink(true, "s1")
    desk.do({ _tag: "Release", ino }, "s1")
    expect([gone(), workspaceDecider.due?.(desk.tree)]).toEqual([false, desk.at + 60_000])
    desk.at += 60_000
    desk.tick()
    expect([gone(), workspaceDecider.due?.(desk.tree)]).toEqual([true, undefined])
  })

  it("by the thousands goes in several entries when its session ends, the later ones at once", () => {
    for (let n = 0; n < 4100; n++) desk.do({ _tag: "CreateNameless", parent: 1, mode: 0o600, ...change }, "s1")
    end("s1")
    expect([desk.tree.orphans.size, workspaceDecider.due?.(desk.tree)]).toEqual([4, 1])
    desk.tick()
    expect([desk.tree.orphans.size, workspaceDecider.due?.(desk.tree)]).toEqual([0, undefined])
  })

  it("goes at a tick when nobody says so", () => {
    begin("s2")
    unlink(false, "s1")
    desk.at += 60_000
    desk.tick()
    expect(gone()).toBe(true)
  })

  it("is also what was replaced", () => {
    desk.do({ _tag: "Create", parent: 1, name: "g", mode: 0o644, ...change })
    const rename = { _tag: "Rename", parent: 1, name: "g", toParent: 1, toName: "f", open: true, ...change } as const
    expect(desk.do(rename, "s1").replaced).toBe(ino)
    expect(desk.show({ _tag: "Attributes", ino }).attributes.nlink).toBe(0)
    end("s1")
    expect(gone()).toBe(true)
  })

  it("may be made so, and get a name later", () => {
    const make = { _tag: "CreateNameless", parent: 1, mode: 0o600, ...change } as const
    const { attributes } = desk.do(make, "s1")
    expect(attributes.nlink).toBe(0)
    expect(desk.do({ _tag: "Link", ino: attributes.ino, parent: 1, name: "t", ...change }, "s1").attributes.nlink).toBe(
      1
    )
    end("s1")
    expect(gone(attributes.ino)).toBe(false)
    expect(desk.fault(make, "admin")).toBe("EOPNOTSUPP")
  })
})

describe("locks", () => {
  const lock = (caller: string, type: "read" | "write", more: object = {}) =>
    desk.send(
      {
        _tag: "Lock",
        ino,
        family: "posix",
        owner: "o1",
        pid: 1,
        type,
        start: 0,
        end: lockEndMax,
        ...more
      } as never,
      caller
    )
  const unlock = (caller: string, more: object = {}) =>
    desk.do({ _tag: "Unlock", ino, family: "posix", owner: "o1", start: 0, end: lockEndMax, ...more } as never, caller)
  const held = () =>
    [...desk.tree.locks.values()].flatMap((each) => each.held.map((one) => [one.session, one.start, one.end]))
  const granted = () =>
    desk.log.flatMap(({ event }) => (event._tag === "Locked" && event.ticket ? [event.session] : []))

  beforeEach(() => {
    begin("s2")
    begin("s3")
  })

  it("are shared by readers and had by one writer, with tokens that grow", () => {
    expect(lock("s1", "read")).toMatchObject({ ok: { granted: true, token: 1 } })
    expect(lock("s2", "read")).toMatchObject({ ok: { granted: true, token: 2 } })
    expect(lock("s3", "write")).toMatchObject({ refused: { code: "EAGAIN" } })
    unlock("s1")
    unlock("s2")
    expect(lock("s3", "write")).toMatchObject({ ok: { granted: true, token: 3 } })
    expect(lock("s1", "read")).toMatchObject({ refused: { code: "EAGAIN" } })
    expect(lock("s1", "write", { family: "flock" }), "families do not see each other").toMatchObject({
      ok: { granted: true }
    })
  })

  it("of ranges are cut, joined over and let go in part", () => {
    lock("s1", "write", { start: 0, end: 99 })
    lock("s1", "read", { start: 20, end: 29 })
    unlock("s1", { start: 50, end: 59 })
    expect(held().sort()).toEqual([
      ["s1", 0, 19],
      ["s1", 20, 29],
      ["s1", 30, 49],
      ["s1", 60, 99]
    ])
    expect(lock("s2", "read", { start: 20, end: 29 })).toMatchObject({ ok: { granted: true } })
    expect(lock("s2", "read", { start: 19, end: 29 })).toMatchObject({ refused: { code: "EAGAIN" } })
    const conflict = desk.show(
      { _tag: "Locks", ino, family: "posix", owner: "o1", type: "write", start: 55, end: 70 },
      "s2"
    ).conflict
    expect(conflict).toMatchObject({ session: "s1", pid: 1, type: "write", start: 60, end: 99 })
  })

  it("are waited for in turn, and whoever is next has it at once", () => {
    lock("s1", "write")
    expect(lock("s2", "write", { wait: true })).toMatchObject({ ok: { granted: false, ticket: 1 } })
    expect(lock("s3", "read", { wait: true })).toMatchObject({ ok: { granted: false, ticket: 2 } })
    expect(lock("s3", "read", { wait: true }), "asked again").toMatchObject({ ok: { granted: false, ticket: 2 } })
    const waits = (session: string, ticket: number) =>
      desk.show({ _tag: "Locks", ino, family: "posix", owner: "o1", type: "read", start: 0, end: 0, ticket }, session)
        .waits
    expect([waits("s2", 1), waits("s3", 2), waits("s3", 1)]).toEqual([true, true, false])
    unlock("s1")
    expect([waits("s2", 1), waits("s3", 2)]).toEqual([false, true])
    expect(granted()).toEqual(["s2"])
    expect(lock("s1", "read")).toMatchObject({ refused: { code: "EAGAIN" } })
    unlock("s2")
    expect(granted()).toEqual(["s2", "s3"])
  })

  it("let no one by who would hold up those that wait", () => {
    lock("s1", "read")
    lock("s2", "write", { wait: true })
    expect(lock("s3", "read")).toMatchObject({ refused: { code: "EAGAIN" } })
    expect(lock("s1", "read", { start: 0, end: 5 }), "but whom they wait for").toMatchObject({ ok: { granted: true } })
  })

  it("are not waited for in a circle", () => {
    lock("s1", "write", { start: 0, end: 0 })
    lock("s2", "write", { start: 1, end: 1 })
    lock("s1", "write", { start: 1, end: 1, wait: true })
    expect(lock("s2", "write", { start: 0, end: 0, wait: true })).toMatchObject({ refused: { code: "EDEADLK" } })
  })

  it("of flock are let go before one waits to change them", () => {
    const flock = { family: "flock", wait: true }
    lock("s1", "read", flock)
    lock("s2", "read", flock)
    lock("s1", "write", flock)
    expect(held()).toEqual([["s2", 0, lockEndMax]])
    expect(lock("s2", "write", flock), "nobody else holds it now").toMatchObject({ ok: { granted: true } })
    unlock("s2", { family: "flock" })
    expect(held()).toEqual([["s1", 0, lockEndMax]])
  })

  it("are given up while they are waited for, unless they were just given", () => {
    lock("s1", "write")
    const { ok } = lock("s2", "write", { wait: true }) as { ok: { ticket: number } }
    lock("s3", "read", { wait: true })
    const cancel = { _tag: "CancelLock", ino, family: "posix", owner: "o1", ticket: ok.ticket } as const
    expect(desk.do(cancel, "s3"), "by another").toMatchObject({ granted: false })
    expect(desk.do(cancel, "s2")).toMatchObject({ granted: false })
    unlock("s1")
    expect(granted()).toEqual(["s3"])
    expect(desk.do({ ...cancel, ticket: 2 }, "s3")).toMatchObject({ granted: true })
  })

  it("that are given up let those by who waited behind", () => {
    lock("s1", "read")
    lock("s2", "write", { wait: true })
    lock("s3", "read", { wait: true })
    desk.do({ _tag: "CancelLock", ino, family: "posix", owner: "o1", ticket: 1 }, "s2")
    expect(granted()).toEqual(["s3"])
  })

  it("go with their session, and the next one has them", () => {
    lock("s1", "write")
    lock("s2", "write", { wait: true })
    lock("s3", "write", { wait: true })
    end("s2")
    expect(granted()).toEqual([])
    end("s1")
    expect(granted()).toEqual(["s3"])
    end("s3")
    expect(desk.tree.locks.size).toBe(0)
  })

  const manyHeldAndWaitedFor = () => {
    for (let n = 0; n < 1500; n++) {
      const { attributes } = desk.do({ _tag: "Create", parent: 1, name: `n${n}`, mode: 0o600, ...change })
      lock("s1", "write", { ino: attributes.ino })
      lock("s2", "write", { ino: attributes.ino, wait: true })
    }
    end("s1")
  }

  it("that were still to be passed on are nobody's when the next session has ended as well", () => {
    manyHeldAndWaitedFor()
    end("s2")
    expect([desk.tree.locks.size, workspaceDecider.due?.(desk.tree)]).toEqual([0, undefined])
  })

  it("of very many files are passed on in several entries when their session ends", () => {
    manyHeldAndWaitedFor()
    expect([granted().length, workspaceDecider.due?.(desk.tree)]).toEqual([1001, 1])
    desk.tick()
    expect([granted().length, workspaceDecider.due?.(desk.tree)]).toEqual([1500, undefined])
    const tokens = desk.log.flatMap(({ event }) => (event._tag === "Locked" ? [event.token] : []))
    expect(new Set(tokens).size).toBe(3000)
  })

  it("are had only on what there is, in a range that ends behind its beginning", () => {
    expect(lock("s1", "read", { ino: 99 })).toMatchObject({ refused: { code: "ENOENT" } })
    expect(lock("s1", "read", { start: 5, end: 4 })).toMatchObject({ refused: { code: "EINVAL" } })
    const { version } = desk
    expect(unlock("s1")).toEqual({ version })
  })
})
