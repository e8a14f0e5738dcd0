/** Listings of directories that the kernel keeps: nobody asks for them again, and they are never those of before. */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`listings of mounts are not tested: ${why}`)

const patientMs = 60_000
const rounds = 250

const requests = (mount: string): number =>
  Number(/^artifacts_ops (\d+)$/m.exec(readFileSync(join(mount, ".stats"), "utf8"))?.[1])

const until = (what: string, isSo: () => boolean): void => {
  const began = performance.now()
  while (!isSo()) if (performance.now() - began > 10_000) throw new Error(`${what} is not seen on the other host`)
}

const suite = (name: string, flags: ReadonlyArray<string>): void => {
  describe.skipIf(why !== undefined)(name, () => {
    let hosts: Hosts
    let a: string
    let b: string

    beforeAll(async () => {
      hosts = new Hosts()
      ;[a, b] = await hosts.beginTwo(...flags)
    }, patientMs)

    afterAll(() => hosts.end(), patientMs)

    it("are read again without asking", () => {
      mkdirSync(join(a, "kept"))
      for (let at = 0; at < 10; at++) writeFileSync(join(a, "kept", `${at}`), "")
      const look = () => readdirSync(join(a, "kept")).map((name) => statSync(join(a, "kept", name)).size)
      until("the directory", () => existsSync(join(b, "kept")))
      until("the last file", () => readdirSync(join(b, "kept")).length === 10)
      look()
      look()
      const before = requests(a)
      for (let round = 0; round < 10; round++) expect(look()).toHaveLength(10)
      // One is of whoever looks at the counter.
      expect(requests(a) - before).toBeLessThanOrEqual(1)
    })

    it("show what another host makes, moves and removes", { timeout: patientMs }, () => {
      const [here, there] = [join(a, "shared"), join(b, "shared")]
      mkdirSync(here)
      mkdirSync(join(a, "aside"))
      until("the directory", () => existsSync(there) && existsSync(join(b, "aside")))
      for (let round = 0; round < rounds; round++) {
        const name = `n${round}`
        readdirSync(here)
        mkdirSync(join(there, name))
        until(name, () => readdirSync(here).includes(name))
        if (round % 3 === 0) continue
        if (round % 3 === 1) renameSync(join(there, name), join(b, "aside", name))
        else rmdirSync(join(there, name))
        until(`the end of ${name}`, () => !readdirSync(here).includes(name))
      }
      expect(readdirSync(here).sort()).toEqual(readdirSync(there).sort())
      expect(readdirSync(join(a, "aside")).sort()).toEqual(readdirSync(join(b, "aside")).sort())
    })

    it("show each name once that is there all the time, to readers at different places", () => {
      const under = join(a, "many")
      mkdirSync(under)
      const stays = Array.from({ length: 300 }, (_, at) => `stays-${at}-${"x".repeat(90)}`)
      for (const name of stays) {
        writeFileSync(join(under, name), "")
        writeFileSync(join(under, `goes-${name}`), "")
      }
      const readers = [0, 100, 250].map((first) => {
        const reader = opendirSync(under, { bufferSize: 64 })
        const seen: Array<string> = []
        for (let at = 0; at < first; at++) seen.push(reader.readSync()?.name ?? "")
        return { reader, seen }
      })
      for (const name of stays) renameSync(join(under, `goes-${name}`), join(under, `later-${name}`))
      for (const { reader, seen } of readers) {
        for (let entry = reader.readSync(); entry !== null; entry = reader.readSync()) seen.push(entry.name)
        reader.closeSync()
        expect(seen.filter((name) => name.startsWith("stays-")).sort()).toEqual([...stays].sort())
      }
      expect(readdirSync(under).filter((name) => name.startsWith("goes-"))).toEqual([])
      expect(readdirSync(under)).toHaveLength(stays.length * 2)
    })

    it("leave a directory to who has it open when it is removed", () => {
      const gone = join(a, "gone")
      mkdirSync(gone)
      const before = statSync(gone)
      const fd = openSync(gone, "r")
      rmdirSync(gone)
      expect(fstatSync(fd)).toMatchObject({ ino: before.ino, nlink: 0 })
      closeSync(fd)
      expect(existsSync(gone)).toBe(false)
    })
  })
}

suite("listings on a mount", [])
suite("listings on a mount that holds no replica", ["--replica-entries", "0"])
