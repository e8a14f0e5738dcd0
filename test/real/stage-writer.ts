/** Writes to two files and says after each write that it was taken, until it is killed: nobody answers its commands. */
import { writeSync } from "node:fs"
import { Effect, Scope } from "effect"
import { tape } from "../../adapters/disk/scratch.ts"
import { make as objects } from "../../adapters/memory/objects.ts"
import { openData } from "../../runtime/files/open.ts"
import { patternAt } from "./stage-pattern.ts"

const [folder = ""] = process.argv.slice(2)
const silent = () => Effect.never
const commands = { reserveSlices: silent, write: silent, append: silent, readPlan: silent }
const options = { prefix: "org/space", layout: "slices", workspace: "space" } as const
const opened = Effect.gen(function* () {
  return yield* openData({ objects: objects(), commands, tape: yield* tape(folder), options })
})
const data = await Effect.runPromise(Scope.provide(opened, Scope.makeUnsafe()))

const ends = [0, 0]
for (let count = 0; ; count++) {
  const file = count % 2
  const offset = ends[file] ?? 0
  const length = 1 + ((count * 7919) % 60_000)
  const bytes = patternAt(file, offset, length)
  const writing = { ino: 2 + file, offset, data: bytes, who: { uid: 1, gid: 1 } }
  if (!data.accept(writing)) await Effect.runPromise(data.write(writing))
  ends[file] = offset + length
  writeSync(1, `${file} ${offset + length}\n`)
  if (count % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
}
