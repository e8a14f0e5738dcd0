/** What every adapter of the Mount port must do for a correct file system, seen by programs that use the mount. */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, describe } from "vitest"
import { attributes } from "./mount.attributes.ts"
import { contents, mapped } from "./mount.contents.ts"
import { invalidation } from "./mount.invalidation.ts"
import { locks, signals } from "./mount.locks.ts"
import { names, renameFlags } from "./mount.names.ts"
import { ableOf, type Mounted, type Without } from "./mount.programs.ts"

export const mountContract = (name: string, start: () => Promise<Mounted>, without: Without = {}): void => {
  describe(`Mount: ${name}`, () => {
    let mount: Mounted
    let dir = ""
    let count = 0
    const at = (...names: ReadonlyArray<string>) => join(dir, ...names)

    beforeAll(async () => {
      mount = await start()
    })
    afterAll(async () => {
      await mount?.end()
    })
    beforeEach(() => {
      dir = join(mount.place, `t${++count}`)
      mkdirSync(dir)
    })
    afterEach(() => rmSync(dir, { recursive: true }))

    const able = ableOf(without)
    names(at, able)
    attributes(at, able)
    contents(at, able)
    mapped(at)
    locks(at)
    signals(at)
    renameFlags(at, able)
    invalidation(() => mount, able)
  })
}
