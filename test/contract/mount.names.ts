/** Names of a mount: made, found, moved, listed and removed, and what lives on without one. */
import { execFileSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { expect, it } from "vitest"
import { type Able, type At, errnoOf, python } from "./mount.programs.ts"

export const names = (at: At, able: Able): void => {
  it("makes, finds, moves and removes files and directories", () => {
    writeFileSync(at("a"), "one")
    mkdirSync(at("d"))
    renameSync(at("a"), at("d", "b"))
    expect(readFileSync(at("d", "b"), "utf8")).toBe("one")
    expect(errnoOf(() => readFileSync(at("a")))).toBe("ENOENT")
    expect(errnoOf(() => rmSync(at("d")))).not.toBe("none")
    expect(errnoOf(() => unlinkSync(at("d")))).toMatch(/EISDIR|EPERM/)
    expect(errnoOf(() => mkdirSync(at("d")))).toBe("EEXIST")
    writeFileSync(at("c"), "two")
    renameSync(at("c"), at("d", "b"))
    expect(readFileSync(at("d", "b"), "utf8")).toBe("two")
    expect(readdirSync(at("d"))).toEqual(["b"])
  })

  it("keeps names of every kind of byte, and refuses those that are too long", () => {
    for (const name of ["ä", "日本語", "a b\nc", "x".repeat(255), "🙂".repeat(63)]) {
      writeFileSync(at(name), name)
      expect(readFileSync(at(name), "utf8")).toBe(name)
      expect(readdirSync(at())).toContain(name)
    }
    expect(errnoOf(() => writeFileSync(at("x".repeat(256)), ""))).toBe("ENAMETOOLONG")
  })

  able("rawNames", "keeps names that are no text", () => {
    const raw = Buffer.concat([Buffer.from(`${at()}/`), Buffer.from([0x61, 0xff, 0xc3, 0x62])])
    writeFileSync(raw, "raw")
    expect(readFileSync(raw, "utf8")).toBe("raw")
    const listed = readdirSync(at(), { encoding: "buffer" })
    expect(listed.some((name) => name.equals(raw.subarray(raw.lastIndexOf(0x2f) + 1)))).toBe(true)
    unlinkSync(raw)
  })

  it("has hard links, symbolic links and special nodes", () => {
    writeFileSync(at("a"), "linked")
    linkSync(at("a"), at("b"))
    expect(statSync(at("b"))).toMatchObject({ ino: statSync(at("a")).ino, nlink: 2 })
    unlinkSync(at("a"))
    expect(statSync(at("b")).nlink).toBe(1)
    const target = "t".repeat(4000)
    symlinkSync(target, at("s"))
    expect(readlinkSync(at("s"))).toBe(target)
    symlinkSync("b", at("to-b"))
    expect(readFileSync(at("to-b"), "utf8")).toBe("linked")
    execFileSync("mkfifo", [at("fifo")])
    expect(lstatSync(at("fifo")).isFIFO()).toBe(true)
  })

  it("leaves two names of one file be when one is moved to the other, also while it is open", () => {
    writeFileSync(at("a"), "both")
    linkSync(at("a"), at("b"))
    const fds = [openSync(at("a"), "r"), openSync(at("b"), "r")]
    renameSync(at("b"), at("a"))
    expect(readdirSync(at()).sort()).toEqual(["a", "b"])
    expect(statSync(at("a")).nlink).toBe(2)
    unlinkSync(at("a"))
    renameSync(at("b"), at("a"))
    expect(readdirSync(at())).toEqual(["a"])
    expect(readFileSync(at("a"), "utf8")).toBe("both")
    for (const fd of fds) closeSync(fd)
  })

  it("lists ten thousand entries, each once, also while some go", () => {
    for (let count = 0; count < 10_000; count++) closeSync(openSync(at(`entry-${count}`), "wx"))
    const all = readdirSync(at())
    expect(new Set(all).size).toBe(10_000)
    expect(all.length).toBe(10_000)
    expect(readdirSync(at(), { withFileTypes: true }).every((entry) => entry.isFile())).toBe(true)
    const long = execFileSync("ls", ["-lf", at()], { encoding: "utf8", maxBuffer: 1 << 24 })
    expect(long.split("\n").filter((line) => line.includes("entry-")).length).toBe(10_000)
    for (let count = 0; count < 10_000; count += 2) unlinkSync(at(`entry-${count}`))
    expect(readdirSync(at()).length).toBe(5000)
  })

  it("keeps what was removed while it was open", () => {
    const fd = openSync(at("gone"), "wx+")
    writeSync(fd, "still here")
    unlinkSync(at("gone"))
    const back = Buffer.alloc(10)
    expect(readSync(fd, back, 0, 10, 0)).toBe(10)
    expect(back.toString()).toBe("still here")
    expect(fstatSync(fd).nlink).toBe(0)
    closeSync(fd)
  })

  able("nameless", "has files without a name that can be given one", () => {
    const script = `import os,sys,ctypes
d=sys.argv[1]
fd=os.open(d, os.O_TMPFILE|os.O_RDWR, 0o600)
os.write(fd, b"nameless")
print(os.fstat(fd).st_nlink, os.listdir(d))
print(ctypes.CDLL(None).linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, (d+"/named").encode(), 0x400))
print(open(d+"/named").read())`
    expect(python(script, at())).toBe("0 []\n0\nnameless")
  })
}

export const renameFlags = (at: At, able: Able): void => {
  able("renameFlags", "renames without replacing, and exchanges", () => {
    const script = `import ctypes,sys
libc=ctypes.CDLL(None,use_errno=True)
a,b=(x.encode() for x in sys.argv[1:3])
print(libc.renameat2(-100,a,-100,b,1), ctypes.get_errno(), libc.renameat2(-100,a,-100,b,2))`
    writeFileSync(at("a"), "was a")
    writeFileSync(at("b"), "was b")
    expect(python(script, at("a"), at("b"))).toBe("-1 17 0")
    expect([readFileSync(at("a"), "utf8"), readFileSync(at("b"), "utf8")]).toEqual(["was b", "was a"])
    mkdirSync(at("d"))
    writeFileSync(at("d", "inside"), "")
    expect(python(script, at("a"), at("d"))).toBe("-1 17 0")
    expect(existsSync(at("a", "inside"))).toBe(true)
    expect(readFileSync(at("d"), "utf8")).toBe("was b")
  })
}
