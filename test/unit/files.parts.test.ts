/** The small parts of the data plane: digests, keys, pieces, what leaves a cache, and what is read ahead. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { makeShelf } from "../../adapters/memory/scratch.ts"
import { newMeters } from "../../runtime/files/data.ts"
import { digestAt, digestOf } from "../../runtime/files/digest.ts"
import { BlockDisk } from "../../runtime/files/disk.ts"
import { ShelfIndex } from "../../runtime/files/evict.ts"
import { keysOf, overlay, type Piece, piecesOf } from "../../runtime/files/keys.ts"
import { BlockMemory } from "../../runtime/files/memory.ts"
import { ReadAhead } from "../../runtime/files/readahead.ts"
import { Room } from "../../runtime/files/room.ts"
import { ScratchFailed } from "../../runtime/ports/scratch.ts"

const mib = 1024 * 1024

describe("digests", () => {
  it("are xxh3-64, as others compute it", () => {
    // The sanity buffer of the reference implementation: each byte is the top byte of a growing product.
    const sanity = (length: number) => {
      const bytes = new Uint8Array(length)
      let state = 2654435761n
      for (let at = 0; at < length; at++) {
        bytes[at] = Number((state >> 56n) & 0xffn)
        state = (state * 11400714785074694797n) & 0xffff_ffff_ffff_ffffn
      }
      return bytes
    }
    const known: ReadonlyArray<readonly [number, string]> = [
      [0, "2d06800538d394c2"],
      [1, "c44bdff4074eecdb"],
      [6, "27b56a84cd2d7325"],
      [12, "a713daf0dfbb77e7"],
      [24, "a3fe70bf9d3510eb"],
      [48, "397da259ecba1f11"],
      [80, "bcdefbbb2c47c90a"],
      [195, "cd94217ee362ec3a"],
      [403, "cdeb804d65c6dea4"],
      [512, "617e49599013cb6b"],
      [2048, "dd59e2c3a5f038e0"],
      [2240, "6e73a90539cf2948"],
      [2367, "cb37aeb9e5d361ed"]
    ]
    for (const [length, digest] of known) expect(digestOf(sanity(length)), `${length} bytes`).toBe(digest)
  })

  it("stand in a row, one for each block", () => {
    expect(digestAt("0123456789abcdefFEDCBA9876543210", 1)).toBe("FEDCBA9876543210")
  })
})

describe("keys", () => {
  it("are as they are documented, in both layouts", () => {
    const slices = keysOf({ prefix: "org/space", layout: "slices", workspace: "space" })
    expect(slices({ id: 4, size: 1234567 }, 0)).toBe("org/space/chunks/0/0/4_0_1234567")
    expect(slices({ id: 1_002_003, size: 5 * mib }, 1)).toBe(`org/space/chunks/1/1002/1002003_1_${mib}`)
    const generations = keysOf({ prefix: "org/space", layout: "generations", workspace: "space" })
    expect(generations({ id: 9, size: 5, home: { ino: 7, chunk: 3 } }, 2)).toBe("org/space/blocks/space/7/9/3/2")
    expect(keysOf({ prefix: "", layout: "slices", workspace: "" })({ id: 1, size: 2 }, 0)).toBe("chunks/0/0/1_0_2")
  })

  it("of a part are those of the blocks that it touches", () => {
    const digests = "a".repeat(16) + "b".repeat(16) + "c".repeat(16)
    const part = { at: 100, len: 6 * mib, id: 5, size: 9 * mib, off: 3 * mib, digests }
    const pieces = piecesOf(
      [part, { at: 100 + 6 * mib, len: 10, id: 0, size: 0, off: 0, digests: "" }],
      ({ id }, index) => `${id}.${index}`
    )
    expect(pieces).toEqual([
      { kind: "block", at: 100, len: mib, block: { key: "5.0", size: 4 * mib, digest: "a".repeat(16) }, from: 3 * mib },
      {
        kind: "block",
        at: 100 + mib,
        len: 4 * mib,
        block: { key: "5.1", size: 4 * mib, digest: "b".repeat(16) },
        from: 0
      },
      { kind: "block", at: 100 + 5 * mib, len: mib, block: { key: "5.2", size: mib, digest: "c".repeat(16) }, from: 0 },
      { kind: "hole", at: 100 + 6 * mib, len: 10 }
    ])
  })

  it("newer pieces lie over older ones", () => {
    const hole = (at: number, len: number): Piece => ({ kind: "hole", at, len })
    const text = (at: number, bytes: string): Piece => ({
      kind: "bytes",
      at,
      len: bytes.length,
      bytes: Buffer.from(bytes)
    })
    const show = (pieces: ReadonlyArray<Piece>) =>
      pieces
        .map((piece) => (piece.kind === "bytes" ? Buffer.from(piece.bytes).toString() : ".".repeat(piece.len)))
        .join("")
    expect(show(overlay([hole(0, 10)], [text(3, "ab")]))).toBe("...ab.....")
    expect(show(overlay([text(0, "abcd"), text(4, "efgh")], [text(2, "XY"), text(4, "Z")]))).toBe("abXYZfgh")
    expect(show(overlay([text(0, "ab")], [text(0, "XYZ")]))).toBe("XYZ")
    expect(show(overlay([], [text(0, "new")]))).toBe("new")
    expect(show(overlay([text(5, "old")], []))).toBe("old")
  })
})

describe("what leaves", () => {
  it("memory is what was not used for longest", () => {
    const memory = new BlockMemory(10)
    memory.put("a", new Uint8Array(4))
    memory.put("b", new Uint8Array(4))
    memory.get("a")
    memory.put("c", new Uint8Array(4))
    expect(["a", "b", "c"].filter((key) => memory.has(key))).toEqual(["a", "c"])
    memory.put("large", new Uint8Array(11))
    expect(memory.bytes).toBe(8)
    memory.put("a", new Uint8Array(1))
    expect(memory.bytes).toBe(5)
  })

  it("the disk is the older of two, or the oldest of all", () => {
    const index = new ShelfIndex()
    for (const name of ["a", "b", "c"]) index.add(name, 10)
    index.touch("a")
    expect(index.oldest()).toBe("b")
    const picks = [0, 1]
    expect(index.ofTwo(() => picks.shift() ?? 0)).toBe("b")
    expect(index.remove("b")).toBe(true)
    expect(index.remove("b")).toBe(false)
    expect({ bytes: index.bytes, count: index.count }).toEqual({ bytes: 20, count: 2 })
    expect(index.ofTwo(() => 0)).toBe("a")
    expect(index.ofTwo(() => 1)).toBe("c")
  })
})

describe("the disk cache", () => {
  const opened = (options: { readonly cacheBytes?: number; readonly free?: () => number } = {}) => {
    const shelf = makeShelf(options.free)
    const meters = newMeters()
    let now = 0
    const disk = new BlockDisk(shelf, {
      cacheBytes: options.cacheBytes ?? 1000,
      freeShare: 0.1,
      eviction: "lru",
      below: () => 0,
      now: () => now,
      fork: (work) => Effect.runSync(work),
      meters
    })
    return { shelf, meters, disk, pass: (ms: number) => (now += ms) }
  }
  const block = (key: string, bytes: Uint8Array) => ({ key, size: bytes.length, digest: digestOf(bytes) })

  it("never takes more than it may", () => {
    const { disk, shelf } = opened({ cacheBytes: 350 })
    for (let index = 0; index < 20; index++) disk.keep(String(index), new Uint8Array(100))
    expect([...shelf.kept.keys()]).toEqual(["17", "18", "19"])
    disk.keep("too large", new Uint8Array(351))
    expect(shelf.kept.size).toBe(3)
  })

  it("makes room on a disk that is full, and writes nothing there", () => {
    let free = 1
    const { disk, shelf } = opened({ cacheBytes: 1_000_000, free: () => free })
    for (let index = 0; index < 64; index++) disk.keep(String(index), new Uint8Array(100))
    expect(shelf.kept.size).toBe(64)
    free = 0.05
    disk.keep("one more", new Uint8Array(100))
    expect(shelf.kept.size).toBe(48)
    free = 0.5
    disk.keep("one more", new Uint8Array(100))
    expect(shelf.kept.size).toBe(49)
  })

  it("is left alone for a while when it keeps failing", () => {
    const { disk, meters, pass, shelf } = opened()
    const good = new Uint8Array(10)
    disk.keep("good", good)
    const { read } = shelf
    const fails = () =>
      Effect.fail(new ScratchFailed({ operation: "read", name: "good", why: "an input/output error" }))
    Object.assign(shelf, { read: fails })
    for (let index = 0; index < 20; index++) Effect.runSync(disk.get(block("good", good)))
    expect(meters.cacheFailures).toBe(8)
    Object.assign(shelf, { read })
    expect(Effect.runSync(disk.get(block("good", good)))).toBeUndefined()
    pass(60_001)
    expect(Effect.runSync(disk.get(block("good", good)))).toEqual(good)
  })
})

describe("reading ahead", () => {
  it("doubles its window while reads follow one another, to its limit", () => {
    const ahead = new ReadAhead(32 * mib)
    const windows: Array<number> = []
    for (let at = 0; at < 200 * mib; at += mib) {
      const next = ahead.observe(at, mib, false)
      if (next !== undefined) windows.push((next.to - at - mib) / mib)
    }
    expect(Math.max(...windows)).toBe(32)
    expect(windows[0]).toBe(4)
  })

  it("never asks for the same range twice", () => {
    const ahead = new ReadAhead(32 * mib)
    let reached = 0
    for (let at = 0; at < 100 * mib; at += mib / 8) {
      const next = ahead.observe(at, mib / 8, false)
      if (next === undefined) continue
      expect(next.from).toBeGreaterThanOrEqual(reached)
      reached = next.to
    }
  })

  it("follows two places at once, and nothing in random reads", () => {
    const ahead = new ReadAhead(32 * mib)
    let asked = 0
    for (let index = 0; index < 16; index++) {
      if (ahead.observe(1000 * mib + index * mib, mib, false) !== undefined) asked++
      if (ahead.observe(5000 * mib + index * mib, mib, false) !== undefined) asked++
    }
    expect(asked).toBeGreaterThan(8)
    const random = new ReadAhead(32 * mib)
    for (let index = 1; index < 50; index++)
      expect(random.observe(((index * 7919) % 1000) * 64 * mib, 4096, false)).toBeUndefined()
  })

  it("shrinks under pressure", () => {
    const ahead = new ReadAhead(32 * mib)
    for (let at = 0; at < 64 * mib; at += mib) ahead.observe(at, mib, false)
    for (let at = 64 * mib; at < 74 * mib; at += mib) ahead.observe(at, mib, true)
    const next = ahead.observe(200 * mib, mib, false)
    expect(next).toBeUndefined()
  })
})

describe("the room for small blocks", () => {
  it("counts for the collector behind its limit", () => {
    const room = new Room(100_000)
    const isCounted = () => room.take(40_000).buffer instanceof ArrayBuffer
    expect([isCounted(), isCounted(), isCounted()]).toEqual([false, false, true])
  })
})
