/** Scratch space in memory and in a directory, and what is particular to the directory. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Scope, Stream } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { shelf, tape } from "../../adapters/disk/scratch.ts"
import { makeShelf, makeTape } from "../../adapters/memory/scratch.ts"
import { scratchContract } from "./scratch.ts"

const root = mkdtempSync(join(tmpdir(), "artifacts-scratch-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let places = 0
const folder = () => join(root, String(++places))

scratchContract("memory", () => {
  const one = { shelf: makeShelf(), tape: makeTape() }
  return { shelf: Effect.succeed(one.shelf), tape: Effect.succeed(one.tape) }
})

scratchContract("disk", () => {
  const at = folder()
  return { shelf: Effect.sync(() => shelf(join(at, "raw"))), tape: tape(join(at, "stage")) }
})

describe("scratch space on disk", () => {
  const run = Effect.runPromise

  it("sweeps what a killed process has left half-written", async () => {
    const at = folder()
    const one = shelf(at)
    await run(one.write("a/1", Buffer.from("whole")))
    writeFileSync(join(at, "a", ".1-1.new"), "hal")
    expect((await run(Stream.runCollect(one.list))).flat()).toEqual([{ name: "a/1", size: 5 }])
    expect(readdirSync(join(at, "a"))).toEqual(["1"])
  })

  it("goes on when somebody deletes all of it", async () => {
    const at = folder()
    const one = shelf(at)
    await run(one.write("a/1", Buffer.from("x")))
    rmSync(at, { recursive: true })
    expect(await run(one.read("a/1"))).toBeUndefined()
    await run(one.write("a/1", Buffer.from("y")))
    expect(existsSync(join(at, "a", "1"))).toBe(true)
  })

  it("says what is wrong where it cannot write", async () => {
    const at = folder()
    mkdirSync(at)
    writeFileSync(join(at, "a"), "a file where a folder has to be")
    await expect(run(shelf(at).write("a/b/1", Buffer.from("x")))).rejects.toMatchObject({
      _tag: "ScratchFailed",
      operation: "write"
    })
    const scope = Scope.makeUnsafe()
    await expect(run(Scope.provide(tape(join(at, "a")), scope))).rejects.toMatchObject({ _tag: "ScratchFailed" })
  })
})
