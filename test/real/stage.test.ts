/** What a killed process had accepted is in the files once its successor has flushed: real processes, a real disk. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Exit, Scope } from "effect"
import { expect, it } from "vitest"
import { tape } from "../../adapters/disk/scratch.ts"
import { make as makeObjects } from "../../adapters/memory/objects.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import { Bytespace } from "../sim/bytespace.ts"
import { patternAt } from "./stage-pattern.ts"

const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const
const kills = 8

/** Lets a writer run for a while and kills it; how far each file was accepted, by what it said. */
const writeAndDie = async (folder: string, ms: number): Promise<ReadonlyArray<number>> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "stage-writer.ts"), folder], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  let said = ""
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString()
  })
  await once(child.stdout, "data")
  await sleep(ms)
  child.kill("SIGKILL")
  await once(child, "close")
  const ends = [0, 0]
  for (const line of said.split("\n").slice(0, -1)) {
    const [file = 0, end = 0] = line.split(" ").map(Number)
    ends[file] = end
  }
  return ends
}

const recoverAndCheck = async (folder: string, ends: ReadonlyArray<number>): Promise<number> => {
  const objects = makeObjects()
  const space = new Bytespace(keysOf(place), () => true)
  const scope = Scope.makeUnsafe()
  const opened = Effect.gen(function* () {
    return yield* openData({ objects, commands: space.commands(), tape: yield* tape(folder), options: place })
  })
  const data = await Effect.runPromise(Scope.provide(opened, scope))
  await Effect.runPromise(data.flushAll)
  for (const [file, end] of ends.entries()) {
    // The last write may have been taken and not been spoken of.
    expect(space.file(2 + file).size).toBeGreaterThanOrEqual(end)
    const pieces = await Effect.runPromise(data.read({ ino: 2 + file, offset: 0, length: end, handle: 0 }))
    expect(Buffer.concat(pieces).equals(patternAt(file, 0, end))).toBe(true)
  }
  const { recoveredBytes, stagedBytes } = data.meters
  expect(stagedBytes).toBeLessThanOrEqual(16 * 1024 * 1024)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return recoveredBytes
}

it(`keeps every byte that was accepted through ${kills} kills`, async () => {
  const root = mkdtempSync(join(tmpdir(), "artifacts-stage-"))
  try {
    let recovered = 0
    for (let kill = 0; kill < kills; kill++) {
      const folder = join(root, String(kill))
      const ends = await writeAndDie(folder, kill * 25)
      recovered += await recoverAndCheck(folder, ends)
      expect(readdirSync(folder).length).toBeLessThanOrEqual(2)
    }
    console.log(JSON.stringify({ kills, recoveredBytes: recovered }))
    expect(recovered).toBeGreaterThan(0)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
