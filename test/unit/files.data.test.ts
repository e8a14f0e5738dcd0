/** Writing and reading files' bytes, one property of it at a time. */
import { Effect, Exit, Scope, Stream } from "effect"
import { describe, expect, it } from "vitest"
import { make as makeObjects } from "../../adapters/memory/objects.ts"
import { type MemoryShelf, type MemoryTape, makeShelf, makeTape } from "../../adapters/memory/scratch.ts"
import type { Committed, Data } from "../../runtime/files/data.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import type { DataOptions } from "../../runtime/files/options.ts"
import { type Progress, readFile, writeFile } from "../../runtime/files/transfer.ts"
import { type Objects, StoreDown, StoreRefused } from "../../runtime/ports/objects.ts"
import { Bytespace, calm } from "../sim/bytespace.ts"

const who = { uid: 1000, gid: 1000 }
const mib = 1024 * 1024
const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const

interface Ground {
  readonly objects: Objects["Service"]
  readonly keys: Set<string>
  readonly space: Bytespace
  readonly tape: MemoryTape
  readonly shelf: MemoryShelf
  readonly committed: Array<Committed>
  /** Why puts and gets fail, when they do. */
  fault: { put?: "down" | "refused" | undefined; get?: "down" | undefined; damage?: number }
}

const ground = (): Ground => {
  const inner = makeObjects()
  const keys = new Set<string>()
  const made: Ground = {
    keys,
    objects: {
      ...inner,
      put: (key, bytes) =>
        Effect.suspend(() => {
          const failed = { operation: "put", key, why: "it is away" }
          if (made.fault.put === "down") return Effect.fail(new StoreDown(failed))
          if (made.fault.put === "refused") return Effect.fail(new StoreRefused(failed))
          keys.add(key)
          return inner.put(key, bytes)
        }),
      get: (key, range) =>
        Effect.suspend(() => {
          if (made.fault.get === "down") return Effect.fail(new StoreDown({ operation: "get", key, why: "it is away" }))
          return Effect.map(inner.get(key, range), (bytes) => {
            if ((made.fault.damage ?? 0) > 0) {
              made.fault.damage = (made.fault.damage ?? 0) - 1
              bytes[0] = (bytes[0] ?? 0) ^ 1
            }
            return bytes
          })
        })
    },
    space: new Bytespace(keysOf(place), (key) => keys.has(key)),
    tape: makeTape(),
    shelf: makeShelf(),
    committed: [],
    fault: {}
  }
  return made
}

interface Opened {
  readonly data: Data
  /** As kill -9 ends it. */
  readonly kill: () => Promise<void>
}

const open = async (
  on: Ground,
  options: Partial<DataOptions> & { readonly unstaged?: boolean } = {}
): Promise<Opened> => {
  const scope = Scope.makeUnsafe()
  const parts = {
    objects: on.objects,
    commands: on.space.commands(calm),
    shelf: on.shelf,
    tape: options.unstaged ? undefined : on.tape,
    options: { ...place, onCommitted: (one: Committed) => void on.committed.push(one), ...options }
  }
  const data = await Effect.runPromise(Scope.provide(openData(parts), scope))
  return { data, kill: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const run = Effect.runPromise
const write = (data: Data, offset: number, bytes: Uint8Array | string, ino = 2) =>
  run(data.write({ ino, offset, data: Buffer.from(bytes), who }))
const append = (data: Data, offset: number, bytes: string, ino = 2) =>
  run(data.write({ ino, offset, data: Buffer.from(bytes), who, append: true }))
const read = async (data: Data, offset: number, length: number, ino = 2) =>
  Buffer.concat(await run(data.read({ ino, offset, length, handle: 1 })))
const text = async (data: Data, ino = 2) => (await read(data, 0, 1000, ino)).toString()
const noise = (bytes: number, seed = 1) => {
  const out = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    out[at] = state >>> 16
  }
  return out
}

describe("a file's bytes", () => {
  it("are read back before and after they are committed, by their writer and by others", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "hello world")
    await write(data, 6, "there")
    expect(await text(data)).toBe("hello there")
    expect(data.sizeOf(2, 0)).toBe(11)
    expect(on.keys.size).toBe(0)
    await run(data.flush(2))
    expect([...on.keys]).toEqual(["org/space/chunks/0/0/1_0_11"])
    expect(data.isDirty(2)).toBe(false)
    expect(on.committed.map(({ attributes }) => attributes.size)).toEqual([11])
    const other = await open(on, { unstaged: true })
    expect(await text(other.data)).toBe("hello there")
  })

  it("are blocks of four mebibytes, uploaded while they come", async () => {
    const on = ground()
    const { data } = await open(on)
    const bytes = noise(9 * mib + 5)
    for (let at = 0; at < bytes.length; at += mib) await write(data, at, bytes.subarray(at, at + mib))
    await expect.poll(() => on.keys.size).toBe(2)
    expect((await read(data, 0, bytes.length)).equals(bytes)).toBe(true)
    await run(data.flush(2))
    expect([...on.keys].map((key) => key.split("/").at(-1))).toEqual(["1_0_4194304", "1_1_4194304", `1_2_${mib + 5}`])
    expect(on.space.applied.length).toBe(1)
    const fresh = await open(ground(), {})
    expect(
      (await read((await open({ ...on, shelf: makeShelf() })).data, 3, bytes.length)).equals(bytes.subarray(3))
    ).toBe(true)
    expect(await text(fresh.data)).toBe("")
  })

  it("written in scattered places become one object and one commit", async () => {
    const on = ground()
    const { data } = await open(on)
    const model = Buffer.alloc(200 * 8192)
    for (let index = 0; index < 200; index++) {
      const at = ((index * 37) % 200) * 8192
      const page = noise(4096, index + 1)
      model.set(page, at)
      await write(data, at, page)
    }
    await run(data.flush(2))
    expect(on.keys.size).toBe(1)
    expect(on.space.applied.length).toBe(1)
    const end = 199 * 8192 + 4096
    expect((await read(data, 0, model.length)).equals(model.subarray(0, end))).toBe(true)
  })

  it("that were read do not change when they are written over", async () => {
    const { data } = await open(ground())
    await write(data, 0, "before")
    const pieces = await run(data.read({ ino: 2, offset: 0, length: 6, handle: 1 }))
    await write(data, 0, "after!")
    expect(Buffer.concat(pieces).toString()).toBe("before")
  })

  it("lie over one another in the order of the writes", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "a".repeat(100))
    await write(data, 150, "b".repeat(100))
    // It goes on where the first ended, and lies over what came in between.
    await write(data, 90, "c".repeat(70))
    const wanted = "a".repeat(90) + "c".repeat(70) + "b".repeat(90)
    expect(await text(data)).toBe(wanted)
    await run(data.flush(2))
    expect(await text(data)).toBe(wanted)
  })

  it("end where the file ends, and are zeros where nothing was written", async () => {
    const { data } = await open(ground())
    await write(data, 70 * mib, "far")
    expect((await read(data, 70 * mib - 4, 100)).toString("latin1")).toBe("\0\0\0\0far")
    await run(data.flush(2))
    expect((await read(data, 70 * mib - 4, 100)).toString("latin1")).toBe("\0\0\0\0far")
    expect((await read(data, 71 * mib, 10)).length).toBe(0)
  })

  it("cross the edges of chunks", async () => {
    const on = ground()
    const { data } = await open(on)
    const bytes = noise(2 * mib)
    await write(data, 63 * mib, bytes)
    expect((await read(data, 63 * mib, 2 * mib)).equals(bytes)).toBe(true)
    await run(data.flush(2))
    expect(on.space.file(2).parts.map(({ at, len }) => [at / mib, len / mib])).toEqual([
      [63, 1],
      [64, 1]
    ])
    expect((await read(data, 63 * mib, 2 * mib)).equals(bytes)).toBe(true)
  })
})

describe("appends", () => {
  it("of two hosts lie behind one another, wherever each believed the end to be", async () => {
    const on = ground()
    const one = await open(on)
    const other = await open(on, { unstaged: true })
    await append(one.data, 0, "one ")
    await append(other.data, 0, "other ")
    await append(one.data, 4, "two ")
    await run(other.data.flush(2))
    await run(one.data.flush(2))
    expect(await text(other.data)).toBe("other one two ")
    expect(on.committed.map(({ moved }) => moved)).toEqual([
      { believed: 0, offset: 0, length: 6 },
      { believed: 0, offset: 6, length: 8 }
    ])
  })

  it("lie behind one another where the first of them came to lie, before they are committed too", async () => {
    const on = ground()
    const other = await open(on, { unstaged: true })
    await append(other.data, 0, "other ")
    await run(other.data.flush(2))
    const commands = on.space.commands({ ...calm, delayMs: () => 40 })
    const scope = Scope.makeUnsafe()
    const data = await run(Scope.provide(openData({ objects: on.objects, commands, options: place }), scope))
    await append(data, 0, "a")
    const flushing = run(data.flush(2))
    await new Promise((resolve) => setTimeout(resolve, 10))
    await append(data, 1, "b")
    await flushing
    expect(data.sizeOf(2, 7)).toBe(8)
    expect(await text(data)).toBe("other ab")
    await run(Scope.close(scope, Exit.void))
  })

  it("are read where they are believed to be until they are committed", async () => {
    const on = ground()
    const { data } = await open(on)
    await append(data, 0, "a")
    await append(data, 0, "b")
    expect(await text(data)).toBe("ab")
    await write(data, 0, "X")
    expect(await text(data)).toBe("Xb")
    await run(data.flush(2))
    expect(await text(data)).toBe("Xb")
  })
})

describe("flush", () => {
  it("says what the store refused, keeps the bytes, and succeeds when the store takes them", async () => {
    const on = ground()
    const { data } = await open(on)
    on.fault.put = "refused"
    await write(data, 0, "kept")
    await expect(run(data.flush(2))).rejects.toMatchObject({ errno: "EIO" })
    expect(await text(data)).toBe("kept")
    expect(on.space.applied).toEqual([])
    on.fault.put = undefined
    await run(data.flush(2))
    expect(on.space.applied.length).toBe(1)
  })

  it("gives up in time when the store is away, and what it waited for is tried on", async () => {
    const on = ground()
    const { data } = await open(on, { flushMs: 50 })
    on.fault.put = "down"
    await write(data, 0, "kept")
    await expect(run(data.flush(2))).rejects.toMatchObject({ errno: "EIO", why: expect.stringContaining("it is away") })
    on.fault.put = undefined
    await expect.poll(() => on.space.applied.length, { timeout: 8_000 }).toBe(1)
    await run(data.flush(2))
  })

  it("says once that the workspace refused, and what was refused is gone", async () => {
    const on = ground()
    const { data } = await open(on)
    on.space.bytesMax = -1
    await write(data, 0, "too much")
    await expect(run(data.flush(2))).rejects.toMatchObject({ errno: "ENOSPC" })
    await run(data.flush(2))
    expect(await text(data)).toBe("")
    expect(data.meters.dirtyBytes).toBe(0)
  })

  it("counts what was refused while nobody waited, and still says it to who asks first", async () => {
    const on = ground()
    const { data } = await open(on)
    on.space.bytesMax = -1
    await write(data, 0, "too much")
    await expect.poll(() => data.meters.lostFiles, { timeout: 8_000 }).toBe(1)
    expect(data.isDirty(2)).toBe(false)
    await expect(run(data.flush(2))).rejects.toMatchObject({ errno: "ENOSPC" })
    await run(data.flush(2))
  })

  it("of all files says the first failure and waits for the others", async () => {
    const on = ground()
    const { data } = await open(on)
    data.fail(3, "EIO", "lost")
    await write(data, 0, "well")
    await expect(run(data.flushAll)).rejects.toMatchObject({ errno: "EIO", ino: 3 })
    expect(on.space.applied.length).toBe(1)
    await run(data.flushAll)
  })
})

describe("order", () => {
  it("a commit between a plan and its use hides nothing", async () => {
    const on = ground()
    const commands = on.space.commands(calm)
    const scope = Scope.makeUnsafe()
    const opened: { data?: Data } = {}
    const between = (ino: number) => Effect.suspend(() => Effect.orDie(opened.data?.flush(ino) ?? Effect.void))
    const readPlan = (ino: number, offset: number, length: number) =>
      Effect.tap(commands.readPlan(ino, offset, length), () => between(ino))
    const parts = { objects: on.objects, commands: { ...commands, readPlan }, options: place }
    const data = await run(Scope.provide(openData(parts), scope))
    opened.data = data
    await write(data, 0, "hello")
    expect(await text(data)).toBe("hello")
    await run(Scope.close(scope, Exit.void))
  })

  it("a change of size comes behind what was written before and in front of what is written after", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "0123456789")
    await run(
      data.ordered(
        2,
        Effect.andThen(data.write({ ino: 2, offset: 2, data: Buffer.from("ab"), who }), () =>
          Effect.sync(() => on.space.truncate(2, 5))
        )
      )
    )
    expect(await text(data)).toBe("01ab4")
    await run(data.flush(2))
    expect(await text(data)).toBe("01ab4")
  })

  it("nothing is committed while a change is under way, and all of it after", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "0123456789")
    const change = Effect.gen(function* () {
      yield* data.write({ ino: 2, offset: 8, data: Buffer.from("XY"), who })
      yield* Effect.forkDetach(data.flush(2))
      yield* Effect.sleep(50)
      expect(on.space.applied.length).toBe(1)
      on.space.truncate(2, 3)
    })
    await run(data.ordered(2, change))
    await run(data.flush(2))
    expect(on.space.applied.length).toBe(2)
    expect(await text(data)).toBe("012\0\0\0\0\0XY")
  })

  it("what is discarded is not stored", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "for nothing")
    data.discard(2)
    await run(data.flush(2))
    expect(on.keys.size).toBe(0)
    expect(data.meters).toMatchObject({ dirtyBytes: 0, dirtyFiles: 0 })
  })
})

describe("memory", () => {
  it("is bounded: behind it writes wait until there is room", async () => {
    const on = ground()
    const { data } = await open(on, { unstaged: true, bufferBytes: 8 * mib })
    on.fault.put = "down"
    const page = noise(mib)
    let done = 0
    const writing = (async () => {
      for (let index = 0; index < 40; index++) {
        await write(data, index * mib, page)
        done = index + 1
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(done).toBeLessThanOrEqual(9)
    expect(data.meters.dirtyBytes).toBeLessThanOrEqual(9 * mib)
    on.fault.put = undefined
    await writing
    await run(data.flush(2))
    expect(on.space.file(2).size).toBe(40 * mib)
  })

  it("takes a write that waited once", async () => {
    const on = ground()
    const { data } = await open(on, { unstaged: true, bufferBytes: 8 * mib })
    on.fault.put = "down"
    const writing = (async () => {
      for (let index = 0; index < 20; index++) {
        const bytes = noise(mib, index + 1)
        await run(data.write({ ino: 2, offset: index * mib, data: bytes, who, append: true }))
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, 100))
    on.fault.put = undefined
    await writing
    await run(data.flush(2))
    expect(data.meters.waits).toBeGreaterThan(0)
    expect(on.space.file(2).size).toBe(20 * mib)
    for (const index of [0, 7, 8, 9, 19])
      expect((await read(data, index * mib, mib)).equals(noise(mib, index + 1))).toBe(true)
  })

  it("is relieved by the stage while the store is away, until that is full too", async () => {
    const on = ground()
    const { data } = await open(on, { bufferBytes: 8 * mib, stageBytes: 24 * mib })
    on.fault.put = "down"
    const bytes = noise(40 * mib)
    let done = 0
    const writing = (async () => {
      for (let index = 0; index < 40; index++) {
        await write(data, index * mib, bytes.subarray(index * mib, (index + 1) * mib))
        done = index + 1
      }
    })()
    await expect.poll(() => done, { timeout: 8_000 }).toBeGreaterThanOrEqual(20)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(done).toBeLessThanOrEqual(24)
    expect((await read(data, 0, 20 * mib)).equals(bytes.subarray(0, 20 * mib))).toBe(true)
    on.fault.put = undefined
    await writing
    await run(data.flush(2))
    expect((await read(data, 0, 40 * mib)).equals(bytes)).toBe(true)
    expect(data.meters.stagedBytes).toBeLessThan(17 * mib)
  })
})

describe("the stage", () => {
  it("gives what was accepted to the next process", async () => {
    const on = ground()
    const one = await open(on)
    await write(one.data, 0, "flushed")
    await run(one.data.flush(2))
    await write(one.data, 7, " and staged")
    await write(one.data, 0, "FLUSHED")
    await append(one.data, 0, "appended", 3)
    await one.kill()
    const two = await open(on)
    expect(two.data.meters.recoveredBytes).toBe(11 + 7 + 8)
    expect(await text(two.data)).toBe("FLUSHED and staged")
    await run(two.data.flushAll)
    expect(on.space.file(2).size).toBe(18)
    expect(await text(two.data, 3)).toBe("appended")
    await two.kill()
    const three = await open(on)
    expect(three.data.meters.recoveredBytes).toBe(0)
    expect(await text(three.data)).toBe("FLUSHED and staged")
  })

  it("sends a command again as the one it was", async () => {
    const on = ground()
    const one = await open(on)
    const commands = on.space.commands(calm)
    await write(one.data, 0, "once")
    const scope = Scope.makeUnsafe()
    const parts = { objects: on.objects, shelf: on.shelf, tape: on.tape, options: place }
    await one.kill()
    // Its command is done, and it dies before it hears of it.
    const deaf = {
      ...commands,
      write: (...args: Parameters<typeof commands.write>) => Effect.andThen(commands.write(...args), Effect.never)
    }
    const data = await run(Scope.provide(openData({ ...parts, commands: deaf }), scope))
    run(data.flush(2)).catch(() => {})
    await expect.poll(() => on.space.applied.length).toBe(1)
    await run(Scope.close(scope, Exit.void))
    const two = await open(on)
    await run(two.data.flush(2))
    expect(on.space.applied.length).toBe(1)
    expect(await text(two.data)).toBe("once")
  })

  it("that is full lets a write through to the store, which returns when it is committed", async () => {
    const on = { ...ground(), tape: makeTape(3000) }
    const { data } = await open(on)
    await write(data, 0, noise(1000))
    await write(data, 1000, noise(4000))
    expect(on.space.file(2).size).toBe(5000)
    await write(data, 0, "small")
    expect((await read(data, 0, 5)).toString()).toBe("small")
  })

  it("is not taken over by another session, which could lay it over what others wrote since", async () => {
    const on = ground()
    const one = await open(on, { session: "one" })
    await write(one.data, 0, "unflushed")
    await one.kill()
    const other = await open(on, { session: "two" })
    expect(other.data.meters).toMatchObject({ recoveredBytes: 0, lostFiles: 1 })
    await run(other.data.flushAll)
    expect(on.keys.size).toBe(0)
    await other.kill()
    expect((await open(on, { session: "one" })).data.meters.recoveredBytes).toBe(0)
  })

  it("that was taken away is missed by the next process of its session: each file says so once", async () => {
    const on = ground()
    const one = await open(on, { session: "one" })
    await write(one.data, 0, "flushed")
    await run(one.data.flush(2))
    await one.kill()
    const two = await open(on, { session: "one", resumed: true })
    await run(two.data.flush(2))
    await write(two.data, 0, "lost")
    await two.kill()
    on.tape.kept.clear()
    const three = await open(on, { session: "one", resumed: true })
    await write(three.data, 7, " again")
    await expect(run(three.data.flush(2))).rejects.toMatchObject({ errno: "EIO" })
    await run(three.data.flush(2))
    await expect(run(three.data.flush(3))).rejects.toMatchObject({ errno: "EIO" })
    expect(await text(three.data)).toBe("flushed again")
  })

  it("goes on behind half a record, which was never accepted", async () => {
    const on = ground()
    const one = await open(on)
    await write(one.data, 0, "first ")
    await write(one.data, 6, "torn")
    await one.kill()
    const bytes = on.tape.kept.get(1)
    if (bytes === undefined) throw new Error("nothing is staged")
    on.tape.kept.set(1, bytes.slice(0, -2))
    on.fault.put = "down"
    const two = await open(on)
    await write(two.data, 6, "second")
    await two.kill()
    on.fault.put = undefined
    const three = await open(on)
    await run(three.data.flushAll)
    expect(await text(three.data)).toBe("first second")
  })

  it("that is damaged in the middle gives what is whole, and starts", async () => {
    const on = ground()
    const one = await open(on)
    on.fault.put = "down"
    await write(one.data, 0, noise(3 * mib))
    for (let index = 0; index < 40; index++) await write(one.data, 3 * mib + index * 2 * mib, noise(2 * mib))
    await one.kill()
    expect(on.tape.kept.size).toBeGreaterThan(1)
    const bytes = on.tape.kept.get(1)
    if (bytes === undefined) throw new Error("nothing is staged")
    bytes[20 * mib] = (bytes[20 * mib] ?? 0) ^ 1
    on.fault.put = undefined
    const two = await open(on)
    await expect(run(two.data.flush(2))).rejects.toMatchObject({ errno: "EIO" })
    await run(two.data.flush(2))
    expect((await read(two.data, 0, 3 * mib)).equals(noise(3 * mib))).toBe(true)
  })

  it("that is full behind a chunk's end takes the whole write all the same", async () => {
    const on = { ...ground(), tape: makeTape(2 * mib + 300) }
    const { data } = await open(on)
    const bytes = noise(2 * mib)
    await write(data, 62 * mib + 1000, bytes.subarray(0, 1000))
    expect(data.accept({ ino: 2, offset: 63 * mib, data: bytes, who })).toBe(true)
    await run(data.flush(2))
    expect((await read(data, 63 * mib, 2 * mib)).equals(bytes)).toBe(true)
  })

  it("that is damaged says so at the next flush, once", async () => {
    const on = ground()
    const one = await open(on)
    await write(one.data, 0, "good")
    await write(one.data, 4, "damaged")
    await one.kill()
    const bytes = on.tape.kept.get(1)
    if (bytes === undefined) throw new Error("nothing is staged")
    bytes[bytes.length - 1] = 0
    const two = await open(on)
    await expect(run(two.data.flush(2))).rejects.toMatchObject({ errno: "EIO" })
    await run(two.data.flush(2))
    expect(await text(two.data)).toBe("good")
  })
})

describe("whole files", () => {
  it("are sent and fetched in pieces, and tell how far they are", async () => {
    const on = ground()
    const { data } = await open(on)
    const bytes = noise(10 * mib + 3)
    const pieces = Array.from({ length: 11 }, (_, index) => bytes.subarray(index * mib, (index + 1) * mib))
    const told: Array<Progress> = []
    const onProgress = (progress: Progress) => void told.push(progress)
    const sent = writeFile(data, { ino: 2, who, total: bytes.length, onProgress }, Stream.fromIterable(pieces))
    expect(await run(sent)).toBe(bytes.length)
    expect(told.at(-1)).toEqual({ bytes: bytes.length, total: bytes.length })
    expect(told.every(({ bytes: done }, index) => index === 0 || done >= (told[index - 1]?.bytes ?? 0))).toBe(true)
    told.length = 0
    const other = (await open({ ...on, shelf: makeShelf() }, { unstaged: true })).data
    const fetched = await run(Stream.runCollect(readFile(other, { ino: 2, onProgress })))
    expect(Buffer.concat(fetched).equals(bytes)).toBe(true)
    expect(told.at(-1)?.bytes).toBe(bytes.length)
    expect(other.meters.storeReads).toBe(3)
    const part = await run(Stream.runCollect(readFile(other, { ino: 2, offset: 5, length: 5 * mib })))
    expect(Buffer.concat(part).equals(bytes.subarray(5, 5 * mib + 5))).toBe(true)
    expect((await run(Stream.runCollect(readFile(other, { ino: 99 })))).length).toBe(0)
  })
})

describe("blocks", () => {
  const bytes = noise(3 * mib)
  const written = async () => {
    const on = ground()
    const { data, kill } = await open(on, { unstaged: true })
    await write(data, 0, bytes)
    await run(data.flush(2))
    await kill()
    return on
  }

  it("are verified: damage once is asked for again, damage twice is an error that names the block", async () => {
    const on = await written()
    on.fault.damage = 1
    const one = await open(on)
    expect((await read(one.data, 0, 100)).equals(bytes.subarray(0, 100))).toBe(true)
    expect(one.data.meters.digestMismatches).toBe(1)
    // Reading ahead asks too, and finds the same.
    on.fault.damage = 4
    const two = await open({ ...on, shelf: makeShelf() })
    await expect(read(two.data, 0, 100)).rejects.toMatchObject({ errno: "EIO", why: expect.stringContaining("1_0_") })
    on.fault.damage = 0
    expect((await read(two.data, 0, 100)).equals(bytes.subarray(0, 100))).toBe(true)
  })

  it("on the local disk are used after a restart, and dropped when they are damaged", async () => {
    const on = await written()
    const one = await open(on)
    await read(one.data, 0, 100)
    await expect.poll(() => on.shelf.kept.size).toBe(1)
    await one.kill()
    const two = await open(on)
    expect((await read(two.data, 0, bytes.length)).equals(bytes)).toBe(true)
    expect(two.data.meters).toMatchObject({ diskHits: 1, storeReads: 0 })
    const [kept] = on.shelf.kept.values()
    if (kept === undefined) throw new Error("nothing is kept")
    kept[5] = (kept[5] ?? 0) ^ 1
    const three = await open(on)
    expect((await read(three.data, 0, bytes.length)).equals(bytes)).toBe(true)
    expect(three.data.meters).toMatchObject({ diskHits: 0, storeReads: 1, digestMismatches: 1 })
  })

  it("are asked for once, however many wait for them", async () => {
    const on = await written()
    const { data } = await open(on)
    await Promise.all(Array.from({ length: 20 }, (_, index) => read(data, index * 100, 100)))
    expect(data.meters.storeReads).toBe(1)
  })

  it("are asked for in part when that was wished for, and wholly behind it", async () => {
    const on = await written()
    const one = await open(on, { rangedGets: true, unstaged: true })
    expect((await read(one.data, mib, 100)).equals(bytes.subarray(mib, mib + 100))).toBe(true)
    await expect.poll(() => one.data.meters.storeReadBytes).toBe(3 * mib + 100)
    expect((await read(one.data, 2 * mib, 100)).equals(bytes.subarray(2 * mib, 2 * mib + 100))).toBe(true)
    expect(one.data.meters).toMatchObject({ storeReads: 2, memoryHits: 1 })
  })

  it("that are away are waited for, and given up in time", async () => {
    const on = await written()
    on.fault.get = "down"
    const { data } = await open(on, { readMs: 8_000 })
    const reading = read(data, 0, 10)
    await new Promise((resolve) => setTimeout(resolve, 50))
    on.fault.get = undefined
    expect((await reading).length).toBe(10)
    on.fault.get = "down"
    const other = await open({ ...on, shelf: makeShelf() }, { readMs: 100 })
    await expect(read(other.data, 0, 10)).rejects.toMatchObject({ errno: "EIO" })
  })

  it("in the layout by generation are named by inode, slice, chunk and block", async () => {
    const generations = { ...place, layout: "generations" } as const
    const made = ground()
    const on = { ...made, space: new Bytespace(keysOf(generations), (key) => made.keys.has(key)) }
    const { data } = await open(on, generations)
    await write(data, 65 * mib, "here", 7)
    await append(data, 0, "there", 8)
    await run(data.flushAll)
    expect([...on.keys].sort()).toEqual(["org/space/blocks/space/7/1/1/0", "org/space/blocks/space/8/2/0/0"])
    const other = await open({ ...on, shelf: makeShelf() }, { ...generations, unstaged: true })
    expect((await read(other.data, 65 * mib, 10, 7)).toString()).toBe("here")
  })
})
