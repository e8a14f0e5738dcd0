/** Slices: what may be written, where appends land, what is shared, and when something becomes garbage. */
import { beforeEach, describe, expect, it } from "vitest"
import { chunkBytes } from "../../messages/chunks.ts"
import { blockKey, slicePrefix } from "../../messages/slices.ts"
import { Desk, digestsOf, root } from "./workspace.ts"

const change = { who: root, time: [1, 0] as const }
let desk: Desk
let ino: number
let next: number
beforeEach(() => {
  desk = new Desk()
  ino = desk.do({ _tag: "Create", parent: 1, name: "f", mode: 0o644, ...change }).attributes.ino
  next = desk.do({ _tag: "ReserveSlices", count: 1000 }).first
})

const slice = (size: number, more: object = {}) => ({
  id: next++,
  size,
  off: 0,
  len: size,
  digests: digestsOf(size),
  ...more
})
const write = (chunk: number, pos: number, one: object, to = ino) =>
  desk.do({ _tag: "Write", ino: to, slices: [{ chunk, pos, ...one }], ...change } as never).attributes
const fault = (one: object) =>
  desk.fault({ _tag: "Write", ino, slices: [{ chunk: 0, pos: 0, ...one }], ...change } as never)
const plan = (of = ino, offset = 0, length = 1e9) =>
  desk
    .show({ _tag: "ReadPlan", ino: of, offset, length })
    .parts.map(({ at, len, id, off }: { at: number; len: number; id: number; off: number }) => [at, len, id, off])
const garbage = () => desk.show({ _tag: "Garbage" }).garbage.map(({ id }: { id: number }) => id)

describe("slice ids", () => {
  it("only grow, and each is its holder's to use once", () => {
    expect(desk.do({ _tag: "ReserveSlices", count: 5 }, "key-a")).toMatchObject({ first: 1001, count: 5 })
    expect(fault(slice(4, { id: 1001 }))).toBe("ESTALE")
    expect(fault(slice(4, { id: 5000 }))).toBe("ESTALE")
    const one = slice(4)
    expect(fault(one)).toBeUndefined()
    expect(fault(one)).toBe("ESTALE")
  })

  it("of a session that has ended are garbage when they were not used", () => {
    const session = "s1" as never
    desk.do({ _tag: "BeginSession", session, mode: "rw" })
    desk.do({ _tag: "ReserveSlices", count: 10 }, "s1")
    const placement = { chunk: 0, pos: 0, ...slice(4, { id: 1004 }) }
    desk.do({ _tag: "Write", ino, slices: [placement], ...change }, "s1")
    desk.do({ _tag: "EndSession", session })
    expect(desk.show({ _tag: "Garbage" }).garbage).toMatchObject([
      { id: 1001, size: -1, count: 3, version: desk.version },
      { id: 1005, size: -1, count: 6, version: desk.version }
    ])
    const late = { chunk: 0, pos: 0, ...slice(4, { id: 1001 }) }
    expect(desk.fault({ _tag: "Write", ino, slices: [late], ...change }, "s1")).toBe("SessionOver")
  })
})

describe("slice ids without a session", () => {
  it("are taken back a day later, with the next reservation", () => {
    write(0, 0, slice(4))
    desk.at += 24 * 3600 * 1000
    desk.do({ _tag: "ReserveSlices", count: 1 }, "key-a")
    expect(desk.show({ _tag: "Garbage" }).garbage).toMatchObject([{ id: 2, size: -1, count: 999 }])
    expect(fault(slice(4))).toBe("ESTALE")
  })
})

describe("a write", () => {
  it("is held to its form", () => {
    expect(fault(slice(4, { len: 0 }))).toBe("EINVAL")
    expect(fault(slice(4, { off: 1 }))).toBe("EINVAL")
    expect(fault(slice(4, { digests: "" }))).toBe("EINVAL")
    expect(fault(slice(4_194_305, { digests: digestsOf(4) }))).toBe("EINVAL")
    expect(fault(slice(8, { pos: chunkBytes - 4 }))).toBe("EINVAL")
    expect(fault({ id: 0, size: 4, off: 0, len: 4, digests: "" })).toBe("EINVAL")
    expect(fault(slice(4, { chunk: Number.MAX_SAFE_INTEGER }))).toBe("EFBIG")
  })

  it("covers what was there, and what is covered wholly is garbage of that entry", () => {
    write(0, 0, slice(10))
    write(0, 3, slice(4))
    expect(plan()).toEqual([
      [0, 3, 1, 0],
      [3, 4, 2, 0],
      [7, 3, 1, 7]
    ])
    expect(garbage()).toEqual([])
    const { used, size } = write(0, 0, slice(10))
    expect([used, size, garbage()], "in the order in which they went").toEqual([10, 10, [2, 1]])
    const [first] = desk.show({ _tag: "Garbage" }).garbage
    expect(first).toEqual({ sequence: 0, id: 2, size: 4, at: desk.at, version: desk.version })
  })

  it("of several slices is one change, in their order", () => {
    const slices = [
      { chunk: 0, pos: 0, ...slice(10) },
      { chunk: 0, pos: 0, ...slice(10) },
      { chunk: 1, pos: 5, ...slice(3) }
    ]
    const { attributes } = desk.do({ _tag: "Write", ino, slices, ...change })
    expect(attributes).toMatchObject({ size: chunkBytes + 8, used: 13 })
    expect(garbage()).toEqual([1])
    expect(plan()).toEqual([
      [0, 10, 2, 0],
      [10, chunkBytes - 5, 0, 0],
      [chunkBytes + 5, 3, 3, 0]
    ])
  })

  it("of a hole makes zeros", () => {
    write(0, 0, slice(10))
    expect(write(0, 2, { id: 0, size: 0, off: 0, len: 20, digests: "" })).toMatchObject({ size: 22, used: 2 })
    expect(plan()).toEqual([
      [0, 2, 1, 0],
      [2, 20, 0, 0]
    ])
  })
})

describe("an append", () => {
  it("goes to the end, wherever others have brought it, and is cut where chunks begin", () => {
    write(0, 0, slice(10))
    const first = desk.do({ _tag: "Append", ino, slices: [{ chunk: 0, ...slice(5) }], ...change })
    expect(first).toMatchObject({ offset: 10, attributes: { size: 15 } })
    desk.do({ _tag: "Truncate", ino, size: chunkBytes - 2, ...change })
    const second = desk.do({ _tag: "Append", ino, slices: [{ chunk: 0, ...slice(5) }], ...change })
    expect(second.offset).toBe(chunkBytes - 2)
    expect(plan(ino, chunkBytes - 2)).toEqual([
      [chunkBytes - 2, 2, 3, 0],
      [chunkBytes, 3, 3, 2]
    ])
    desk.do({ _tag: "Truncate", ino, size: chunkBytes, ...change })
    expect(garbage()).toEqual([])
    desk.do({ _tag: "Truncate", ino, size: 12, ...change })
    expect(garbage()).toEqual([3])
  })
})

describe("truncating", () => {
  it("down and up again shows zeros, not what was there", () => {
    write(0, 0, slice(10))
    desk.do({ _tag: "Truncate", ino, size: 4, ...change })
    expect(desk.do({ _tag: "Truncate", ino, size: 10, ...change }).attributes).toMatchObject({ size: 10, used: 4 })
    expect(plan()).toEqual([
      [0, 4, 1, 0],
      [4, 6, 0, 0]
    ])
  })
})

describe("a copied range", () => {
  it("shares slices, which live as long as any place of them", () => {
    const other = desk.do({ _tag: "Create", parent: 1, name: "g", mode: 0o644, ...change }).attributes.ino
    write(0, 0, slice(10))
    const copy = {
      _tag: "CopyRange",
      from: ino,
      offset: 2,
      length: 100,
      ino: other,
      to: chunkBytes - 3,
      ...change
    } as const
    expect(desk.do(copy)).toMatchObject({ copied: 8, attributes: { size: chunkBytes + 5, used: 8 } })
    expect(plan(other, chunkBytes - 3)).toEqual([
      [chunkBytes - 3, 3, 1, 2],
      [chunkBytes, 5, 1, 5]
    ])
    desk.do({ _tag: "Unlink", parent: 1, name: "f", ...change })
    expect(garbage()).toEqual([])
    desk.do({ _tag: "Unlink", parent: 1, name: "g", ...change })
    expect(garbage()).toEqual([1])
  })

  it("within a file does not overlap, and beyond the end copies nothing", () => {
    write(0, 0, slice(10))
    const copy = (offset: number, to: number, length: number) =>
      desk.send({ _tag: "CopyRange", from: ino, offset, length, ino, to, ...change })
    expect(copy(0, 5, 6)).toMatchObject({ refused: { code: "EINVAL" } })
    expect(copy(0, 5, 5)).toMatchObject({ ok: { copied: 5 } })
    expect(copy(10, 0, 5)).toMatchObject({ ok: { copied: 0 } })
    expect(plan()).toEqual([
      [0, 5, 1, 0],
      [5, 5, 1, 0]
    ])
  })
})

describe("fallocate", () => {
  const run = (how: "extend" | "keep" | "punch" | "zero" | "zero-keep", offset: number, length: number) =>
    desk.do({ _tag: "Fallocate", ino, offset, length, how, ...change }).attributes

  it("extends, keeps, punches and zeroes", () => {
    write(0, 0, slice(10))
    expect(run("keep", 0, 50)).toMatchObject({ size: 10, used: 10 })
    expect(run("extend", 5, 15)).toMatchObject({ size: 20, used: 10 })
    expect(run("punch", 2, 3)).toMatchObject({ size: 20, used: 7 })
    expect(run("zero-keep", 0, 100)).toMatchObject({ size: 20, used: 0 })
    expect(run("zero", 0, 100)).toMatchObject({ size: 100, used: 0 })
    expect(garbage()).toEqual([1])
    expect(desk.fault({ _tag: "Fallocate", ino, offset: 0, length: 0, how: "keep", ...change })).toBe("EINVAL")
    expect(desk.fault({ _tag: "Fallocate", ino: 1, offset: 0, length: 1, how: "keep", ...change })).toBe("EISDIR")
  })
})

describe("limits", () => {
  it("of bytes refuse what would be more, and let go of what is there", () => {
    desk.do({ _tag: "Configure", bytesMax: 15 })
    write(0, 0, slice(10))
    expect(fault({ ...slice(10), pos: 6 })).toBe("ENOSPC")
    expect(fault({ ...slice(10), pos: 5 })).toBeUndefined()
    expect(desk.fault({ _tag: "CopyRange", from: ino, offset: 0, length: 1, ino, to: 50, ...change })).toBe("ENOSPC")
    expect(desk.fault({ _tag: "Fallocate", ino, offset: 0, length: 16, how: "keep", ...change })).toBe("ENOSPC")
    expect(fault(slice(15))).toBeUndefined()
    expect(desk.show({ _tag: "StatFs" })).toMatchObject({ bytes: 15, bytesMax: 15 })
    desk.do({ _tag: "Configure", bytesMax: 0 })
    expect(fault({ ...slice(10), pos: 60 })).toBeUndefined()
  })

  it("of entries count everything but the root", () => {
    desk.do({ _tag: "Configure", entriesMax: 2 })
    desk.do({ _tag: "Mkdir", parent: 1, name: "d", mode: 0o755, ...change })
    expect(desk.fault({ _tag: "Mkdir", parent: 1, name: "e", mode: 0o755, ...change })).toBe("ENOSPC")
    desk.do({ _tag: "Link", ino, parent: 1, name: "second", ...change })
    expect(desk.show({ _tag: "StatFs" })).toMatchObject({ entries: 2, entriesMax: 2 })
  })
})

describe("keys of blocks", () => {
  it("are those of the layout", () => {
    const one = { id: 1_234_567, size: 4_194_304 + 100 }
    expect(blockKey("slices", "acme_1", one, 0)).toBe("chunks/1/1234/1234567_0_4194304")
    expect(blockKey("slices", "acme_1", one, 1)).toBe("chunks/1/1234/1234567_1_100")
    expect(blockKey("slices", "acme_1", { id: 4, size: 4_194_304 }, 0)).toBe("chunks/0/0/4_0_4194304")
    expect(slicePrefix(4)).toBe("chunks/0/0/4_")
    const home = { ino: 7, chunk: 2 }
    expect(blockKey("generations", "acme_1", { ...one, home }, 1)).toBe("blocks/acme_1/7/1234567/2/1")
  })

  it("of generations go with a slice wherever it is used, and into the garbage", () => {
    desk = new Desk()
    desk.do({ _tag: "Configure", layout: "generations" })
    ino = desk.do({ _tag: "Create", parent: 1, name: "f", mode: 0o644, ...change }).attributes.ino
    next = desk.do({ _tag: "ReserveSlices", count: 10 }).first
    expect(desk.fault({ _tag: "Configure", layout: "slices" })).toBe("EINVAL")
    const other = desk.do({ _tag: "Create", parent: 1, name: "g", mode: 0o644, ...change }).attributes.ino
    desk.do({ _tag: "Truncate", ino, size: chunkBytes, ...change })
    desk.do({ _tag: "Append", ino, slices: [{ chunk: 0, ...slice(5) }], ...change })
    desk.do({ _tag: "CopyRange", from: ino, offset: chunkBytes, length: 5, ino: other, to: 0, ...change })
    const home = { ino, chunk: 0 }
    expect(desk.show({ _tag: "ReadPlan", ino: other, offset: 0, length: 5 }).parts).toMatchObject([{ id: 1, home }])
    desk.do({ _tag: "Unlink", parent: 1, name: "f", ...change })
    desk.do({ _tag: "Unlink", parent: 1, name: "g", ...change })
    expect(desk.show({ _tag: "Garbage" }).garbage).toMatchObject([{ id: 1, home }])
  })
})

describe("the queue of garbage", () => {
  it("is read in pages and forgets what was collected", () => {
    for (let n = 0; n < 5; n++) write(0, 0, slice(10))
    const page = desk.show({ _tag: "Garbage", limit: 3 })
    expect(page).toMatchObject({ held: 4, end: false })
    expect(desk.show({ _tag: "Garbage", after: 2 }).garbage).toMatchObject([{ sequence: 3, id: 4 }])
    desk.do({ _tag: "Collect", sequences: [0, 2, 77] })
    expect(garbage()).toEqual([2, 4])
    const { version } = desk
    expect(desk.do({ _tag: "Collect", sequences: [0, 2] })).toEqual({ version })
    expect(desk.fault({ _tag: "Collect", sequences: [1] }, "key-a")).toBe("NotAllowed")
  })
})
