/** Serves a directory of the disk on a device that its parent holds: `node test/real/fuse-child.ts PLACE DIRECTORY`. */
import { Effect } from "effect"
import { iAnswer, inherited } from "../../adapters/fuse/child.ts"
import { layerInherited } from "../../adapters/fuse/mount.ts"
import { Mount, mountDefaults } from "../../runtime/ports/mount.ts"
import { slowly } from "./fuse-disk.ts"

const [place, dir] = process.argv.slice(2)
const device = inherited()
if (place === undefined || dir === undefined || device === undefined) throw new Error("only a holder starts this")

const program = Effect.gen(function* () {
  const module = new URL("./fuse-disk.ts", import.meta.url).href
  const mounting = { place, options: mountDefaults, sync: { module, data: dir }, files: slowly(dir) }
  const { ended } = yield* (yield* Mount).mount(mounting)
  yield* iAnswer
  yield* ended
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(layerInherited(device))))
process.exit(0)
