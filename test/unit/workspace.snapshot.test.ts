/** Snapshots of a workspace: whole, of one moment, and what any Arrow tool reads of them. */
import { isDeepStrictEqual } from "node:util"
import { tableFromIPC } from "apache-arrow"
import { describe, expect, it } from "vitest"
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load, open } from "../../actors/workspace/snapshot/load.ts"
import type { TableName } from "../../actors/workspace/snapshot/rows.ts"
import { save, saving } from "../../actors/workspace/snapshot/save.ts"
import { initial, type Tree } from "../../actors/workspace/tree/tree.ts"
import { chunkBytes } from "../../messages/chunks.ts"
import { dump } from "../property/workspace.dump.ts"
import { alice, Desk, digestsOf } from "./workspace.ts"

const change = { who: alice, time: [-3, 9] as const }

/** One of everything. */
const furnished = (): Desk => {
  const desk = new Desk()
  desk.do({ _tag: "Configure", layout: "generations", bytesMax: 1e9, entriesMax: 1000 })
  for (const session of ["s1", "s2"])
    desk.do({ _tag: "BeginSession", session: session as never, mode: "rw", ...(session === "s1" ? { host: "h" } : {}) })
  const make = (name: string) => desk.do({ _tag: "Create", parent: 1, name, mode: 0o4755, ...change }).attributes.ino
  const ino = make("\udcffé")
  desk.do({ _tag: "Mkdir", parent: 1, name: "list", mode: 0o1777, ...change })
  desk.do({ _tag: "Symlink", parent: 1, name: "l", target: "\udc80/x", ...change })
  desk.do({ _tag: "Mknod", parent: 1, name: "dev", type: "block", mode: 0o600, rdev: 2 ** 33 + 1, ...change })
  desk.do({ _tag: "Link", ino, parent: 1, name: "second", ...change })
  desk.do({ _tag: "SetXattr", ino, name: "user.\udcff", value: "AAE=", ...change })
  const first = desk.do({ _tag: "ReserveSlices", count: 100 }, "s1").first
  desk.do({ _tag: "ReserveSlices", count: 9 }, "s2")
  const size = 4_194_304 * 2 + 1
  const slice = (id: number, of: number) => ({ id, size: of, off: 0, len: of, digests: digestsOf(of) })
  const slices = [
    { chunk: 0, pos: 0, ...slice(first, 10) },
    { chunk: 70, pos: 5, ...slice(first + 1, size) },
    { chunk: 70, pos: 50, ...slice(first + 2, 7) }
  ]
  desk.do({ _tag: "Write", ino, slices, ...change }, "s1")
  const other = make("open")
  desk.do({ _tag: "Write", ino: other, slices: [{ chunk: 0, pos: 0, ...slice(first + 5, 44) }], ...change }, "s1")
  desk.do({ _tag: "Unlink", parent: 1, name: "open", open: true, ...change }, "s1")
  make("late")
  desk.do({ _tag: "Unlink", parent: 1, name: "late", ...change }, "s1")
  desk.do({ _tag: "Truncate", ino, size: 70 * chunkBytes + 20, ...change })
  desk.do({ _tag: "Collect", sequences: [0] })
  const lock = {
    _tag: "Lock",
    ino,
    family: "posix",
    owner: "o",
    pid: 3,
    type: "write",
    start: 0,
    end: 5,
    wait: true
  } as const
  desk.do(lock, "s1")
  desk.do(lock, "s2")
  desk.do({ _tag: "EndSession", session: "s2" as never })
  return desk
}

describe("a snapshot", () => {
  it("is all of the tree, wherever it lies in a buffer", () => {
    const { tree } = furnished()
    const bytes = save(tree)
    expect(dump(load(bytes, "acme_1"))).toEqual(dump(tree))
    for (let askew = 1; askew < 8; askew++) {
      const moved = Buffer.concat([Buffer.alloc(askew), bytes]).subarray(askew)
      expect(dump(load(moved, "acme_1"))).toEqual(dump(tree))
    }
  })

  it("goes on as the tree itself would have", () => {
    const desk = furnished()
    const events = desk.log.length
    const copy = load(save(desk.tree), "acme_1")
    desk.do({ _tag: "Create", parent: 1, name: "next", mode: 0o600, ...change })
    desk.do({ _tag: "Unlink", parent: 1, name: "second", ...change })
    desk.do({ _tag: "EndSession", session: "s1" as never })
    desk.do({ _tag: "ReserveSlices", count: 3 })
    const fold = (tree: Tree) => {
      for (const { event, at } of desk.log.slice(events)) evolve(tree, event, at)
      return tree
    }
    expect(dump(fold(copy))).toEqual(dump(desk.tree))
  })

  it("is of the moment of its first step, and yields on the way", () => {
    const desk = furnished()
    const { tree } = desk
    // Places that were given back, for what comes next to take.
    const parent = desk.do({ _tag: "Mkdir", parent: 1, name: "gone", mode: 0o777, ...change }).attributes.ino
    for (const name of ["x", "y", "z"]) desk.do({ _tag: "Create", parent, name, mode: 0o600, ...change })
    for (const name of ["x", "y", "z"]) desk.do({ _tag: "Unlink", parent, name, ...change })
    desk.do({ _tag: "Rmdir", parent: 1, name: "gone", ...change })
    const before = dump(tree)
    const steps = saving(tree, 2)
    steps.next()
    const later = { time: [7, 7] as const, version: 98 }
    evolve(tree, { _tag: "Renamed", ino: 5, parent: 1, name: "dev", toParent: 1, toName: "disk", ...later }, 0)
    evolve(tree, { _tag: "Linked", ino: 4, parent: 3, name: "link", time: later.time }, 0)
    for (let n = 0; n < 50; n++) {
      const event = { ino: 1000 + n, parent: 1, name: `n${n}`, type: "file" as const, mode: 0, uid: 0, gid: 0 }
      evolve(tree, { _tag: "Created", ...event, time: [0, 0] }, 0)
    }
    evolve(tree, { _tag: "Truncated", ino: 2, size: 0, time: [0, 0], version: 99 }, 0)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    expect(dump(load(Buffer.concat(step.value), "acme_1"))).toEqual(before)
    expect([tree.inodes, tree.names, tree.slices, tree.garbage].map(({ watching }) => watching.size)).toEqual([
      0, 0, 0, 0
    ])
  })

  it("that is given up lets go of the tree", () => {
    const { tree } = furnished()
    const steps = saving(tree, 2)
    steps.next()
    steps.next()
    expect(tree.names.watching.size).toBe(1)
    steps.return([])
    expect(tree.names.watching.size + tree.garbage.watching.size).toBe(0)
  })

  it("of many entries is in several batches, with names of any bytes in all of them", () => {
    const tree = initial("acme_1")
    const count = 70_000
    for (let n = 0; n < count; n++) {
      const name = n % 9999 === 0 ? `\udcff${n}` : `name-${n}`
      const event = { ino: 2 + n, parent: 1, name, type: "file" as const, mode: 0o644, uid: n, gid: 0 }
      evolve(tree, { _tag: "Created", ...event, time: [n, n] }, 0)
    }
    let steps = 0
    const parts = saving(tree)
    let step = parts.next()
    for (; step.done !== true; step = parts.next()) steps += 1
    expect(steps).toBeGreaterThan(5)
    const copy = load(Buffer.concat(step.value), "acme_1")
    // The matcher would take many times as long over so many rows.
    expect(isDeepStrictEqual(copy.names.name.slice(0, count), tree.names.name.slice(0, count))).toBe(true)
    expect(isDeepStrictEqual(dump(copy), dump(tree))).toBe(true)
  })

  it("is read by Arrow's own tools, table by table", () => {
    const { tables } = open(save(furnished().tree))
    const rows = (name: TableName) =>
      tableFromIPC(tables.get(name) ?? new Uint8Array())
        .toArray()
        .map((row) => row.toJSON())
    expect(rows("names").map(({ name, ino }) => [name, ino])).toEqual([
      ["\ufffdé", 2n],
      ["list", 3n],
      ["l", 4n],
      ["dev", 5n],
      ["second", 2n]
    ])
    expect(rows("inodes")[1]).toEqual({
      ino: 2n,
      mode: 0o100755,
      nlink: 2,
      uid: 1000,
      gid: 1000,
      size: BigInt(70 * chunkBytes + 20),
      used: 25n,
      atime: -3n,
      mtime: -3n,
      ctime: -3n,
      atime_ns: 9,
      mtime_ns: 9,
      ctime_ns: 9
    })
    expect(rows("devices")).toEqual([{ ino: 5n, rdev: 2n ** 33n + 1n }])
    expect(rows("directories")).toMatchObject([
      { ino: 1n, parent: 1n },
      { ino: 3n, parent: 1n, next_cursor: 1n }
    ])
    expect(rows("slices").map(({ id, size, uses }) => [id, size, uses])).toEqual([
      [1n, 10, 1],
      [2n, 8_388_609, 1],
      [6n, 44, 1]
    ])
    expect(rows("slices")[0]?.digest).toBe(0x0123456789abcdefn)
    expect(rows("digests")).toEqual([{ slice: 2n, digests: digestsOf(8_388_609) }])
    expect(rows("homes")).toContainEqual({ slice: 2n, ino: 2n, chunk: 70n })
    expect(rows("extents")[1]).toMatchObject({ ino: 2n, position: BigInt(70 * chunkBytes + 5), slice: 2n, length: 15 })
    expect(rows("garbage")).toMatchObject([{ sequence: 1n, size: -1n, count: 9n }])
    expect(rows("xattrs")).toEqual([{ ino: 2n, name: "user.\ufffd", value: "AAE=" }])
  })
})
