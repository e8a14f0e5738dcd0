/** What is set of a file while bytes wait: it is committed with those, once, and outlives a process. */
import { describe, expect, it } from "vitest"
import type { Data } from "../../runtime/files/data.ts"
import { type Ground, ground, mib, noise, open, run, write } from "./files.ground.ts"

const long = { ctime: [4_000_000_000, 5] } as const
const mtime = [1_000, 7] as const
/** What was set, without when. */
const set = ({ space }: Ground) => space.set.map(({ ctime, ...rest }) => rest)
const asRoot = (data: Data, offset: number, bytes: string) =>
  run(data.write({ ino: 2, offset, data: Buffer.from(bytes), who: { uid: 0, gid: 0 } }))

describe("what is set while bytes wait", () => {
  it("goes with them in one command, with what is set after it", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "bytes")
    expect(data.set(2, { mtime, ...long })).toBe(true)
    expect(data.set(2, { mode: 0o4711, uid: 7, ...long })).toBe(true)
    expect(data.isSet(2)).toBe(true)
    await run(data.flush(2))
    expect(set(on)).toEqual([{ ino: 2, slices: 1, mtime, mode: 0o4711, uid: 7 }])
    expect([on.space.applied.length, data.isSet(2)]).toEqual([1, false])
  })

  it("has to wait where nothing does, or where it is on its way", async () => {
    const on = ground()
    const { data } = await open(on)
    expect(data.set(2, { mtime, ...long })).toBe(false)
    await write(data, 0, "bytes")
    await run(data.flush(2))
    expect(data.set(2, { mtime, ...long })).toBe(false)
    expect(set(on)).toEqual([])
  })

  it("goes soon, though nobody closes the file", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "bytes")
    data.set(2, { mode: 0o600, ...long })
    await expect.poll(() => set(on), { timeout: 400, interval: 5 }).toEqual([{ ino: 2, slices: 1, mode: 0o600 }])
  })

  it("gives way to what is written after it: that has its own time, and takes privileges away", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, "bytes")
    data.set(2, { mtime, mode: 0o4711, ctime: [1, 0] })
    await asRoot(data, 5, "more")
    expect(data.traitsOf(2)).toEqual({ mode: 0o4711, ctime: [1, 0] })
    await write(data, 9, "and more")
    await run(data.flush(2))
    expect(set(on)).toEqual([{ ino: 2, slices: 1, mode: 0o711 }])
    expect((on.space.set[0]?.ctime[0] ?? 0) > 1).toBe(true)
  })

  it("is set by the next process where the last one died, and once", async () => {
    const on = ground()
    const one = await open(on)
    on.fault.put = "down"
    await write(one.data, 0, "bytes")
    one.data.set(2, { mtime, ...long })
    one.data.set(2, { mode: 0o600, ...long })
    await one.kill()
    on.fault.put = undefined
    const two = await open(on, { resumed: true })
    await run(two.data.flush(2))
    expect(set(on)).toEqual([{ ino: 2, slices: 1, mtime, mode: 0o600 }])
    await two.kill()
    const three = await open(on, { resumed: true })
    await run(three.data.flush(2))
    expect(on.space.set.length).toBe(1)
  })

  it("is set alone where the bytes are refused", async () => {
    const on = ground()
    const { data } = await open(on)
    on.space.bytesMax = -1
    await write(data, 0, "bytes")
    data.set(2, { mode: 0o600, ...long })
    await expect(run(data.flush(2))).rejects.toMatchObject({ errno: "ENOSPC" })
    expect(set(on)).toEqual([{ ino: 2, slices: 0, mode: 0o600 }])
  })

  it("goes with the last of several commands", async () => {
    const on = ground()
    const { data } = await open(on)
    await write(data, 0, noise(mib))
    await run(data.write({ ino: 2, offset: mib, data: noise(9), append: true, who: { uid: 1, gid: 1 } }))
    data.set(2, { mtime, ...long })
    await run(data.flush(2))
    expect([on.space.applied.length, set(on)]).toEqual([2, [{ ino: 2, slices: 1, mtime }]])
  })
})
