/** The fine print of attributes: privileges that go, times that move, and extended ones. */
import { beforeEach, describe, expect, it } from "vitest"
import { alice, bob, Desk, digestsOf, root } from "./workspace.ts"

const time = [100, 1] as const
let desk: Desk
let ino: number
beforeEach(() => {
  desk = new Desk()
  ino = desk.do({ _tag: "Create", parent: 1, name: "f", mode: 0o644, who: alice, time: [1, 0] }).attributes.ino
})

const set = (what: object, who: typeof root = root) =>
  desk.do({ _tag: "SetAttr", ino, ...what, who, time } as never).attributes

describe("set-uid and set-gid", () => {
  it("go when a file gets another owner or group, whoever gives it", () => {
    set({ mode: 0o6755 })
    expect(set({ uid: 1001 }).mode).toBe(0o755)
    set({ mode: 0o6755 })
    expect(set({ gid: 50 }, alice).mode).toBe(0o755)
    set({ mode: 0o6644 })
    expect(set({ uid: 1 }).mode, "set-gid without execution means locking").toBe(0o2644)
  })

  it("stay with a directory", () => {
    const list = desk.do({ _tag: "Mkdir", parent: 1, name: "d", mode: 0o6755, who: root, time }).attributes
    const after = desk.do({ _tag: "SetAttr", ino: list.ino, uid: 5, who: root, time })
    expect(after.attributes.mode).toBe(0o6755)
  })

  it("go when anybody but root changes the bytes", () => {
    const change = (command: object, who: typeof root) => {
      set({ mode: 0o6777 })
      return desk.do({ ino, who, time, ...command } as never).attributes.mode
    }
    const { first } = desk.do({ _tag: "ReserveSlices", count: 9 })
    const slices = (id: number) => [{ chunk: 0, pos: 0, id, size: 4, off: 0, len: 4, digests: digestsOf(4) }]
    expect(change({ _tag: "Write", slices: slices(first) }, alice)).toBe(0o777)
    expect(change({ _tag: "Write", slices: slices(first + 1) }, root)).toBe(0o6777)
    expect(change({ _tag: "Truncate", size: 2 }, bob)).toBe(0o777)
    expect(change({ _tag: "SetAttr", size: 1 }, bob)).toBe(0o777)
    expect(change({ _tag: "Fallocate", offset: 0, length: 4, how: "punch" }, bob)).toBe(0o777)
    expect(
      change(
        { _tag: "Append", slices: [{ chunk: 0, id: first + 2, size: 1, off: 0, len: 1, digests: digestsOf(1) }] },
        bob
      )
    ).toBe(0o777)
    expect(change({ _tag: "CopyRange", from: ino, offset: 0, length: 1, to: 8 }, bob)).toBe(0o777)
    expect(desk.show({ _tag: "Attributes", ino }).attributes.mode).toBe(0o777)
  })

  it("for a group that the caller is not of cannot be set", () => {
    set({ gid: 77 })
    expect(set({ mode: 0o2755 }, alice).mode).toBe(0o755)
    expect(set({ mode: 0o2755 }, root).mode).toBe(0o2755)
    const { groups: _, ...unknown } = alice
    expect(set({ mode: 0o2755 }, unknown as never).mode, "a host that does not say is believed").toBe(0o2755)
  })
})

describe("times", () => {
  it("keep nanoseconds and years before 1970, and ctime is when it was changed", () => {
    const after = set({ atime: [-5, 999_999_999], mtime: [4_000_000_000, 1] })
    expect(after).toMatchObject({ atime: [-5, 999_999_999], mtime: [4_000_000_000, 1], ctime: time })
    expect(desk.show({ _tag: "Attributes", ino }).attributes).toEqual(after)
  })

  it("of a file move with its size, to the same size too", () => {
    const { attributes } = desk.do({ _tag: "Truncate", ino, size: 0, who: root, time })
    expect(attributes).toMatchObject({ size: 0, mtime: time, ctime: time })
    expect(set({ size: 5, mtime: [3, 3] })).toMatchObject({ size: 5, mtime: [3, 3], ctime: time })
    expect(desk.show({ _tag: "Attributes", ino }).attributes).toMatchObject({ size: 5, mtime: [3, 3], ctime: time })
  })
})

describe("a size", () => {
  it("is for files", () => {
    expect(desk.fault({ _tag: "Truncate", ino: 1, size: 0, who: root, time })).toBe("EISDIR")
    const fifo = desk.do({ _tag: "Mknod", parent: 1, name: "p", type: "fifo", mode: 0o600, who: root, time }).attributes
    expect(desk.fault({ _tag: "SetAttr", ino: fifo.ino, size: 0, who: root, time })).toBe("EINVAL")
  })
})

describe("extended attributes", () => {
  const put = (name: string, value: string, flag?: "create" | "replace") =>
    desk.fault({ _tag: "SetXattr", ino, name, value, ...(flag ? { flag } : {}), who: root, time })

  it("are created, replaced, listed and removed", () => {
    expect(put("user.a", "AAE=", "replace")).toBe("ENODATA")
    expect(put("user.a", "AAE=", "create")).toBeUndefined()
    expect(put("user.a", "AAE=", "create")).toBe("EEXIST")
    expect(put("user.a", "", "replace")).toBeUndefined()
    put("user.b", "Ag==")
    expect(desk.show({ _tag: "ListXattr", ino }).names).toEqual(["user.a", "user.b"])
    expect(desk.show({ _tag: "Xattr", ino, name: "user.a" }).value).toBe("")
    desk.do({ _tag: "RemoveXattr", ino, name: "user.a", who: root, time })
    expect(desk.fault({ _tag: "RemoveXattr", ino, name: "user.a", who: root, time })).toBe("ENODATA")
    expect(desk.show({ _tag: "Attributes", ino }).attributes.ctime).toEqual(time)
  })

  it("have limits", () => {
    expect(put("x".repeat(256), "")).toBe("ERANGE")
    expect(put("", "")).toBe("EINVAL")
    expect(put("user.a", "not base64!")).toBe("EINVAL")
    expect(put("user.a", Buffer.alloc(65_536).toString("base64"))).toBeUndefined()
    expect(put("user.a", Buffer.alloc(65_537).toString("base64"))).toBe("E2BIG")
    for (let n = 1; n < 256; n++) put(`user.${n}`, "")
    expect(put("user.more", "")).toBe("ENOSPC")
    expect(put("user.7", "AA==")).toBeUndefined()
  })
})
