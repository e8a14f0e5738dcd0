/** What the flags of `mount` come to, and which of them make no sense. */
import { layer as nodeServices } from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { CliOutput, Command } from "effect/cli"
import { describe, expect, it } from "vitest"
import type { Globals } from "../../runtime/cli/globals.ts"
import { flags, wantedOf } from "../../runtime/cli/mount.ts"
import { usual, type Wanted } from "../../runtime/node/mounting.ts"

const globals: Globals = {
  ...{ data: "/data", server: undefined, token: undefined, creds: undefined },
  ...{ org: "local", json: false }
}

const quiet = CliOutput.layerPresenter({ present: () => Effect.void })

const wanted = (...args: ReadonlyArray<string>): Promise<Wanted> => {
  let found: Wanted | undefined
  const command = Command.make("mount", flags, (given) =>
    Effect.map(wantedOf(globals, given), (all) => {
      found = all
    })
  )
  const run = Command.runWith(command, { version: "0" })(["demo", "/mnt/demo", ...args])
  return Effect.runPromise(run.pipe(Effect.provide(Layer.merge(nodeServices, quiet)))).then(() => found as Wanted)
}

const mib = 1024 * 1024

describe("the flags of mount", () => {
  it("are all optional", async () => {
    expect(await wanted()).toEqual({ ...usual, globals, workspace: "demo", directory: "/mnt/demo" })
  })

  it("say where what is cached is kept, and how much of it", async () => {
    const sizes = ["--cache", "/fast", "--cache-size", "2048", "--memory-size", "64", "--buffer-size", "32"]
    expect(await wanted(...sizes)).toMatchObject({
      ...{ cache: "/fast", cacheBytes: 2048 * mib, memoryBytes: 64 * mib, bufferBytes: 32 * mib }
    })
  })

  it("say how it is mounted, and what close waits for", async () => {
    expect(await wanted("--read-only", "--only-me")).toMatchObject({ readOnly: true, allowOther: false })
    expect(await wanted("--writeback", "--max-uploads", "4")).toMatchObject({ storesLate: true, uploadsMax: 4 })
    expect(await wanted("--fuse", "native", "--attr-cache", "5")).toMatchObject({ fuse: "native", cacheMs: 5000 })
  })

  it("say how long its session outlives a silence", async () => {
    expect(await wanted("--expires", "20")).toMatchObject({ lifeMs: 20_000 })
    expect(await wanted("--seen-within", "0")).toMatchObject({ seenWithinMs: 0 })
    await expect(wanted("--seen-within", "-1")).rejects.toThrow(/--seen-within -1: the milliseconds/)
    await expect(wanted("--expires", "4")).rejects.toThrow(/--expires 4: the seconds is a number from 5 to 3600/)
  })

  it("are refused by name when they make no sense", async () => {
    await expect(wanted("--cache-size", "0")).rejects.toThrow(/--cache-size 0/)
    await expect(wanted("--max-uploads", "100000")).rejects.toThrow(/--max-uploads 100000/)
    await expect(wanted("--attr-cache", "-1")).rejects.toThrow()
    await expect(wanted("--read-only", "--writeback")).rejects.toThrow(/--read-only and --writeback/)
    await expect(wanted("--fuse", "other")).rejects.toThrow()
  })
})
