/** What a mount knows of a file besides its bytes. */
import { execFileSync } from "node:child_process"
import { chmodSync, lstatSync, lutimesSync, statfsSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { expect, it } from "vitest"
import { type Able, type At, python } from "./mount.programs.ts"

export const attributes = (at: At, able: Able): void => {
  it("has modes, owners, times and space", () => {
    writeFileSync(at("a"), "12345")
    chmodSync(at("a"), 0o640)
    python("import os,sys; os.chown(sys.argv[1], 12, 34); os.utime(sys.argv[1], (7.25, 2**33+0.5))", at("a"))
    const stat = statSync(at("a"))
    expect(stat).toMatchObject({ uid: 12, gid: 34, size: 5, mode: 0o100640 })
    expect([stat.atimeMs, stat.mtimeMs]).toEqual([7250, 2 ** 33 * 1000 + 500])
    symlinkSync("nowhere", at("s"))
    lutimesSync(at("s"), 1, 2)
    expect(lstatSync(at("s")).mtimeMs).toBe(2000)
    expect(statfsSync(at()).blocks).toBeGreaterThan(0)
  })

  able("nanoseconds", "has times to the nanosecond, from before 1970 on, and each of its own", () => {
    writeFileSync(at("a"), "12345")
    python("import os,sys; os.utime(sys.argv[1], ns=(-5*10**9+7, 2**33*10**9+9))", at("a"))
    expect(statSync(at("a"), { bigint: true }).mtimeNs).toBe(2n ** 33n * 10n ** 9n + 9n)
    expect(python("import os,sys; print(os.stat(sys.argv[1]).st_atime_ns)", at("a"))).toBe("-4999999993")
    execFileSync("touch", ["-m", "-d", "@5", at("a")])
    expect(statSync(at("a")).mtimeMs).toBe(5000)
    expect(python("import os,sys; print(os.stat(sys.argv[1]).st_atime_ns)", at("a"))).toBe("-4999999993")
  })

  it("clears set-id bits when others write", () => {
    writeFileSync(at("a"), "x")
    chmodSync(at("a"), 0o6777)
    const script = `import os,sys
os.setgid(65534); os.setuid(65534)
fd=os.open(sys.argv[1], os.O_WRONLY); os.write(fd, b"y"); os.close(fd)
print(oct(os.stat(sys.argv[1]).st_mode))`
    expect(python(script, at("a"))).toBe("0o100777")
  })

  it("has extended attributes", () => {
    writeFileSync(at("a"), "x")
    const script = `import os,sys
p=sys.argv[1]
os.setxattr(p,"user.one",b"1"*5000); os.setxattr(p,"user.two",b"")
print(sorted(os.listxattr(p)), len(os.getxattr(p,"user.one")), os.getxattr(p,"user.two"))
def create(): os.setxattr(p,"user.one",b"x",os.XATTR_CREATE)
def replace(): os.setxattr(p,"user.no",b"x",os.XATTR_REPLACE)
def get(): os.getxattr(p,"user.no")
for what in (create, replace, get):
  try: what(); print("fine")
  except OSError as e: print(e.errno)
os.removexattr(p,"user.one"); print(os.listxattr(p))`
    expect(python(script, at("a")).split("\n")).toEqual([
      "['user.one', 'user.two'] 5000 b''",
      "17",
      "61",
      "61",
      "['user.two']"
    ])
  })
}
