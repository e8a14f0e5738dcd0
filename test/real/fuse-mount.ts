/**
 * Mounts the tree in memory until it is told to end: `node test/real/fuse-mount.ts DIRECTORY [SETTINGS] [OPTIONS]`,
 * both in JSON.
 */
import { spawnSync } from "node:child_process"
import { Effect } from "effect"
import { asUser } from "../../adapters/fuse/fusermount.ts"
import { layer } from "../../adapters/fuse/mount.ts"
import { layer as native } from "../../adapters/fuse-native/mount.ts"
import { type Invalidation, Mount, type MountOptions, mountDefaults } from "../../runtime/ports/mount.ts"
import { type Behind, main, type Settings } from "./fuse-memory.ts"

/** What a test says to this process; each is answered with its number when it is done. */
export interface Said {
  readonly id: number
  readonly behind?: Behind
  readonly invalidate?: ReadonlyArray<Invalidation>
}

const [place, settingsJson = "{}", optionsJson = "{}"] = process.argv.slice(2)
if (place === undefined) throw new Error("usage: node test/real/fuse-mount.ts DIRECTORY [SETTINGS] [OPTIONS]")
/** `native`: through libfuse. */
const settings: Settings & { readonly native?: boolean } = {
  ...{ where: "worker", entryMs: 60_000, attrMs: 60_000 },
  ...JSON.parse(settingsJson)
}
const options: MountOptions = { ...mountDefaults, ...JSON.parse(optionsJson) }

/** Without the right to mount, this starts itself again, as what has it mounted already. */
const again = "--as-user"
if (process.argv.includes(again)) {
  const args = process.argv.slice(1).filter((arg) => arg !== again)
  const { args: started, command } = asUser(place, options, { command: process.execPath, args })
  process.exit(spawnSync(command, started, { stdio: "inherit" }).status ?? 1)
}

const program = Effect.gen(function* () {
  const mount = yield* Mount
  const { behind, files } = main(settings)
  const module = new URL("./fuse-memory.ts", import.meta.url).href
  const mounted = yield* mount.mount({ place, options, sync: { module, data: settings }, files })
  const obey = Effect.fnUntraced(function* (said: Said) {
    if (said.behind !== undefined) settings.where === "main" ? behind(said.behind) : mounted.tell(said.behind)
    if (said.invalidate !== undefined) mounted.invalidate(said.invalidate)
    yield* mounted.invalidated
    process.send?.(said.id)
  })
  process.on("message", (said) => void Effect.runFork(obey(said as Said)))
  process.send?.("ready")
  process.stdout.write("ready\n")
  const asked = Effect.callback<void>((resume) => {
    for (const signal of ["SIGTERM", "SIGINT", "disconnect"]) process.once(signal, () => resume(Effect.void))
  })
  yield* Effect.race(asked, mounted.ended)
})

Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(settings.native === true ? native : layer))).then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.why ?? error.stack}\n`)
    process.exit(1)
  }
)
