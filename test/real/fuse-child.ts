/** Serves a directory of the disk on a device that its parent holds: `node test/real/fuse-child.ts PLACE DIRECTORY`. */
import { Effect } from "effect"
import { iAnswer, inherited } from "../../adapters/fuse/child.ts"
import { layerInherited } from "../../adapters/fuse/mount.ts"
import { Mount, mountDefaults } from "../../runtime/ports/mount.ts"
import { slowly } from "./fuse-disk.ts"

/** The status of one who leaves the mount to a successor: any but 0, which says that the mount is gone. */
const leftStatus = 3

const [place, dir] = process.argv.slice(2)
const device = inherited()
if (place === undefined || dir === undefined || device === undefined) throw new Error("only a holder starts this")

const program = Effect.gen(function* () {
  const module = new URL("./fuse-disk.ts", import.meta.url).href
  const mounting = { place, options: mountDefaults, sync: { module, data: dir }, files: slowly(dir) }
  const { ended } = yield* (yield* Mount).mount(mounting)
  yield* iAnswer
  const asked = Effect.callback<void>((resume) => {
    process.once("SIGTERM", () => resume(Effect.void))
  })
  return yield* Effect.raceFirst(Effect.as(ended, 0), Effect.as(asked, leftStatus))
})

process.exit(await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(layerInherited(device)))))
