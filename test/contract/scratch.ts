/**
 * What every scratch space has to do: blocks that are whole or not there, and segments that grow and are read again.
 */
import { Effect, Exit, Scope, Stream } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import type { ScratchFailed, Shelf, Tape } from "../../runtime/ports/scratch.ts"

export interface Scratch {
  readonly shelf: Effect.Effect<Shelf>
  readonly tape: Effect.Effect<Tape, ScratchFailed, Scope.Scope>
}

/** `make` gives a place of its own; what it opens twice is the same place, as a process and its successor have it. */
export const scratchContract = (name: string, make: () => Scratch): void => {
  const scopes: Array<Scope.Closeable> = []
  const open = async (place: Scratch): Promise<Tape & { readonly close: () => Promise<void> }> => {
    const scope = Scope.makeUnsafe()
    scopes.push(scope)
    const tape = await Effect.runPromise(Scope.provide(place.tape, scope))
    return { ...tape, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }
  const run = Effect.runPromise
  afterEach(async () => {
    for (const scope of scopes.splice(0)) await run(Scope.close(scope, Exit.void))
  })
  const listed = async (shelf: Shelf) =>
    (await run(Stream.runCollect(shelf.list))).flat().sort((a, b) => (a.name < b.name ? -1 : 1))

  describe(`scratch space: ${name}`, () => {
    it("keeps blocks by name, also for the next process", async () => {
      const place = make()
      const shelf = await run(place.shelf)
      expect(await run(shelf.read("a/b/1_0_3"))).toBeUndefined()
      await run(shelf.write("a/b/1_0_3", Buffer.from("one")))
      await run(shelf.write("a/b/2_0_5", Buffer.from("other")))
      await run(shelf.write("a/b/1_0_3", Buffer.from("ONE")))
      const next = await run(place.shelf)
      expect(Buffer.from((await run(next.read("a/b/1_0_3"))) ?? []).toString()).toBe("ONE")
      expect(await listed(next)).toEqual([
        { name: "a/b/1_0_3", size: 3 },
        { name: "a/b/2_0_5", size: 5 }
      ])
      await run(next.remove("a/b/1_0_3"))
      await run(next.remove("a/b/1_0_3"))
      expect(await listed(shelf)).toEqual([{ name: "a/b/2_0_5", size: 5 }])
    })

    it("lists nothing where nothing was ever kept, and says how much is free", async () => {
      const shelf = await run(make().shelf)
      expect(await listed(shelf)).toEqual([])
      const free = await run(shelf.free)
      expect(free).toBeGreaterThan(0)
      expect(free).toBeLessThanOrEqual(1)
    })

    it("appends to segments and reads them, also in the next process, which goes on in new ones", async () => {
      const place = make()
      const tape = await open(place)
      expect(await run(tape.segments)).toEqual([])
      expect(tape.append(1, [Buffer.from("he"), Buffer.from(""), Buffer.from("llo")])).toBe(0)
      expect(tape.append(1, [Buffer.from(" world")])).toBe(5)
      expect(tape.append(2, [Buffer.from("second")])).toBe(0)
      expect(Buffer.from(await run(tape.read(1, 3, 5))).toString()).toBe("lo wo")
      await tape.close()
      const next = await open(place)
      expect(await run(next.segments)).toEqual([
        { number: 1, size: 11 },
        { number: 2, size: 6 }
      ])
      expect(next.append(10, [Buffer.alloc(3_000_000, 7)])).toBe(0)
      expect((await run(next.read(10, 1, 2_999_999))).every((byte) => byte === 7)).toBe(true)
      next.drop(1)
      next.drop(1)
      expect((await run(next.segments)).map(({ number }) => number)).toEqual([2, 10])
    })

    it("fails to read what is not there", async () => {
      const tape = await open(make())
      tape.append(1, [Buffer.from("short")])
      await expect(run(tape.read(1, 2, 10))).rejects.toMatchObject({ _tag: "ScratchFailed" })
      await expect(run(tape.read(9, 0, 1))).rejects.toMatchObject({ _tag: "ScratchFailed" })
    })
  })
}
