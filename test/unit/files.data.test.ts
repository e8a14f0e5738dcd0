/** Writing and reading files' bytes: what is read back, appends, flushes, and what comes in which order. */
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { makeShelf } from "../../adapters/memory/scratch.ts"
import type { Data } from "../../runtime/files/data.ts"
import { openData } from "../../runtime/files/open.ts"
import { calm } from "../sim/bytespace.ts"
import { append, ground, mib, noise, open, place, read, run, text, who, write } from "./files.ground.ts"

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
