/** What the adapter for libfuse makes of attributes, times and handles, and what it says where there is no libfuse. */
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { Handles } from "../../adapters/fuse-native/handles.ts"
import { encodeFileSystem, encodeStat, inoShown, timesOf } from "../../adapters/fuse-native/record.ts"
import { blankStat } from "../../runtime/mount/stat.ts"

describe("attributes for libfuse", () => {
  it("are words of 32 bits, large sizes in two of them", () => {
    const stat = {
      ...blankStat(),
      ino: 7,
      mode: 0o100644,
      nlink: 2,
      size: 2 ** 40 + 5,
      used: 1000,
      mtimeS: 9,
      mtimeNs: 8e6
    }
    const words = encodeStat(stat)
    expect([...words.subarray(0, 12)]).toEqual([0o100644, 0, 0, 5, 256, 0, 2, 7, 0, 4096, 2, 0])
    expect([...words.subarray(14, 16)]).toEqual([9008, 0])
  })

  it("have no time before 1970, and no inode 0", () => {
    const words = encodeStat({ ...blankStat(), atimeS: -5, atimeNs: 1 })
    expect([...words.subarray(12, 14)]).toEqual([0, 0])
    expect(inoShown(2 ** 52 + 1)).toBe(2 ** 31 + 1)
  })

  it("tell more blocks than a word can count as larger ones", () => {
    const stat = {
      blockBytes: 4096,
      blocks: 2 ** 40,
      blocksFree: 2 ** 39,
      files: 2 ** 40,
      filesFree: 5,
      nameBytesMax: 255
    }
    const [bytes = 0, , blocks = 0, free = 0, , files] = encodeFileSystem(stat)
    expect([bytes * blocks, bytes * free]).toEqual([2 ** 52, 2 ** 51])
    expect(files).toBe(2 ** 32 - 1)
  })

  it("take both times from where the binding keeps them, and none when they are not there", () => {
    const slot = Buffer.alloc(200)
    slot.writeBigInt64LE(-1500n, 104)
    slot.writeBigInt64LE(2_000_000_000_500n, 112)
    expect(timesOf(slot, slot.readUInt32LE(104), slot.readUInt32LE(108))).toEqual([-1500, 2_000_000_000_500])
    expect(timesOf(slot, 1, 0)).toBeUndefined()
  })
})

describe("handles for libfuse", () => {
  it("are small numbers, never 0, and used again when they are free", () => {
    const handles = new Handles()
    const open = { node: 1, handle: 9, flags: 0 }
    expect([handles.add(open), handles.add(open)]).toEqual([1, 2])
    handles.remove(1)
    handles.remove(1)
    expect([handles.get(1), handles.add(open), handles.add(open)]).toEqual([undefined, 1, 3])
  })
})

describe("a host without the package", () => {
  it("is told what to install", () => {
    const place = mkdtempSync(join(tmpdir(), "artifacts-native-"))
    const root = dirname(dirname(import.meta.dirname))
    copyFileSync(join(root, "adapters/fuse-native/binding.ts"), join(place, "binding.ts"))
    const program = `import { binding } from ${JSON.stringify(join(place, "binding.ts"))}; console.log(binding())`
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" })
    expect(said).toContain("npm install fuse-native@2.2.6")
    rmSync(place, { recursive: true })
  })
})
