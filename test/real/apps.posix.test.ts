/** Programs do more to files than read and write: maps, direct I/O, nameless files, archives, watches and locks. */
import { mkdirSync, readFileSync, statSync, symlinkSync, utimesSync, watch, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Ground, patientMs, python, run, seen, stats, without } from "./apps.ts"

const why = without("what programs do to files", "python3", "cp", "tar")
const noRsync = why ?? without("rsync", "rsync")

const tree = (place: string): void => {
  mkdirSync(join(place, "deep", "er"), { recursive: true })
  for (let at = 0; at < 40; at++) {
    const path = join(place, at % 2 === 0 ? "deep" : "deep/er", `file ${at} ü`)
    writeFileSync(path, `${at}`.repeat(at * 500))
    utimesSync(path, 1_000_000 + at, 2_000_000.25 + at)
  }
  writeFileSync(join(place, "run"), "#!/bin/sh\n", { mode: 0o750 })
  symlinkSync("deep/er", join(place, "link"))
  symlinkSync("nowhere", join(place, "dangling"))
  python(place, "import os; os.link('run', 'hard'); os.mkfifo('fifo'); os.truncate(os.open('sparse', 66), 9999999)")
}

/** With the tree in memory, and with none of it. */
const modes: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["a replica", []],
  ["no replica", ["--replica-entries", "0"]]
]

describe.skipIf(why !== undefined).each(modes)("with %s, programs find that", { timeout: patientMs }, (_, flags) => {
  const ground = new Ground()
  beforeAll(() => ground.begin(...flags), patientMs)
  afterAll(() => ground.end(), patientMs)

  it("shared maps are the file, on the other host too, and private ones are nobody's", async () => {
    const program = `
import mmap, os
f = os.open("map", os.O_RDWR | os.O_CREAT)
os.truncate(f, 3 * 4096 + 10)
m = mmap.mmap(f, 3 * 4096 + 10, mmap.MAP_SHARED)
m[5:10] = b"hello"; m[2 * 4096:2 * 4096 + 5] = b"there"
n = mmap.mmap(f, 4096, mmap.MAP_SHARED)
assert n[5:10] == b"hello"
p = mmap.mmap(f, 4096, mmap.MAP_PRIVATE)
p[0:4] = b"mine"
assert n[0:4] == bytes(4) and p[5:10] == b"hello"
os.pwrite(f, b"by write", 100)
assert n[100:108] == b"by write"
m.flush(); os.fsync(f); m.close(); n.close(); p.close(); os.close(f)
b = open("map", "rb").read()
assert len(b) == 3 * 4096 + 10 and b[5:10] == b"hello" and b[8192:8197] == b"there" and b[0:4] == bytes(4), b[:10]
`
    python(ground.a, program)
    await seen("what was mapped", () => readFileSync(join(ground.b, "map")).includes("there"))
    expect(readFileSync(join(ground.b, "map"))).toEqual(readFileSync(join(ground.a, "map")))
  })

  it("maps that are unmapped without a sync are kept all the same", async () => {
    const program = `
import mmap, os
f = os.open("unsynced", os.O_RDWR | os.O_CREAT)
os.truncate(f, 8192)
m = mmap.mmap(f, 8192, mmap.MAP_SHARED)
m[4096:4101] = b"later"
m.close(); os.close(f)
`
    python(ground.a, program)
    await seen("what was mapped", () => readFileSync(join(ground.b, "unsynced")).includes("later"))
  })

  it("direct I/O, aligned and not cached, agrees with what is cached", () => {
    const program = `
import mmap, os
f = os.open("direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
page = mmap.mmap(-1, 1 << 20)
page.write(bytes(range(256)) * 4096)
assert os.pwritev(f, [page], 0) == 1 << 20
assert os.pwritev(f, [memoryview(page)[:4096]], 3 << 20) == 4096
into = mmap.mmap(-1, 4096)
assert os.preadv(f, [into], 4096) == 4096 and into[:256] == bytes(range(256))
g = os.open("direct", os.O_RDWR)
assert os.pread(g, 256, 3 << 20) == bytes(range(256)) and os.pread(g, 10, 2 << 20) == bytes(10)
os.pwrite(g, b"cached", 8192); os.fsync(g)
assert os.preadv(f, [into], 8192) == 4096 and into[:6] == b"cached"
os.close(f); os.close(g)
`
    python(ground.a, program)
    expect(statSync(join(ground.b, "direct")).size).toBe((3 << 20) + 4096)
  })

  it("a file without a name is written, gets one, and is gone when it does not", async () => {
    const program = `
import os
f = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
os.write(f, b"nameless")
assert os.fstat(f).st_nlink == 0
os.link(f"/proc/self/fd/{f}", "named", src_dir_fd=f, follow_symlinks=True)
assert os.stat("named").st_nlink == 1 and open("named").read() == "nameless"
g = os.open(".", os.O_TMPFILE | os.O_RDWR)
os.write(g, b"x" * 100000); assert os.pread(g, 5, 99990) == b"xxxxx"
os.close(g); os.close(f)
`
    python(ground.a, program)
    await seen("the file", () => readFileSync(join(ground.b, "named"), "utf8") === "nameless")
  })

  it("a file that is removed while it is open goes on, until it is closed", () => {
    const program = `
import os
f = open("gone", "w+b"); f.write(b"a" * 300000); f.flush()
os.unlink("gone"); assert not os.path.exists("gone")
f.seek(0); assert f.read() == b"a" * 300000
f.write(b"more"); f.flush(); os.fsync(f.fileno()); assert os.fstat(f.fileno()).st_size == 300004
f.close()
`
    python(ground.a, program)
  })

  it("cp copies by reference where it may, and says that clones of extents there are none", () => {
    const bytes = Buffer.alloc(3_000_000, "reference ")
    writeFileSync(join(ground.a, "source"), bytes)
    const before = stats(ground.a).get("data_uploaded_bytes")
    run(ground.a, "cp", "--reflink=auto", "source", "copy")
    expect(readFileSync(join(ground.a, "copy"))).toEqual(bytes)
    expect(stats(ground.a).get("data_uploaded_bytes")).toBe(before)
    // FICLONE never reaches a file system in user space: Linux has no request for it.
    expect(() => run(ground.a, "cp", "--reflink=always", "source", "clone")).toThrow(/Operation not supported/)
  })

  it("tar takes a tree away and brings it back as it was", () => {
    tree(join(ground.a, "tree"))
    run(ground.a, "tar", "--sparse", "--format=posix", "-cf", join(ground.local, "tree.tar"), "tree")
    mkdirSync(join(ground.b, "back"))
    run(join(ground.b, "back"), "tar", "--sparse", "-xpf", join(ground.local, "tree.tar"))
    expect(run(ground.b, "diff", "-r", "--no-dereference", "-x", "fifo", "tree", "back/tree")).toBe("")
    const listed = (place: string) =>
      run(place, "find", ".", "-printf", "%P %y %m %s %T@ %n %l\n")
        .split("\n")
        .filter((line) => !/^(\S*er)? d/.test(line))
        .sort()
    expect(listed(join(ground.b, "back", "tree"))).toEqual(listed(join(ground.a, "tree")))
  })

  it.skipIf(noRsync !== undefined)(
    "rsync copies a tree, finds nothing to do again, and sends only what changed",
    () => {
      tree(join(ground.local, "from"))
      const sync = () =>
        run(ground.a, "rsync", "-aHX", "--delete", "--stats", `${join(ground.local, "from")}/`, "synced/")
      sync()
      expect(run(ground.b, "diff", "-r", "--no-dereference", "-x", "fifo", join(ground.local, "from"), "synced")).toBe(
        ""
      )
      expect(sync()).toMatch(/Number of regular files transferred: 0/)
      writeFileSync(join(ground.local, "from", "run"), "#!/bin/sh\necho changed\n")
      expect(sync()).toMatch(/Number of regular files transferred: 1/)
    }
  )

  it("watches are told of what changes on this host", async () => {
    const place = join(ground.a, "watched")
    mkdirSync(place)
    const told: Array<string> = []
    const watching = watch(place, (kind, name) => told.push(`${kind} ${name}`))
    writeFileSync(join(place, "new"), "x")
    run(place, "mv", "new", "old")
    await seen("the change", () => told.includes("rename new") && told.includes("rename old"))
    writeFileSync(join(place, "old"), "y")
    await seen("the change of bytes", () => told.includes("change old"))
    watching.close()
  })

  it("locks of all kinds are held against the other host, and given up when their process ends", () => {
    const program = `
import fcntl, os, subprocess, sys
here, there = sys.argv[1], sys.argv[2]
f = open(here + "/locked", "w+"); f.write("0123456789"); f.flush(); os.fsync(f.fileno())
def other(code):
    begin = "import fcntl, os, sys\\nf = open(sys.argv[1] + '/locked', 'r+')\\n"
    return subprocess.run([sys.executable, "-c", begin + code, there]).returncode
refused = "\\ntry:\\n    %s\\nexcept OSError:\\n    sys.exit(7)\\n"
fcntl.lockf(f, fcntl.LOCK_EX, 5, 0)
assert other(refused % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 4)") == 7
assert other(refused % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)") == 0
fcntl.lockf(f, fcntl.LOCK_UN)
assert other(refused % "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)") == 0
fcntl.flock(f, fcntl.LOCK_EX)
assert other(refused % "fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)") == 7
f.close()
assert other(refused % "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)") == 0
`
    python(ground.a, program, ground.a, ground.b)
  })
})
