/** Whole files in one go, and the blocks that they are read from. */
import { Stream } from "effect"
import { describe, expect, it } from "vitest"
import { makeShelf } from "../../adapters/memory/scratch.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { type Progress, readFile, writeFile } from "../../runtime/files/transfer.ts"
import { Bytespace } from "../sim/bytespace.ts"
import { append, ground, mib, noise, open, place, read, run, who, write } from "./files.ground.ts"

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
