/** The published package: built, packed and installed into an empty folder, its command runs there. */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { skipped } from "./servers.ts"

const root = dirname(dirname(import.meta.dirname))
const place = mkdtempSync(join(tmpdir(), "artifacts-package-"))
const home = join(place, "home")
const hasCommand = existsSync(join(root, "runtime/main.ts"))

const registryAnswers =
  spawnSync("npm", ["view", "effect", "version", "--fetch-retries=0"], { timeout: 30_000 }).status === 0
if (!registryAnswers) skipped("package.test.ts", "the package registry does not answer")

/** The path without this project's own tools, so that nothing of the checkout can help the installed package. */
const strangersPath = (process.env["PATH"] ?? "")
  .split(":")
  .filter((at) => !at.startsWith(root))
  .join(":")
const environment = { PATH: strangersPath, HOME: process.env["HOME"] ?? home, XDG_CACHE_HOME: join(place, "cache") }

afterAll(() => rmSync(place, { recursive: true, force: true }))

describe.skipIf(!registryAnswers)("the published package", () => {
  beforeAll(() => {
    const tarball = execFileSync(process.execPath, [join(root, ".ci/build.mjs"), place], {
      env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${strangersPath}` },
      encoding: "utf8"
    }).trim()
    mkdirSync(home)
    writeFileSync(join(home, "package.json"), "{}")
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"]
    execFileSync("npm", ["install", tarball, ...quiet], { cwd: home, env: { ...process.env, PATH: strangersPath } })
  })

  const installed = join(home, "node_modules/artifacts")
  const command = join(home, "node_modules/.bin/artifacts")

  it("holds compiled files, declarations of the messages, and nothing of the tests", () => {
    const names = readdirSync(installed, { recursive: true, encoding: "utf8" })
    expect(names).toContain("messages/subjects.js")
    expect(names).toContain("messages/subjects.d.ts")
    expect(names).toContain("LICENSE")
    expect(names.filter((name) => /(^|\/)(test|golden|node_modules)\/|(?<!\.d)\.ts$/.test(name))).toEqual([])
  })

  it("names its dependencies exactly, and runs no install script", () => {
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
    const versions = Object.values({ ...manifest.dependencies, ...manifest.optionalDependencies })
    for (const version of versions) expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(manifest.scripts).toBeUndefined()
  })

  it("gives other programs the messages", () => {
    const program = `import { shardOf } from "artifacts/messages/subjects"; console.log(shardOf("account", "acme", 16))`
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: home,
      env: environment,
      encoding: "utf8"
    })
    expect(out.trim()).toBe("3")
  })

  it.skipIf(!hasCommand)("runs its command, through a link too, with the Node that it brought", () => {
    const link = join(place, "linked")
    symlinkSync(command, link)
    for (const path of [command, link]) {
      const asked = spawnSync(path, ["--version"], { cwd: place, env: environment, encoding: "utf8" })
      expect(asked.stderr).toBe("")
      expect(asked.stdout).toContain("0.1.0")
      expect(asked.status).toBe(0)
    }
    const help = spawnSync(command, ["--help"], { cwd: place, env: environment, encoding: "utf8" })
    expect(help.stdout).toContain("up")
    expect(help.status).toBe(0)
  })

  it.skipIf(!hasCommand)("starts a node that answers the command line, and stops when it is told to", async () => {
    const data = join(place, "data")
    const options = { cwd: place, env: environment, encoding: "utf8" } as const
    const addresses = ["--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
    const node = spawn(command, ["up", "--data", data, ...addresses], { cwd: place, env: environment })
    const ended = new Promise<number | null>((resolve) => node.once("exit", resolve))
    let said = ""
    node.stderr.on("data", (bytes: Buffer) => {
      said += bytes
    })
    node.stdout.on("data", (bytes: Buffer) => {
      said += bytes
    })
    try {
      await expect.poll(() => said, { timeout: 60_000, interval: 100 }).toContain("/healthz")
      const created = spawnSync(command, ["workspace", "create", "demo", "--data", data], options)
      expect(created.stderr).toBe("")
      expect(created.status).toBe(0)
      const listed = spawnSync(command, ["workspace", "list", "--data", data], options)
      expect(listed.stdout).toContain("demo")
    } finally {
      node.kill("SIGTERM")
    }
    expect(await ended, said).toBe(0)
  })
})
