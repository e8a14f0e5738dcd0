/** What a call on one host has returned for is seen by the next call on another. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { seen, stats, without } from "./apps.ts"
import { Hosts } from "./mounts.ts"

const why = without("what other hosts see", "python3")

const patientMs = 60_000
const rounds = 40
/** As much as a change waits for another host here: a busy machine may well stand still for a second. */
const boundMs = 2_500

/** With the tree in memory, and with none of it. */
const modes: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["a replica", []],
  ["no replica", ["--replica-entries", "0"]]
]

/** Makes, renames and removes in one directory, as another program does on the other host at the same time. */
const program = `
import os, sys, time
os.chdir(sys.argv[1])
worst = 0
for i in range(30):
  began = time.time()
  with open(f"{sys.argv[2]}-{i}", "w") as f: f.write("some")
  os.rename(f"{sys.argv[2]}-{i}", f"{sys.argv[2]}-kept-{i}")
  if i % 2 == 0: os.unlink(f"{sys.argv[2]}-kept-{i}")
  worst = max(worst, time.time() - began)
print(int(worst * 1000))
`

/** Asks for one file after another until each has its bytes. */
const looker = `
import os, sys
at = 0
while True:
  try:
    if os.stat(f"{sys.argv[1]}/looked-at-{at}").st_size > 0: at += 1
  except FileNotFoundError: pass
`

const busyIn = (directory: string, name: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn("python3", ["-c", program, directory, name], { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    child.stdout.on("data", (part) => {
      said += part
    })
    child.once("error", reject)
    child.once("close", (code) => (code === 0 ? resolve(Number(said)) : reject(new Error(`ended with ${code}`))))
  })

describe.skipIf(why !== undefined).each(modes)("with %s, another host", { timeout: patientMs }, (_, flags) => {
  let hosts: Hosts
  let a: string
  let b: string

  const unseenOf = (place: string) => stats(place).get("unseen") ?? 0
  const unseen = () => [unseenOf(a), unseenOf(b)]
  /** Waits that were given up since a test began: one that is tried again begins anew. */
  let before: ReadonlyArray<number> = []
  const givenUp = () => unseen().map((count, at) => count - (before[at] ?? 0))
  let tries = 0

  beforeAll(async () => {
    hosts = new Hosts()
    await hosts.begin()
    const within = ["--seen-within", String(boundMs)]
    a = await hosts.mount("demo", "a", ...flags, ...within)
    b = await hosts.mount("demo", "b", ...flags, ...within)
  }, patientMs)

  beforeEach(() => {
    tries += 1
    before = unseen()
  })

  afterAll(() => hosts.end(), patientMs)

  it("has what was closed and renamed, at once", () => {
    for (let round = 0; round < rounds; round++) {
      const [name, other] = [`file-${tries}-${round}`, `other-${tries}-${round}`]
      const text = "x".repeat(100 + round)
      expect(existsSync(join(b, name)) || existsSync(join(b, other))).toBe(false)
      writeFileSync(join(a, name), text)
      expect([round, statSync(join(b, name)).size]).toEqual([round, text.length])
      expect(readFileSync(join(b, name), "utf8")).toBe(text)
      renameSync(join(a, name), join(a, other))
      expect([round, existsSync(join(b, name)), existsSync(join(b, other))]).toEqual([round, false, true])
      writeFileSync(join(b, other), "short")
      expect(readFileSync(join(a, other), "utf8")).toBe("short")
    }
    expect(givenUp()).toEqual([0, 0])
  })

  /** In a directory that is lent to a host this is told a moment after it is answered, or when it is synchronized. */
  const told = (path: string): void => {
    if (flags.length > 0) return
    const fd = openSync(path, "r")
    fsyncSync(fd)
    closeSync(fd)
  }

  it("has what else was changed, at once or as soon as it is synchronized", () => {
    for (let round = 0; round < 10; round++) {
      const [on, off] = round % 2 === 0 ? [a, b] : [b, a]
      const name = `directory-${tries}-${round}`
      const file = `${name}/file`
      expect(existsSync(join(off, name))).toBe(false)
      mkdirSync(join(on, name))
      told(on)
      expect(readdirSync(join(off, name))).toEqual([])
      writeFileSync(join(on, file), "12345")
      expect(readdirSync(join(off, name))).toEqual(["file"])
      truncateSync(join(on, file), 2)
      expect(readFileSync(join(off, file), "utf8")).toBe("12")
      chmodSync(join(on, file), 0o600)
      told(join(on, file))
      expect(statSync(join(off, file)).mode & 0o777).toBe(0o600)
      unlinkSync(join(on, file))
      told(join(on, name))
      expect(existsSync(join(off, file))).toBe(false)
      rmdirSync(join(on, name))
      told(on)
      expect(existsSync(join(off, name))).toBe(false)
    }
    expect(givenUp()).toEqual([0, 0])
  })

  it("has what was closed also where a program there looks for it all the time", async () => {
    const looking = spawn("python3", ["-c", looker, b], { stdio: "ignore" })
    try {
      await once(looking, "spawn")
      for (let round = 0; round < 3 * rounds; round++) {
        writeFileSync(join(a, `looked-at-${round}`), "looked at")
        expect([round, statSync(join(b, `looked-at-${round}`)).size]).toEqual([round, 9])
      }
    } finally {
      looking.kill()
      await once(looking, "exit")
    }
  })

  it("changes the same directory at the same time, and neither waits for the other in vain", async () => {
    const shared = `shared-${tries}`
    mkdirSync(join(a, shared))
    const places = [a, b, a].map((place) => join(place, shared))
    const worst = await Promise.all(places.map((place, at) => busyIn(place, `p${at}`)))
    for (const ms of worst) expect(ms).toBeLessThan(boundMs)
    expect(givenUp()).toEqual([0, 0])
    await seen("what was removed", () => readdirSync(join(a, shared)).length === 3 * 15)
    await seen("the same", () => readdirSync(join(b, shared)).length === 3 * 15)
  })

  it("that has stopped is waited for once, and again when it goes on", async () => {
    const stopped = hosts.sidecar(b)
    const earlier = unseenOf(a)
    process.kill(stopped, "SIGSTOP")
    try {
      const began = performance.now()
      writeFileSync(join(a, "while it stood"), "one")
      expect(performance.now() - began).toBeGreaterThan(boundMs - 50)
      const then = performance.now()
      writeFileSync(join(a, "while it stood"), "two, and longer")
      expect(performance.now() - then).toBeLessThan(boundMs - 50)
      expect([stats(a).get("deaf"), unseenOf(a)]).toEqual([1, earlier + 1])
    } finally {
      process.kill(stopped, "SIGCONT")
    }
    const until = performance.now() + 5_000
    while (stats(a).get("deaf") !== 0 && performance.now() < until) await new Promise((go) => setTimeout(go, 10))
    writeFileSync(join(a, "since"), "seen")
    expect(readFileSync(join(b, "since"), "utf8")).toBe("seen")
    expect(readFileSync(join(b, "while it stood"), "utf8")).toBe("two, and longer")
    expect([stats(a).get("deaf"), unseenOf(a)]).toEqual([0, earlier + 1])
  })
})
