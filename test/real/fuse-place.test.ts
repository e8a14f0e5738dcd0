/** What stands in the way of a mount is named, what is left of a dead one is cleaned away, and nothing stays behind. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { layer } from "../../adapters/fuse/mount.ts"
import { Mount, mountDefaults } from "../../runtime/ports/mount.ts"
import { leftOut } from "./fuse-able.ts"
import { main } from "./fuse-memory.ts"

const settings = { where: "worker", entryMs: 0, attrMs: 0 } as const
const module = new URL("./fuse-memory.ts", import.meta.url).href

const mounting = (place: string) =>
  Effect.flatMap(Mount, ({ mount }) =>
    mount({ place, options: mountDefaults, sync: { module, data: settings }, files: main(settings).files })
  )

const run = <A, E>(effect: Effect.Effect<A, E, Mount>) => Effect.runPromise(Effect.provide(effect, layer))
const refused = (place: string) => run(Effect.flip(Effect.scoped(mounting(place))))
const look = (place: string) => run(Effect.flatMap(Mount, (mount) => mount.look(place)))
const inTable = (place: string) => readFileSync("/proc/self/mountinfo", "utf8").includes(` ${place} `)

describe.skipIf(leftOut("the places of mounts"))("the place of a mount", () => {
  let base = ""
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
  })
  afterEach(() => {
    for (const name of readdirSync(base)) {
      if (inTable(join(base, name))) spawnSync("umount", ["-l", join(base, name)])
    }
    rmSync(base, { recursive: true })
  })

  it("has to be an empty directory that is there", async () => {
    expect(await refused(join(base, "none"))).toMatchObject({ reason: "missing" })
    writeFileSync(join(base, "file"), "")
    expect(await refused(join(base, "file"))).toMatchObject({ reason: "not-a-directory" })
    expect(await refused(base)).toMatchObject({ reason: "not-empty", why: expect.stringContaining(base) })
  })

  it("is free again when the scope closes, also while somebody uses it", async () => {
    const place = join(base, "m")
    mkdirSync(place)
    const program = Effect.gen(function* () {
      yield* mounting(place)
      expect(yield* Effect.promise(() => look(place))).toBe("mounted")
      expect(yield* Effect.promise(() => refused(place))).toMatchObject({ reason: "already-mounted" })
      const busy = spawn("sh", ["-c", `cd ${place} && echo in && exec sleep 100`], {
        stdio: ["ignore", "pipe", "ignore"]
      })
      yield* Effect.promise(() => once(busy.stdout, "data"))
      const inUse = yield* Effect.flip(Effect.flatMap(Mount, (mount) => mount.unmount(place, false)))
      expect(inUse.reason).toBe("busy")
      return busy
    })
    const busy = await run(Effect.scoped(program))
    expect([await look(place), inTable(place)]).toEqual(["free", false])
    busy.kill("SIGKILL")
    const twice = await run(Effect.exit(Effect.scoped(Effect.andThen(mounting(place), mounting(place)))))
    expect(Exit.isFailure(twice)).toBe(true)
    expect(inTable(place)).toBe(false)
  })

  it("is taken over from one who died", async () => {
    const place = join(base, "m")
    mkdirSync(place)
    const child = spawn(process.execPath, [new URL("./fuse-mount.ts", import.meta.url).pathname, place], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    await once(child.stdout, "data")
    child.kill("SIGKILL")
    await once(child, "exit")
    expect(await look(place)).toBe("stale")
    const seen = await run(Effect.scoped(Effect.andThen(mounting(place), () => Effect.promise(() => look(place)))))
    expect(seen).toBe("mounted")
    expect(inTable(place)).toBe(false)
  })

  it("may be a user's own, in a name space of mounts", () => {
    const place = join(base, "m")
    mkdirSync(place)
    const program = new URL("./fuse-mount.ts", import.meta.url).pathname
    const script = `${process.execPath} ${program} ${place} > ${base}/said &
      until grep -q ready ${base}/said; do sleep 0.05; done
      echo text > ${place}/a && cat ${place}/a && kill $! && wait $!; grep -c ${place} /proc/self/mountinfo`
    const { stdout } = spawnSync("unshare", ["-Urm", "sh", "-c", script], { encoding: "utf8", timeout: 20_000 })
    expect(stdout).toBe("text\n0\n")
    expect(inTable(place)).toBe(false)
  })

  it("may be denied to other users, and the error says so", () => {
    const script = `
      const { Effect } = await import("effect")
      const { prepare } = await import(${JSON.stringify(new URL("../../adapters/fuse/place.ts", import.meta.url).href)})
      process.setgid(65534); process.setuid(65534)
      console.log((await Effect.runPromise(Effect.flip(prepare(${JSON.stringify(join(base, "closed"))})))).reason)`
    mkdirSync(join(base, "closed"), { mode: 0o700 })
    chmodSync(base, 0o755)
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
    expect(stdout.trim()).toBe("no-permission")
  })
})
