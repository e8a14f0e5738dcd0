/** The fine print of names: who may give and take them, what is inherited, and which errors are told. */
import { beforeEach, describe, expect, it } from "vitest"
import { alice, bob, Desk, root } from "./workspace.ts"

const t = (s: number) => [s, 7] as const
const at = (who: typeof root, s = 1) => ({ who, time: t(s) })

let desk: Desk
beforeEach(() => {
  desk = new Desk()
})

const mkdir = (parent: number, name: string, mode = 0o755, who = root) =>
  desk.do({ _tag: "Mkdir", parent, name, mode, ...at(who) }).attributes
const create = (parent: number, name: string, mode = 0o644, who = root) =>
  desk.do({ _tag: "Create", parent, name, mode, ...at(who) }).attributes
const stat = (ino: number) => desk.show({ _tag: "Attributes", ino }).attributes

describe("a name", () => {
  it("has 255 bytes at most, counted as bytes", () => {
    const of = (name: string) => desk.fault({ _tag: "Create", parent: 1, name, mode: 0o644, ...at(root) })
    expect(of("x".repeat(255))).toBeUndefined()
    expect(of("x".repeat(256))).toBe("ENAMETOOLONG")
    expect(of("é".repeat(128))).toBe("ENAMETOOLONG")
    expect(of("😀".repeat(63))).toBeUndefined()
    expect(of("😀".repeat(64))).toBe("ENAMETOOLONG")
    expect(of("\udcff".repeat(255))).toBeUndefined()
  })

  it("is no slash, no NUL, no dots, not empty, and of bytes only", () => {
    for (const name of ["", ".", "..", "a/b", "a\0b", "\ud800", "\udc00x"])
      expect(desk.fault({ _tag: "Mkdir", parent: 1, name, mode: 0o755, ...at(root) }), JSON.stringify(name)).toBe(
        "EINVAL"
      )
  })

  it("of bytes that are not UTF-8 comes back as it was", () => {
    const { ino } = create(1, "\udcff\udc80 ok")
    const { entries } = desk.show({ _tag: "ReadDir", ino: 1 })
    expect(entries[0]).toMatchObject({ name: "\udcff\udc80 ok", attributes: { ino } })
  })
})

describe("inode numbers", () => {
  it("begin behind the root and are never given twice", () => {
    const first = create(1, "a")
    desk.do({ _tag: "Unlink", parent: 1, name: "a", ...at(root) })
    expect([first.ino, create(1, "a").ino]).toEqual([2, 3])
    expect(desk.fault({ _tag: "Open", ino: 2 })).toBe("ENOENT")
  })
})

describe("creating", () => {
  it("answers with the file that is there, unless it is to be exclusive", () => {
    const { ino } = create(1, "a")
    const again = desk.do({ _tag: "Create", parent: 1, name: "a", mode: 0o600, ...at(bob) })
    expect(again).toMatchObject({ created: false, attributes: { ino, mode: 0o644 }, version: 1 })
    expect(desk.fault({ _tag: "Create", parent: 1, name: "a", mode: 0, exclusive: true, ...at(bob) })).toBe("EEXIST")
    mkdir(1, "d")
    expect(desk.fault({ _tag: "Create", parent: 1, name: "d", mode: 0, ...at(bob) })).toBe("EISDIR")
  })

  it("happens in a directory that still is", () => {
    const file = create(1, "f").ino
    expect(desk.fault({ _tag: "Create", parent: file, name: "a", mode: 0, ...at(root) })).toBe("ENOTDIR")
    expect(desk.fault({ _tag: "Create", parent: 77, name: "a", mode: 0, ...at(root) })).toBe("ENOENT")
    desk.do({ _tag: "BeginSession", session: "s1" as never, mode: "rw" })
    const { ino } = mkdir(1, "d")
    desk.do({ _tag: "Rmdir", parent: 1, name: "d", open: true, ...at(root) }, "s1")
    expect(stat(ino).nlink).toBe(0)
    expect(desk.fault({ _tag: "Create", parent: ino, name: "a", mode: 0, ...at(root) }, "s1")).toBe("ENOENT")
  })

  it("touches the directory, and a directory in it is one more link to it", () => {
    desk.do({ _tag: "Mkdir", parent: 1, name: "d", mode: 0o755, ...at(root, 9) })
    expect(stat(1)).toMatchObject({ nlink: 3, mtime: [9, 7], ctime: [9, 7], atime: [0, 0] })
    desk.do({ _tag: "Create", parent: 1, name: "f", mode: 0o644, ...at(root, 10) })
    expect(stat(1)).toMatchObject({ nlink: 3, mtime: [10, 7] })
  })

  it("of nodes keeps their type and device", () => {
    const node = (name: string, type: never, rdev?: number) =>
      desk.do({ _tag: "Mknod", parent: 1, name, type, mode: 0o600, ...(rdev ? { rdev } : {}), ...at(root) }).attributes
    expect(node("p", "fifo" as never, 5)).toMatchObject({ type: "fifo", rdev: 0, nlink: 1 })
    expect(node("c", "character" as never, 259)).toMatchObject({ type: "character", rdev: 259 })
    expect(node("s", "socket" as never).type).toBe("socket")
    expect(desk.fault({ _tag: "Mknod", parent: 1, name: "d", type: "directory", mode: 0, ...at(root) })).toBe("EINVAL")
  })

  it("of symbolic links keeps the target, which has an end", () => {
    const { attributes } = desk.do({ _tag: "Symlink", parent: 1, name: "l", target: "é/x", ...at(alice) })
    expect(attributes).toMatchObject({ type: "symlink", size: 4, mode: 0o777 })
    expect(desk.show({ _tag: "LinkTarget", ino: attributes.ino })).toEqual({ target: "é/x" })
    const of = (target: string) => desk.fault({ _tag: "Symlink", parent: 1, name: "m", target, ...at(root) })
    expect(of("")).toBe("ENOENT")
    expect(of("x".repeat(4096))).toBe("ENAMETOOLONG")
  })
})

describe("what a directory hands down", () => {
  it("is its group when it is set-gid, and the bit to directories", () => {
    const { ino } = mkdir(1, "g", 0o2775)
    desk.do({ _tag: "SetAttr", ino, gid: 50, ...at(root) })
    expect(create(ino, "f", 0o644, bob)).toMatchObject({ uid: 1001, gid: 50, mode: 0o644 })
    expect(mkdir(ino, "d", 0o755, bob)).toMatchObject({ gid: 50, mode: 0o2755 })
    expect(create(1, "f", 0o644, bob).gid).toBe(1001)
  })

  it("is no group to run as for whoever is not of it", () => {
    const { ino } = mkdir(1, "g", 0o2777)
    desk.do({ _tag: "SetAttr", ino, gid: 50, ...at(root) })
    expect(create(ino, "b", 0o2755, bob).mode).toBe(0o755)
    expect(create(ino, "a", 0o2755, alice).mode).toBe(0o2755)
    expect(create(ino, "r", 0o2755, root).mode).toBe(0o2755)
  })
})

describe("links", () => {
  it("count names, and go to everything but directories", () => {
    const { ino } = create(1, "a")
    const linked = desk.do({ _tag: "Link", ino, parent: 1, name: "b", ...at(root, 5) })
    expect(linked.attributes).toMatchObject({ nlink: 2, ctime: [5, 7], mtime: [1, 7] })
    const { ino: list } = mkdir(1, "d")
    expect(desk.fault({ _tag: "Link", ino: list, parent: 1, name: "e", ...at(root) })).toBe("EPERM")
    expect(desk.fault({ _tag: "Link", ino, parent: 1, name: "b", ...at(root) })).toBe("EEXIST")
    expect(desk.do({ _tag: "Unlink", parent: 1, name: "a", ...at(root, 6) })).toMatchObject({ ino, nlink: 1 })
    expect(stat(ino)).toMatchObject({ nlink: 1, ctime: [6, 7] })
  })
})

describe("removing", () => {
  it("is unlink for what is no directory and rmdir for an empty one", () => {
    const { ino } = mkdir(1, "d")
    create(ino, "f")
    expect(desk.fault({ _tag: "Unlink", parent: 1, name: "d", ...at(root) })).toBe("EISDIR")
    expect(desk.fault({ _tag: "Rmdir", parent: 1, name: "d", ...at(root) })).toBe("ENOTEMPTY")
    expect(desk.fault({ _tag: "Rmdir", parent: ino, name: "f", ...at(root) })).toBe("ENOTDIR")
    expect(desk.fault({ _tag: "Rmdir", parent: ino, name: "..", ...at(root) })).toBe("ENOTEMPTY")
    desk.do({ _tag: "Unlink", parent: ino, name: "f", ...at(root) })
    desk.do({ _tag: "Rmdir", parent: 1, name: "d", ...at(root, 8) })
    expect(stat(1)).toMatchObject({ nlink: 2, mtime: [8, 7] })
    expect(desk.fault({ _tag: "Rmdir", parent: 1, name: "d", ...at(root) })).toBe("ENOENT")
  })

  it("in a sticky directory is for owners of it, of what is in it, and root", () => {
    const { ino } = mkdir(1, "tmp", 0o1777, alice)
    for (const name of ["1", "2", "3"]) create(ino, name, 0o644, bob)
    const carol = { uid: 1002, gid: 1002, groups: [] }
    const unlink = (name: string, who: typeof root) => desk.fault({ _tag: "Unlink", parent: ino, name, ...at(who) })
    expect(unlink("1", carol)).toBe("EPERM")
    expect([unlink("1", alice), unlink("2", bob), unlink("3", root)]).toEqual([undefined, undefined, undefined])
    mkdir(ino, "d", 0o755, bob)
    expect(desk.fault({ _tag: "Rmdir", parent: ino, name: "d", ...at(carol) })).toBe("EPERM")
  })
})

describe("renaming", () => {
  const rename = (from: readonly [number, string], to: readonly [number, string], more: object = {}) =>
    desk.fault({
      _tag: "Rename",
      parent: from[0],
      name: from[1],
      toParent: to[0],
      toName: to[1],
      ...at(root, 20),
      ...more
    } as never)

  it("moves a directory with its link to the parent", () => {
    const a = mkdir(1, "a").ino
    const b = mkdir(1, "b").ino
    mkdir(a, "x")
    expect(rename([a, "x"], [b, "y"])).toBeUndefined()
    expect([stat(a).nlink, stat(b).nlink, stat(1).nlink]).toEqual([2, 3, 4])
    expect(stat(a)).toMatchObject({ mtime: [20, 7], ctime: [20, 7] })
    const moved = desk.show({ _tag: "Lookup", parent: b, name: "y" }).attributes
    expect(moved).toMatchObject({ ctime: [20, 7], mtime: [1, 7] })
    expect(desk.show({ _tag: "ReadDir", ino: moved.ino }).parent).toBe(b)
  })

  it("never moves a directory into itself", () => {
    const a = mkdir(1, "a").ino
    const b = mkdir(a, "b").ino
    expect(rename([1, "a"], [b, "c"])).toBe("EINVAL")
    expect(rename([1, "a"], [a, "c"])).toBe("EINVAL")
    mkdir(b, "c")
    expect(rename([b, "c"], [1, "a"], { flag: "exchange" })).toBe("EINVAL")
    expect(rename([b, "c"], [1, "a"])).toBe("ENOTEMPTY")
  })

  it("replaces like by like, and directories only when they are empty", () => {
    const d = mkdir(1, "d").ino
    mkdir(1, "e")
    create(1, "f")
    create(1, "g")
    expect(rename([1, "f"], [1, "d"])).toBe("EISDIR")
    expect(rename([1, "d"], [1, "f"])).toBe("ENOTDIR")
    expect(rename([1, "f"], [1, "g"], { flag: "noreplace" })).toBe("EEXIST")
    expect(rename([1, "f"], [1, "g"])).toBeUndefined()
    expect(rename([1, "e"], [1, "d"])).toBeUndefined()
    expect(desk.fault({ _tag: "Open", ino: d })).toBe("ENOENT")
    expect(stat(1).nlink).toBe(3)
    create(desk.show({ _tag: "Lookup", parent: 1, name: "d" }).attributes.ino, "x")
    mkdir(1, "h")
    expect(rename([1, "h"], [1, "d"])).toBe("ENOTEMPTY")
  })

  it("between two names of one inode does nothing", () => {
    const { ino } = create(1, "a")
    desk.do({ _tag: "Link", ino, parent: 1, name: "b", ...at(root) })
    const { version } = desk
    expect(rename([1, "a"], [1, "b"])).toBeUndefined()
    expect([desk.version, stat(ino).nlink]).toEqual([version, 2])
  })

  it("exchanges a file and a directory", () => {
    const sub = mkdir(1, "sub").ino
    const file = create(1, "f").ino
    const list = mkdir(sub, "d").ino
    expect(rename([1, "f"], [sub, "d"], { flag: "exchange" })).toBeUndefined()
    expect(desk.show({ _tag: "Lookup", parent: 1, name: "f" }).attributes.ino).toBe(list)
    expect(desk.show({ _tag: "Lookup", parent: sub, name: "d" }).attributes.ino).toBe(file)
    expect([stat(1).nlink, stat(sub).nlink]).toEqual([4, 2])
    expect([stat(file).ctime, stat(list).ctime]).toEqual([t(20), t(20)])
    expect(desk.show({ _tag: "ReadDir", ino: list }).parent).toBe(1)
    expect(rename([1, "f"], [1, "none"], { flag: "exchange" })).toBe("ENOENT")
  })

  it("in sticky directories asks the owners of both places", () => {
    const { ino } = mkdir(1, "tmp", 0o1777, root)
    const mine = mkdir(1, "mine", 0o755, alice).ino
    create(ino, "bobs", 0o644, bob)
    create(mine, "m", 0o644, alice)
    expect(rename([ino, "bobs"], [mine, "x"], { who: alice })).toBe("EPERM")
    expect(rename([mine, "m"], [ino, "bobs"], { who: alice })).toBe("EPERM")
    expect(rename([mine, "m"], [ino, "new"], { who: alice })).toBeUndefined()
    expect(rename([ino, "new"], [mine, "m"], { who: alice })).toBeUndefined()
  })
})

describe("reading a directory", () => {
  it("in pages shows what stays exactly once, whatever comes and goes meanwhile", () => {
    for (let n = 0; n < 100; n++) create(1, `f${n}`)
    const seen = new Set<string>()
    let after = 0
    for (let end = false; !end; ) {
      const page = desk.show({ _tag: "ReadDir", ino: 1, after, limit: 7 })
      for (const { name, cursor } of page.entries) {
        expect(seen.has(name)).toBe(false)
        seen.add(name)
        after = cursor
        if (Number(name.slice(1)) % 3 !== 0) desk.do({ _tag: "Unlink", parent: 1, name, ...at(root) })
      }
      end = page.end
    }
    expect(seen.size).toBe(100)
    expect(desk.show({ _tag: "ReadDir", ino: 1 }).entries).toHaveLength(34)
  })
})

describe("paths", () => {
  it("lead through directories and links from the root", () => {
    const a = mkdir(1, "a").ino
    const f = create(a, "f").ino
    desk.do({ _tag: "Symlink", parent: 1, name: "up", target: "a/../a", ...at(root) })
    desk.do({ _tag: "Symlink", parent: a, name: "abs", target: "/a/f", ...at(root) })
    desk.do({ _tag: "Symlink", parent: 1, name: "loop", target: "loop", ...at(root) })
    const of = (path: string, follow = false) => {
      const answer = desk.ask({ _tag: "Resolve", path, follow })
      return "refused" in answer ? (answer.refused as { code: string }).code : answer.ok.attributes.ino
    }
    expect([of("/"), of("/a"), of("a/f"), of("/up/f"), of("/up/abs", true), of("/up/../a/./f")]).toEqual([
      1,
      a,
      f,
      f,
      f,
      f
    ])
    expect(of("/up/abs")).not.toBe(f)
    expect([of(""), of("/x"), of("/a/f/g"), of("/a/f/"), of("/loop", true)]).toEqual([
      "ENOENT",
      "ENOENT",
      "ENOTDIR",
      "ENOTDIR",
      "ELOOP"
    ])
    expect(desk.show({ _tag: "Resolve", path: "/a/.." })).toMatchObject({ attributes: { ino: 1 } })
    expect(desk.show({ _tag: "Resolve", path: "/up/f" })).toMatchObject({ parent: a, name: "f" })
  })
})
