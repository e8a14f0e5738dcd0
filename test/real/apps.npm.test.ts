/** Packages on a mount, by npm: from local archives, installed with their links and scripts, and run from there. */
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Ground, patientMs, run, without } from "./apps.ts"

const why = without("npm", "npm", "node")
const packages = 8
const modules = 25

/** A package of many small files, with a program, that needs the one before it. */
const made = (folder: string, at: number): string => {
  const place = join(folder, `part-${at}`)
  mkdirSync(join(place, "lib"), { recursive: true })
  for (let n = 0; n < modules; n++)
    writeFileSync(join(place, "lib", `m${n}.js`), `module.exports = ${n} // ${"x".repeat(n * 50)}\n`)
  const before = at === 0 ? {} : { [`part-${at - 1}`]: `file:${join(folder, `part-${at - 1}-1.0.0.tgz`)}` }
  const sum = at === 0 ? "0" : `require("part-${at - 1}")`
  writeFileSync(join(place, "index.js"), `module.exports = ${sum} + require("./lib/m${at}.js")\n`)
  writeFileSync(join(place, "run.js"), `#!/usr/bin/env node\nconsole.log(require("./index.js"))\n`)
  const bin = { [`part-${at}`]: "run.js" }
  writeFileSync(
    join(place, "package.json"),
    JSON.stringify({ name: `part-${at}`, version: "1.0.0", bin, dependencies: before })
  )
  run(folder, "npm", "pack", "--silent", place)
  return join(folder, `part-${at}-1.0.0.tgz`)
}

describe.skipIf(why !== undefined)("npm", () => {
  const ground = new Ground()
  beforeAll(() => ground.begin(), patientMs)
  afterAll(() => ground.end(), patientMs)

  it("installs, links programs, runs them, and removes it all again", { timeout: patientMs }, () => {
    let last = ""
    for (let at = 0; at < packages; at++) last = made(ground.local, at)
    const place = join(ground.a, "project")
    mkdirSync(place)
    const postinstall = "node -e \"require('fs').writeFileSync('installed','yes')\""
    writeFileSync(
      join(place, "package.json"),
      JSON.stringify({ name: "p", version: "1.0.0", scripts: { postinstall } })
    )
    const cache = join(ground.local, "cache")
    const npm = (...args: ReadonlyArray<string>) =>
      run(place, "npm", ...args, "--offline", "--no-audit", "--no-fund", "--cache", cache)
    npm("install", last)
    expect(readdirSync(join(place, "node_modules")).filter((name) => name.startsWith("part-"))).toHaveLength(packages)
    const program = join(place, "node_modules", ".bin", `part-${packages - 1}`)
    expect(lstatSync(program).isSymbolicLink()).toBe(true)
    expect(run(place, program).trim()).toBe("28")
    // The same program on the other host.
    expect(run(join(ground.b, "project"), join(ground.b, "project", "node_modules", ".bin", "part-3")).trim()).toBe("6")
    npm("ci")
    expect(existsSync(join(place, "installed"))).toBe(true)
    expect(run(place, program).trim()).toBe("28")
    npm("uninstall", `part-${packages - 1}`)
    expect(existsSync(join(place, "node_modules", "part-0"))).toBe(false)
  })
})
