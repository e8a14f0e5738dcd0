/** Bytes of files on a mount, as they are written, read, copied and mapped. */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { expect, it } from "vitest"
import { type Able, type At, pattern, python } from "./mount.programs.ts"

export const contents = (at: At, able: Able): void => {
  it("keeps large and unaligned writes and reads", () => {
    const whole = pattern(5_000_011, 1)
    writeFileSync(at("big"), whole)
    expect(readFileSync(at("big")).equals(whole)).toBe(true)
    const fd = openSync(at("big"), "r+")
    for (const [offset, length] of [
      [1, 1],
      [4095, 2],
      [65_535, 70_001],
      [1_048_575, 2_097_155],
      [5_000_000, 100]
    ] as const) {
      const part = pattern(length, offset)
      expect(writeSync(fd, part, 0, length, offset)).toBe(length)
      const back = Buffer.alloc(length)
      expect(readSync(fd, back, 0, length, offset)).toBe(length)
      expect(back.equals(part)).toBe(true)
    }
    fsyncSync(fd)
    closeSync(fd)
    expect(statSync(at("big")).size).toBe(5_000_100)
  })

  it("appends, truncates, and shows zeros where nothing was written", () => {
    writeFileSync(at("a"), "0123456789")
    appendFileSync(at("a"), "ab")
    truncateSync(at("a"), 4)
    truncateSync(at("a"), 8)
    expect(readFileSync(at("a"), "latin1")).toBe("0123\0\0\0\0")
    writeFileSync(at("a"), "new")
    expect(readFileSync(at("a"), "utf8")).toBe("new")
    const fd = openSync(at("a"), "r+")
    ftruncateSync(fd, 0)
    expect(fstatSync(fd).size).toBe(0)
    closeSync(fd)
  })

  able("holes", "tells holes from data", () => {
    const script = `import os,sys
fd=os.open(sys.argv[1], os.O_CREAT|os.O_RDWR)
os.pwrite(fd, b"x"*65536, 0); os.pwrite(fd, b"y"*65536, 4<<20); os.fsync(fd)
print(os.lseek(fd,0,os.SEEK_HOLE)>=65536, os.lseek(fd,1<<20,os.SEEK_DATA)<=(4<<20), os.lseek(fd,4<<20,os.SEEK_HOLE))
try: os.lseek(fd, 8<<20, os.SEEK_DATA); print("data")
except OSError as e: print(e.errno)
print(os.pread(fd, 16, 2<<20)==bytes(16), os.fstat(fd).st_blocks*512 < (4<<20))`
    expect(python(script, at("sparse")).split("\n")).toEqual([`True True ${(4 << 20) + 65536}`, "6", "True True"])
  })

  able("allocation", "allocates, and punches holes", () => {
    const script = `import os,sys,ctypes
libc=ctypes.CDLL(None,use_errno=True)
libc.fallocate.argtypes=[ctypes.c_int,ctypes.c_int,ctypes.c_long,ctypes.c_long]
fd=os.open(sys.argv[1], os.O_CREAT|os.O_RDWR)
os.pwrite(fd, b"x"*300000, 0)
print(libc.fallocate(fd,0,0,400000), os.fstat(fd).st_size)
print(libc.fallocate(fd,1,0,500000), os.fstat(fd).st_size)
print(libc.fallocate(fd,3,100000,100000), os.pread(fd,2,99999), os.pread(fd,2,199999))
print(libc.fallocate(fd,8,0,4096), ctypes.get_errno())`
    expect(python(script, at("a")).split("\n")).toEqual(["0 400000", "0 400000", "0 b'x\\x00' b'\\x00x'", "-1 95"])
  })

  it("copies ranges between files", () => {
    const whole = pattern(3_000_000, 5)
    writeFileSync(at("from"), whole)
    const script = `import os,sys
a=os.open(sys.argv[1],os.O_RDONLY); b=os.open(sys.argv[2],os.O_CREAT|os.O_RDWR)
left=2500000; at=1000
while left>0:
  n=os.copy_file_range(a,b,left,at,at+77)
  left-=n; at+=n
print(os.fstat(b).st_size)`
    expect(python(script, at("from"), at("to"))).toBe("2501077")
    expect(readFileSync(at("to")).subarray(1077).equals(whole.subarray(1000, 2_501_000))).toBe(true)
    execFileSync("cp", ["--reflink=auto", at("from"), at("copy")])
    expect(readFileSync(at("copy")).equals(whole)).toBe(true)
  })

  it("reads and writes past the page cache", () => {
    const script = `import os,sys,mmap
fd=os.open(sys.argv[1], os.O_CREAT|os.O_RDWR|os.O_DIRECT)
m=mmap.mmap(-1, 2<<20); m.write(bytes(range(256))*8192)
print(os.pwritev(fd,[m],4096))
n=mmap.mmap(-1, 2<<20)
print(os.preadv(fd,[n],4096), m[:]==n[:])`
    expect(python(script, at("direct"))).toBe(`${2 << 20}\n${2 << 20} True`)
  })

  it("serves several processes at once", async () => {
    const script = `import os,sys
p=sys.argv[1]+sys.argv[2]
for i in range(200):
  open(p+str(i),"w").write(str(i)*100)
for i in range(200):
  assert open(p+str(i)).read()==str(i)*100
  os.unlink(p+str(i))
print("fine")`
    const all = ["a", "b", "c", "d"].map((name) => spawn("python3", ["-c", script, at("many-"), name]))
    expect(await Promise.all(all.map(async (one) => (await once(one, "exit"))[0]))).toEqual([0, 0, 0, 0])
    expect(readdirSync(at())).toEqual([])
  })
}

export const mapped = (at: At): void => {
  it("maps files, shared and private", () => {
    writeFileSync(at("m"), pattern(100_000, 9))
    const script = `import os,sys,mmap
fd=os.open(sys.argv[1], os.O_RDWR)
s=mmap.mmap(fd,0,mmap.MAP_SHARED); p=mmap.mmap(fd,0,mmap.MAP_PRIVATE)
s[5000:5005]=b"hello"; p[5000:5005]=b"other"
s.flush()
print(os.pread(fd,5,5000), p[5000:5005])
os.pwrite(fd,b"WRITE",60000); print(s[60000:60005])`
    expect(python(script, at("m"))).toBe("b'hello' b'other'\nb'WRITE'")
    expect(readFileSync(at("m")).subarray(5000, 5005).toString()).toBe("hello")
  })

  it("holds a database that several processes use", () => {
    const script = `import sqlite3,sys
mode=sys.argv[2]
d=sqlite3.connect(sys.argv[1]+mode,timeout=20); d.execute("pragma journal_mode="+mode)
d.execute("create table if not exists t(a integer primary key,b text)")
for i in range(50):
  d.execute("insert into t(b) values(?)",("x"*100,)); d.commit()
print(d.execute("select count(*) from t").fetchone()[0], d.execute("pragma integrity_check").fetchone()[0])`
    for (const mode of ["wal", "delete"]) expect(python(script, at("db-"), mode)).toBe("50 ok")
  })
}
