/** What every adapter of the Mount port must do for a correct file system, seen by programs that use the mount. */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type { Invalidation } from "../../runtime/ports/mount.ts"

/** A mount that a test uses; the process that serves it is never the test's own, which blocks in system calls. */
export interface Mounted {
  readonly place: string
  /** The file system changes a file of the root, and the kernel is told what it should forget. */
  readonly behind: (change: Changed, invalidate: ReadonlyArray<Invalidation>) => Promise<void>
  readonly end: () => Promise<void>
}

export interface Changed {
  readonly write?: { readonly name: string; readonly bytes: string }
  readonly remove?: string
}

/** What an adapter cannot do by its nature, and why. */
export type Without = Partial<
  Record<"renameFlags" | "invalidation" | "rawNames" | "nameless" | "nanoseconds" | "holes" | "allocation", string>
>

/** A test that an adapter may be unable to pass: then it is left out by its name, with the reason. */
type Able = (capability: keyof Without, name: string, body: () => void | Promise<void>) => void

const ableOf =
  (without: Without): Able =>
  (capability, name, body) => {
    const why = without[capability]
    if (why === undefined) it(name, body)
    else it.skip(`${name} (${why})`, body)
  }

/** Python speaks the system calls that Node has no function for; what a script prints is what it found. */
const python = (script: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("python3", ["-c", script, ...args], { encoding: "utf8", timeout: 30_000 }).trim()

const pattern = (bytes: number, seed: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at++) buffer[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff
  return buffer
}

const errnoOf = (once: () => unknown): string => {
  try {
    once()
    return "none"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown"
  }
}

export const mountContract = (name: string, start: () => Promise<Mounted>, without: Without = {}): void => {
  describe(`Mount: ${name}`, () => {
    let mount: Mounted
    let dir = ""
    let count = 0
    const at = (...names: ReadonlyArray<string>) => join(dir, ...names)

    beforeAll(async () => {
      mount = await start()
    })
    afterAll(async () => {
      await mount?.end()
    })
    beforeEach(() => {
      dir = join(mount.place, `t${++count}`)
      mkdirSync(dir)
    })
    afterEach(() => rmSync(dir, { recursive: true }))

    const able = ableOf(without)
    names(at, able)
    attributes(at, able)
    contents(at, able)
    mapped(at)
    locks(at)
    signals(at)
    renameFlags(at, able)
    invalidation(() => mount, able)
  })
}

type At = (...names: ReadonlyArray<string>) => string

const names = (at: At, able: Able): void => {
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

const attributes = (at: At, able: Able): void => {
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

const contents = (at: At, able: Able): void => {
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

const mapped = (at: At): void => {
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

/** Takes a lock and holds it until its input closes; prints `got` when it has it, or the error's number. */
const holder = `import fcntl,sys,os
fd=os.open(sys.argv[1],os.O_RDWR); kind=sys.argv[2]; flags=fcntl.LOCK_EX|(fcntl.LOCK_NB if "now" in sys.argv else 0)
try:
  fcntl.flock(fd,flags) if kind=="flock" else fcntl.lockf(fd,flags,10,int(sys.argv[3]))
  print("got",flush=True)
except OSError as e: print(e.errno,flush=True); sys.exit(0)
sys.stdin.read()`

const locks = (at: At): void => {
  for (const kind of ["flock", "fcntl"]) {
    it(`has ${kind} locks between processes, which are waited for, given up, and end with their holder`, async () => {
      writeFileSync(at("l"), "x".repeat(100))
      const start = (...args: ReadonlyArray<string>) => spawn("python3", ["-c", holder, at("l"), kind, ...args])
      const said = async (child: ReturnType<typeof start>) => String((await once(child.stdout, "data"))[0]).trim()
      const first = start("0")
      expect(await said(first)).toBe("got")
      const refused = start("0", "now")
      expect(await said(refused)).toBe("11")
      if (kind === "fcntl") {
        const beside = start("50", "now")
        expect(await said(beside)).toBe("got")
        beside.stdin.end()
      }
      const second = start("0")
      const third = start("0")
      await new Promise((resolve) => setTimeout(resolve, 300))
      // A caller that waits can be killed: the file system is told, and forgets it.
      third.kill("SIGKILL")
      await once(third, "exit")
      first.kill("SIGKILL")
      expect(await said(second)).toBe("got")
      second.stdin.end()
      await once(second, "exit")
      const last = start("0", "now")
      expect(await said(last)).toBe("got")
      last.stdin.end()
      await once(last, "exit")
    })
  }

  it("interrupts a caller that waits for a lock", async () => {
    writeFileSync(at("l"), "x".repeat(100))
    const first = spawn("python3", ["-c", holder, at("l"), "fcntl", "0"])
    await once(first.stdout, "data")
    const script = `import fcntl,sys,os,signal
class Late(Exception): pass
def late(*_): raise Late
signal.signal(signal.SIGALRM,late); signal.setitimer(signal.ITIMER_REAL,0.3)
fd=os.open(sys.argv[1],os.O_RDWR)
try: fcntl.lockf(fd,fcntl.LOCK_EX); print("got")
except Late: print("late")`
    expect(python(script, at("l"))).toBe("late")
    first.stdin.end()
    await once(first, "exit")
  })

  it("tells who holds a lock", async () => {
    writeFileSync(at("l"), "x".repeat(100))
    const first = spawn("python3", ["-c", holder, at("l"), "fcntl", "20"])
    await once(first.stdout, "data")
    const script = `import fcntl,sys,os,struct
fd=os.open(sys.argv[1],os.O_RDWR)
got=struct.unpack("hhqqi4x",fcntl.fcntl(fd,fcntl.F_GETLK,struct.pack("hhqqi4x",fcntl.F_WRLCK,0,0,0,0)))
print(got[0]==fcntl.F_WRLCK,got[2],got[3],got[4])`
    expect(python(script, at("l"))).toBe(`True 20 10 ${first.pid}`)
    first.stdin.end()
    await once(first, "exit")
  })
}

const signals = (at: At): void => {
  it("lets no signal into calls that signals do not end on a local disk", () => {
    const script = `import os,sys,signal
d=sys.argv[1]; hits=0; wrong=0
def hit(*_):
  global hits; hits+=1
signal.signal(signal.SIGALRM,hit); signal.siginterrupt(signal.SIGALRM,True)
signal.setitimer(signal.ITIMER_REAL,0.0003,0.0003)
for i in range(3000):
  try: os.mkdir(d+"/x"); os.rename(d+"/x",d+"/y"); os.rmdir(d+"/y")
  except InterruptedError: wrong+=1
  except OSError: pass
signal.setitimer(signal.ITIMER_REAL,0)
print(hits>0, wrong)`
    expect(python(script, at())).toBe("True 0")
  })
}

const renameFlags = (at: At, able: Able): void => {
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

const invalidation = (mount: () => Mounted, able: Able): void => {
  able("invalidation", "shows what changed behind the kernel's back once that is told, and not before", async () => {
    const { behind, place } = mount()
    const path = join(place, "watched")
    await behind({ write: { name: "watched", bytes: "before" } }, [{ kind: "entry", parent: 1, name: "watched" }])
    expect(readFileSync(path, "utf8")).toBe("before")
    const { ino } = statSync(path)
    await behind({ write: { name: "watched", bytes: "after that" } }, [])
    expect(statSync(path).size).toBe(6)
    await behind({}, [{ kind: "inode", ino, offset: 0, length: 0 }])
    expect(readFileSync(path, "utf8")).toBe("after that")
    await behind({ remove: "watched" }, [])
    expect(existsSync(path)).toBe(true)
    await behind({}, [{ kind: "deleted", parent: 1, ino, name: "watched" }])
    expect(existsSync(path)).toBe(false)
    await behind({}, [{ kind: "entry", parent: 999_999, name: "unknown" }])
  })

  able("invalidation", "takes pages that it did not ask for", async () => {
    const { behind, place } = mount()
    const path = join(place, "stored")
    const page = (letter: string) => letter.repeat(4096)
    await behind({ write: { name: "stored", bytes: page("a") } }, [{ kind: "entry", parent: 1, name: "stored" }])
    const { ino } = statSync(path)
    await behind({}, [{ kind: "store", ino, offset: 0, data: Buffer.from(page("b")) }])
    expect(readFileSync(path, "utf8")).toBe(page("b"))
    await behind({}, [{ kind: "inode", ino, offset: 0, length: 0 }])
    expect(readFileSync(path, "utf8")).toBe(page("a"))
    unlinkSync(path)
  })

  able("invalidation", "is told while names are made, listed and removed in the same directory", async () => {
    const { behind, place } = mount()
    const script = `import os,sys
d=sys.argv[1]
for i in range(1500):
  p=d+"/storm-"+sys.argv[2]+str(i%40)
  open(p,"w").write("x"); os.stat(p); os.listdir(d); os.unlink(p)
print("fine")`
    const all = ["a", "b"].map((name) => spawn("python3", ["-c", script, place, name]))
    const ended = Promise.all(all.map(async (one) => (await once(one, "exit"))[0]))
    let told = 0
    let over = false
    void ended.then(() => {
      over = true
    })
    while (!over) {
      const names = Array.from({ length: 40 }, (_, index) => `storm-a${index}`)
      const entries = names.map((name) => ({ kind: "entry", parent: 1, name }) as const)
      await behind({}, [...entries, { kind: "inode", ino: 1, offset: 0, length: 0 }])
      told += entries.length
    }
    expect(await ended).toEqual([0, 0])
    expect(told).toBeGreaterThan(0)
  })

  able("invalidation", "shows a name that others made, where there was none", async () => {
    const { behind, place } = mount()
    const path = join(place, "appears")
    expect(existsSync(path)).toBe(false)
    await behind({ write: { name: "appears", bytes: "here" } }, [{ kind: "entry", parent: 1, name: "appears" }])
    expect(readFileSync(path, "utf8")).toBe("here")
    expect(spawnSync("rm", [path]).status).toBe(0)
  })
}
