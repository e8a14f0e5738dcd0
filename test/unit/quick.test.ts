/** Which lines begin a mount at once, and which are left to the command line. */
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { flags } from "../../runtime/cli/mount.ts"
import { readLine } from "../../runtime/node/quick.ts"

const line = (text: string) => readLine(text.split(" ").filter((word) => word !== ""))

describe("a line that mounts", () => {
  it("is known by its command and two words, wherever the flags stand", () => {
    const plain = { directory: resolve("here"), foreground: false, json: false }
    expect(line("mount demo here")).toEqual(plain)
    expect(line("--data /d mount --read-only demo --cache-size 9 here")).toEqual(plain)
    expect(line("--json mount -f demo here")).toEqual({ ...plain, foreground: true, json: true })
    expect(line("mount demo here --foreground")).toEqual({ ...plain, foreground: true })
  })

  it("is left to the command line where it is anything but plain", () => {
    for (const text of [
      "",
      "mount",
      "mount demo",
      "mount demo here there",
      "unmount here",
      "up mount demo",
      "mount demo here --cache",
      "mount demo here --cache --json",
      "mount demo here --cache=9",
      "mount demo here --fuse native",
      "mount demo here --help",
      "mount demo -- here",
      "mount --nonsense demo here"
    ])
      expect(line(text)).toBeUndefined()
  })

  it("knows the flags of the command, but for the other way to mount", () => {
    const names = Object.keys(flags).map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))
    const known = names.filter((name) => line(`mount demo here --${name}`) ?? line(`mount demo here --${name} 1`))
    const words = ["workspace", "directory"]
    expect(names.filter((name) => !known.includes(name) && !words.includes(name))).toEqual(["fuse"])
  })
})
