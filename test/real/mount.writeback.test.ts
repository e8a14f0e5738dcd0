/** A mount whose files are stored after they were closed: what close, fsync, rename and unmount wait for. */
import { execFileSync, spawn } from "node:child_process"
import { existsSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`mounts that store late are not tested: ${why}`)

const patientMs = 120_000
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.skipIf(why !== undefined)("a mount with --writeback", () => {
  let hosts: Hosts
  let late: string
  let other: string

  const away = () => {
    const store = join(hosts.data, "objects")
    renameSync(store, `${store}.away`)
    symlinkSync("/proc/nowhere", store)
  }
  const back = () => {
    const store = join(hosts.data, "objects")
    execFileSync("rm", ["-f", store])
    renameSync(`${store}.away`, store)
  }
  const comes = async (look: () => boolean): Promise<void> => {
    for (const until = performance.now() + 40_000; !look(); await pause(50))
      if (performance.now() > until) throw new Error("it did not come about in time")
  }

  beforeAll(async () => {
    hosts = new Hosts()
    await hosts.begin()
    late = await hosts.mount("demo", "late", "--writeback")
    other = await hosts.mount("demo", "other")
  }, patientMs)

  afterAll(() => hosts.end(), patientMs)

  it(
    "closes files while the store is away, keeps them over the death of its process, and stores them when it is back",
    async () => {
      expect(JSON.parse(readFileSync(join(late, ".config"), "utf8"))).toMatchObject({ writeback: true })
      away()
      onTestFinished(() => {
        if (existsSync(`${join(hosts.data, "objects")}.away`)) back()
      })
      const began = performance.now()
      writeFileSync(join(late, "one"), "staged here")
      expect(performance.now() - began).toBeLessThan(5_000)
      expect(readFileSync(join(late, "one"), "utf8")).toBe("staged here")
      const synced = spawn("sync", [join(late, "one")], { stdio: "ignore" })
      let isSynced = false
      const ended = new Promise<number | null>((resolve) => synced.once("exit", resolve))
      void ended.then(() => {
        isSynced = true
      })
      await pause(1_500)
      expect(isSynced).toBe(false)
      process.kill(hosts.sidecar(late), "SIGKILL")
      await pause(500)
      back()
      expect(await ended).toBe(0)
      await comes(() => existsSync(join(other, "one")) && readFileSync(join(other, "one"), "utf8") === "staged here")
    },
    patientMs
  )

  it(
    "stores what replaces another file before it does",
    async () => {
      writeFileSync(join(late, "settings"), "old")
      writeFileSync(join(late, "settings.new"), "new")
      renameSync(join(late, "settings.new"), join(late, "settings"))
      expect(readFileSync(join(other, "settings"), "utf8")).toBe("new")
    },
    patientMs
  )

  it(
    "has stored everything when it is unmounted",
    async () => {
      for (let at = 0; at < 50; at++) writeFileSync(join(late, `file-${at}`), `content ${at}`)
      expect((await hosts.unmount(late)).code).toBe(0)
      for (let at = 0; at < 50; at++) expect(readFileSync(join(other, `file-${at}`), "utf8")).toBe(`content ${at}`)
    },
    patientMs
  )
})
