/** Files and whole directories between a host and a workspace from the command line, without a mount. */
import { execFileSync, spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanUp, kill, type Outcome, start, type Up, up } from "./command.ts"

const patientMs = 90_000
const root = mkdtempSync(join(tmpdir(), "artifacts-moved-"))
const data = join(root, "data")
const launcher = join(dirname(dirname(import.meta.dirname)), "artifacts")
const at = (...names: ReadonlyArray<string>) => join(root, ...names)
const run = (...args: ReadonlyArray<string>): Promise<Outcome> => start(["--data", data, ...args], "", {}).ended

describe("files without a mount", () => {
  let node: Up

  beforeAll(async () => {
    node = await up(data, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--durability", "process")
    await run("workspace", "create", "demo")
    mkdirSync(at("src", "sub", "empty"), { recursive: true })
    for (let each = 0; each < 40; each++) writeFileSync(at("src", "sub", `file-${each}`), `content ${each}`)
    writeFileSync(at("src", "large"), Buffer.alloc(9_000_000, "0123456789abcdef\n"))
    chmodSync(at("src", "large"), 0o750)
    symlinkSync("sub/file-1", at("src", "link"))
  }, patientMs)

  afterAll(async () => {
    await kill(node)
    cleanUp()
    rmSync(root, { recursive: true, force: true })
  }, patientMs)

  it(
    "go and come back as whole directories",
    async () => {
      expect((await run("put", "-r", at("src"), "demo:/copy")).code).toBe(0)
      expect((await run("get", "-r", "demo:/copy", at("back"))).code).toBe(0)
      expect(execFileSync("diff", ["-r", at("src"), at("back")], { encoding: "utf8" })).toBe("")
      expect(statSync(at("back", "large")).mode & 0o777).toBe(0o750)
      const said = await run("--json", "put", "-r", `${at("src")}/.`, "demo:/copy")
      expect(JSON.parse(said.stdout)).toMatchObject({ files: 41, links: 1, directories: 2, skipped: [] })
    },
    patientMs
  )

  it(
    "go into a directory that is there, several at once too",
    async () => {
      await run("put", "-r", at("src", "sub"), "demo:/place")
      expect((await run("put", at("src", "sub", "file-1"), at("src", "large"), "demo:/place")).code).toBe(0)
      const listed = JSON.parse((await run("--json", "ls", "demo:/place")).stdout) as ReadonlyArray<{ name: string }>
      const names = listed.map(({ name }) => name)
      expect(names).toEqual([...names].sort())
      expect(names).toContain("large")
      expect((await run("ls", "-l", "demo:/copy")).stdout).toMatch(/symlink +0777 .*link -> sub\/file-1/)
      mkdirSync(at("there"))
      expect((await run("get", "demo:/place/file-1", at("there"))).code).toBe(0)
      expect(readFileSync(at("there", "file-1"), "utf8")).toBe("content 1")
    },
    patientMs
  )

  it(
    "that cannot be moved are named, with what to do",
    async () => {
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [["put", at("src"), "demo:/x"], /src is a directory\n {2}put it with -r/],
        [["put", at("nowhere"), "demo:/x"], /nowhere: no such file or directory/],
        [["put", at("src", "large"), "demo:/no/such"], /demo:\/no\/such: no "no" there/],
        [["put", at("src", "large"), at("src", "link"), "demo:/none"], /demo:\/none: no such directory/],
        [["get", "demo:/copy"], /demo:\/copy is a directory\n {2}get it with -r/],
        [["get", "demo:/nothing"], /demo:\/nothing: no "nothing" there/],
        [["get", "demo:/copy/large", at("nowhere", "x")], /nowhere\/x: no such file or directory/],
        [["rm", "demo:/copy"], /demo:\/copy: the directory is not empty/],
        [["stat", "demo:/nothing"], /demo:\/nothing: no "nothing" there/]
      ]
      const outcomes = await Promise.all(wrong.map(([args]) => run(...args)))
      for (const [at, { code, stderr }] of outcomes.entries()) {
        expect(stderr).toMatch(wrong[at]?.[1] as RegExp)
        expect(code).toBe(1)
      }
    },
    patientMs
  )

  it(
    "are read to where somebody reads them",
    () => {
      const line = `"${launcher}" --data "${data}" cat demo:/copy/large | head -c 5`
      const { stdout, stderr } = spawnSync("sh", ["-c", line], { encoding: "utf8" })
      expect([stdout, stderr]).toEqual(["01234", ""])
    },
    patientMs
  )
})
