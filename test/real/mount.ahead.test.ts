/** Directories that are lent to a host: what it makes there waits for nobody, and nobody is kept from anything. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`directories that are lent to a host are not tested: ${why}`)

const touch = (path: string): void => closeSync(openSync(path, "wx"))

const stat = (mount: string, name: string): number =>
  Number(new RegExp(`^artifacts_${name} (\\d+)$`, "m").exec(readFileSync(join(mount, ".stats"), "utf8"))?.[1] ?? -1)

const until = async (holds: () => boolean): Promise<void> => {
  for (let left = 200; !holds() && left > 0; left--) await sleep(20)
}

const namesOf = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`)

describe.skipIf(why !== undefined)("a directory that a host made", () => {
  const hosts = new Hosts()
  let a = ""
  let b = ""
  beforeAll(async () => {
    await hosts.begin()
    ;[a, b] = await Promise.all([hosts.mount("demo", "a"), hosts.mount("demo", "b")])
  }, 60_000)
  afterAll(() => hosts.end(), 60_000)

  it("takes what the host makes without asking, and others see it", async () => {
    mkdirSync(join(a, "own"))
    const before = stat(a, "ahead_made")
    for (const name of namesOf(200)) touch(join(a, "own", name))
    expect(stat(a, "ahead_made") - before).toBeGreaterThanOrEqual(199)
    expect(readdirSync(join(a, "own"))).toHaveLength(200)
    await until(() => existsSync(join(b, "own")) && readdirSync(join(b, "own")).length === 200)
    expect(readdirSync(join(b, "own"))).toHaveLength(200)
  })

  it("is there when it is synchronized", async () => {
    mkdirSync(join(a, "synced"))
    for (const name of namesOf(50)) touch(join(a, "synced", name))
    const folder = openSync(join(a, "synced"), "r")
    fsyncSync(folder)
    closeSync(folder)
    expect(stat(a, "ahead_depth")).toBe(0)
    const { stdout } = await hosts.run("ls", "demo:/synced")
    expect(stdout.trim().split("\n")).toHaveLength(50)
  })

  it("is given back when others change it, without either noticing", async () => {
    mkdirSync(join(a, "both"))
    touch(join(a, "both", "first"))
    await until(() => existsSync(join(b, "both", "first")))
    for (const name of namesOf(20)) {
      touch(join(a, "both", `a-${name}`))
      touch(join(b, "both", `b-${name}`))
    }
    expect(() => touch(join(b, "both", "a-n19"))).toThrow("EEXIST")
    expect(() => touch(join(a, "both", "b-n19"))).toThrow("EEXIST")
    unlinkSync(join(b, "both", "first"))
    await until(() => !existsSync(join(a, "both", "first")) && readdirSync(join(a, "both")).length === 40)
    expect(readdirSync(join(a, "both")).sort()).toEqual(readdirSync(join(b, "both")).sort())
    expect(stat(a, "ahead_recalls")).toBeGreaterThan(0)
  })

  it("is changed by commands as well", async () => {
    mkdirSync(join(a, "told"))
    for (const name of namesOf(10)) touch(join(a, "told", name))
    const { code, stderr } = await hosts.run("rm", "demo:/told/n3")
    expect([code, stderr]).toEqual([0, ""])
    await until(() => !existsSync(join(a, "told", "n3")))
    touch(join(a, "told", "n3"))
    expect((await hosts.give("x", "put", "-", "demo:/told/new")).code).toBe(0)
    await until(() => existsSync(join(a, "told", "new")))
    expect(readdirSync(join(a, "told"))).toHaveLength(11)
  })

  it("loses names, renames and sets without asking, and others see it", async () => {
    mkdirSync(join(a, "work"))
    for (const name of namesOf(40)) writeFileSync(join(a, "work", name), name)
    const open = openSync(join(a, "work", "n9"), "r")
    await until(() => existsSync(join(b, "work", "n39")))
    const theirs = openSync(join(b, "work", "n5"), "r")
    const before = stat(a, "ahead_made")
    for (const name of namesOf(10)) unlinkSync(join(a, "work", name))
    for (let at = 10; at < 20; at++) renameSync(join(a, "work", `n${at}`), join(a, "work", `n${at + 10}`))
    for (let at = 20; at < 30; at++) {
      chmodSync(join(a, "work", `n${at}`), 0o600)
      utimesSync(join(a, "work", `n${at}`), 1, 2)
    }
    // But for the one that is open here.
    expect(stat(a, "ahead_made") - before).toBeGreaterThanOrEqual(39)
    expect(() => unlinkSync(join(a, "work", "n0"))).toThrow("ENOENT")
    expect(() => rmdirSync(join(a, "work"))).toThrow("ENOTEMPTY")
    await until(() => readdirSync(join(b, "work")).length === 20 && statSync(join(b, "work", "n29")).mtimeMs === 2_000)
    for (let at = 20; at < 30; at++) {
      const { mode, mtimeMs } = statSync(join(b, "work", `n${at}`))
      expect([mode & 0o777, mtimeMs, readFileSync(join(b, "work", `n${at}`), "utf8")]).toEqual([
        0o600,
        2_000,
        `n${at - 10}`
      ])
    }
    expect([readFileSync(open, "utf8"), readFileSync(theirs, "utf8")]).toEqual(["n9", "n5"])
    for (const each of [open, theirs]) closeSync(each)
  })

  it("sets what close has stored in one go with the bytes", async () => {
    mkdirSync(join(a, "set"))
    const file = openSync(join(a, "set", "file"), "w")
    writeFileSync(file, "bytes")
    const before = stat(a, "data_commits")
    futimesSync(file, 1, 2)
    fchmodSync(file, 0o604)
    expect([fstatSync(file).mtimeMs, fstatSync(file).mode & 0o777]).toEqual([2_000, 0o604])
    writeFileSync(file, "more")
    expect(fstatSync(file).mtimeMs).toBeGreaterThan(2_000)
    futimesSync(file, 1, 3)
    closeSync(file)
    expect(stat(a, "data_commits") - before).toBe(1)
    await until(() => statSync(join(b, "set", "file"), { throwIfNoEntry: false })?.size === 9)
    const { mode, mtimeMs } = statSync(join(b, "set", "file"))
    expect([mode & 0o777, mtimeMs]).toEqual([0o604, 3_000])
  })

  it("keeps what was made when the process that serves the mount is killed", async () => {
    mkdirSync(join(a, "killed"))
    for (const name of namesOf(100)) {
      mkdirSync(join(a, "killed", name))
      writeFileSync(join(a, "killed", name, "full"), "")
      renameSync(join(a, "killed", name, "full"), join(a, "killed", name, "empty"))
      chmodSync(join(a, "killed", name, "empty"), 0o611)
    }
    process.kill(hosts.sidecar(a), "SIGKILL")
    for (const name of namesOf(100)) expect(statSync(join(a, "killed", name, "empty")).size).toBe(0)
    mkdirSync(join(a, "killed", "last"))
    rmdirSync(join(a, "killed", "last"))
    await until(() => readdirSync(join(b, "killed")).length === 100)
    expect(readdirSync(join(b, "killed"))).toHaveLength(100)
    for (const name of namesOf(100)) {
      expect(readdirSync(join(b, "killed", name))).toEqual(["empty"])
      expect(statSync(join(b, "killed", name, "empty")).mode & 0o777).toBe(0o611)
    }
  }, 30_000)
})
