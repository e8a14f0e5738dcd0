/** What was accepted and is not stored: how much memory it takes, and what of it outlives a process. */
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { makeTape } from "../../adapters/memory/scratch.ts"
import { openData } from "../../runtime/files/open.ts"
import { calm } from "../sim/bytespace.ts"
import { append, ground, mib, noise, open, place, read, run, text, who, write } from "./files.ground.ts"

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
    await expect.poll(() => data.meters.waits).toBeGreaterThan(0)
    on.fault.put = undefined
    await writing
    await run(data.flush(2))
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
