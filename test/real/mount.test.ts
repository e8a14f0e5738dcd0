/** Mounts as people have them: two hosts, a process that is killed, and an end that keeps everything. */
import { execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`mounts are not tested: ${why}`)

const patientMs = 60_000

const within = async <A>(ms: number, look: () => A | undefined): Promise<A> => {
  for (const until = performance.now() + ms; ; ) {
    const found = look()
    if (found !== undefined) return found
    if (performance.now() > until) throw new Error("it did not come about in time")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe.skipIf(why !== undefined)("a workspace, mounted", () => {
  let hosts: Hosts
  let a: string
  let b: string

  beforeAll(async () => {
    hosts = new Hosts()
    ;[a, b] = await hosts.beginTwo()
  }, patientMs)

  afterAll(() => hosts.end(), patientMs)

  it("never leaves a host with a file as it was while it looked", { timeout: patientMs }, () => {
    for (let round = 0; round < 1000; round++) {
      const name = `looked-${round}`
      existsSync(join(b, name))
      writeFileSync(join(a, name), "seen")
      const began = performance.now()
      while (statSync(join(b, name), { throwIfNoEntry: false })?.size !== 4)
        if (performance.now() - began > 10_000) throw new Error(`${name} stays as it was on the other host`)
    }
  })

  it("shows on one host what was done on another", async () => {
    expect(existsSync(join(b, "one"))).toBe(false)
    writeFileSync(join(a, "one"), "first")
    expect(readFileSync(join(b, "one"), "utf8")).toBe("first")
    writeFileSync(join(a, "one"), "second, and longer")
    expect(readFileSync(join(b, "one"), "utf8")).toBe("second, and longer")
    renameSync(join(b, "one"), join(b, "two"))
    expect(existsSync(join(a, "one"))).toBe(false)
    expect(readdirSync(a)).toContain("two")
    unlinkSync(join(a, "two"))
    await within(5000, () => (existsSync(join(b, "two")) ? undefined : true))
  })

  it(
    "keeps a repository that git is content with, on both hosts",
    () => {
      const git = (place: string, ...args: ReadonlyArray<string>) =>
        execFileSync("git", ["-C", place, "-c", "user.name=a", "-c", "user.email=a@b.c", ...args], { encoding: "utf8" })
      const place = join(a, "repository")
      mkdirSync(place)
      git(place, "init", "-q")
      for (let at = 0; at < 20; at++) writeFileSync(join(place, `file-${at}`), `content ${at}\n`.repeat(at))
      git(place, "add", ".")
      git(place, "commit", "-qm", "all")
      git(place, "gc", "-q")
      expect(git(join(b, "repository"), "fsck", "--full")).toBe("")
      expect(git(join(b, "repository"), "status", "--porcelain")).toBe("")
    },
    patientMs
  )

  it(
    "goes on without an error when the process that serves it is killed",
    async () => {
      const loop = 'i=0; while [ $i -lt 150 ]; do echo "line $i" >> log || exit 1; i=$((i+1)); sleep 0.01; done'
      const writer = spawn("sh", ["-c", loop], { cwd: a, stdio: "ignore" })
      const ended = new Promise<number | null>((resolve) => writer.once("exit", (code) => resolve(code)))
      for (let times = 0; times < 2; times++) {
        await within(20_000, () =>
          (statSync(join(a, "log"), { throwIfNoEntry: false })?.size ?? 0) > times * 300 ? 1 : undefined
        )
        process.kill(hosts.sidecar(a), "SIGKILL")
        await new Promise((resolve) => setTimeout(resolve, 1500))
      }
      expect(await ended).toBe(0)
      const whole = Array.from({ length: 150 }, (_, at) => `line ${at}\n`).join("")
      expect(readFileSync(join(a, "log"), "utf8")).toBe(whole)
      await within(10_000, () => (readFileSync(join(b, "log"), "utf8") === whole ? true : undefined))
    },
    patientMs
  )

  it(
    "refuses changes where it may only read",
    async () => {
      const c = await hosts.mount("demo", "c", "--read-only")
      expect(() => writeFileSync(join(c, "no"), "")).toThrow(/EROFS/)
      expect(readFileSync(join(c, "log"), "utf8")).toContain("line 149")
      expect((await hosts.unmount(c)).code).toBe(0)
    },
    patientMs
  )

  it(
    "moves files without a mount",
    async () => {
      expect((await hosts.give("from outside", "put", "-", "demo:/outside")).code).toBe(0)
      await within(5000, () => (existsSync(join(a, "outside")) ? true : undefined))
      expect(readFileSync(join(a, "outside"), "utf8")).toBe("from outside")
      writeFileSync(join(a, "inside"), "from inside")
      expect((await hosts.run("cat", "demo:/inside")).stdout).toBe("from inside")
      const listed = JSON.parse((await hosts.run("--json", "ls", "demo:/")).stdout) as ReadonlyArray<{ name: string }>
      expect(listed.map(({ name }) => name)).toContain("inside")
      expect((await hosts.run("rm", "demo:/outside")).code).toBe(0)
      await within(5000, () => (existsSync(join(a, "outside")) ? undefined : true))
      expect((await hosts.run("cat", "demo:/outside")).code).toBe(1)
    },
    patientMs
  )

  it("tells of itself", () => {
    const stats = readFileSync(join(a, ".stats"), "utf8")
    expect(stats).toMatch(/^artifacts_replica_live 1$/m)
    expect(JSON.parse(readFileSync(join(a, ".config"), "utf8"))).toMatchObject({ name: "demo", directory: a })
    expect(readdirSync(a)).not.toContain(".stats")
    const counted = (name: string) =>
      Number(new RegExp(`^artifacts_${name} (\\d+)$`, "m").exec(readFileSync(join(a, ".stats"), "utf8"))?.[1] ?? -1)
    const before = counted("ops_mkdir")
    mkdirSync(join(a, "counted"))
    expect(counted("ops_mkdir")).toBe(Math.max(before, 0) + 1)
    expect(counted("ops_mkdir_late_us_max")).toBeGreaterThan(0)
  })

  it("tells of each request while somebody reads the log of them", async () => {
    const reader = spawn("cat", [join(a, ".accesslog")], { stdio: ["ignore", "pipe", "ignore"] })
    let said = ""
    reader.stdout.on("data", (part) => {
      said += part
    })
    onTestFinished(() => void reader.kill())
    // The kernel asks once for a name that is not there.
    let asked = 0
    await within(10_000, () => {
      existsSync(join(a, `not there ${++asked}`))
      return said.includes("not there") ? true : undefined
    })
    mkdirSync(join(a, "told of"))
    await within(10_000, () => (said.includes('mkdir (1,"told of",') ? true : undefined))
    const time = String.raw`\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d\.\d{6}`
    const who = String.raw`\[uid:0,gid:0,pid:\d+\]`
    const what = String.raw`mkdir \(1,"told of",0755\): OK \(\d+\) <\d\.\d{6}>`
    expect(said).toMatch(new RegExp(`^${time} ${who} ${what}$`, "m"))
  })

  it(
    "keeps all that was written when it is unmounted, and says so",
    async () => {
      writeFileSync(join(b, "last"), "x".repeat(3_000_000))
      const { code, stdout } = await hosts.unmount(b)
      expect(code).toBe(0)
      expect(stdout).toContain("all that was written is kept")
      expect(readdirSync(b)).toEqual([])
      expect(readFileSync(join(a, "last"), "utf8")).toHaveLength(3_000_000)
    },
    patientMs
  )
})
