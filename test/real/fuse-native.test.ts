/** The mount contract through libfuse, and a workspace mounted with it from the command line. */
import { execFileSync } from "node:child_process"
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { binding } from "../../adapters/fuse-native/binding.ts"
import type { Mounted, Without } from "../contract/mount.programs.ts"
import { mountContract } from "../contract/mount.ts"
import { leftOut } from "./fuse-able.ts"
import { started } from "./fuse-started.ts"
import { Hosts } from "./mounts.ts"

const without: Without = {
  renameFlags: "libfuse 2 knows no flags of rename",
  invalidation: "libfuse 2 cannot tell the kernel anything unasked; the kernel keeps no names",
  rawNames: "the binding takes paths for text",
  nameless: "libfuse 2 knows no O_TMPFILE",
  nanoseconds: "the binding has times in milliseconds, and both at once",
  holes: "libfuse 2 knows no lseek",
  allocation: "the binding knows no fallocate"
}

const made = binding()
if (typeof made === "string") console.log(`skipped: mounts through libfuse, for ${made}`)

if (typeof made === "string" || leftOut("mounts through libfuse")) {
  describe.skip("Mount: fuse-native", () => {
    it("needs libfuse and mounts", () => undefined)
  })
} else {
  mountContract("fuse-native, answered at once", () => started({ where: "worker", native: true }, {}), without)
  mountContract("fuse-native, answered later", () => started({ where: "main", native: true }, {}), without)

  describe("what libfuse 2 cannot express", () => {
    let mount: Mounted
    beforeAll(async () => {
      mount = await started({ where: "worker", native: true }, {})
    })
    afterAll(() => mount.end())

    it("is answered with an error that programs know, and never with something else done", () => {
      writeFileSync(join(mount.place, "a"), "12345")
      const script = `import os,sys,ctypes
d=sys.argv[1]; a=os.path.join(d,"a"); libc=ctypes.CDLL(None,use_errno=True)
libc.fallocate.argtypes=[ctypes.c_int,ctypes.c_int,ctypes.c_long,ctypes.c_long]
def said(what):
  try: return what()
  except OSError as e: return e.errno
fd=os.open(a,os.O_RDWR)
print(said(lambda: os.open(d,os.O_TMPFILE|os.O_RDWR)))
print(libc.fallocate(fd,3,0,2), ctypes.get_errno())
print(libc.renameat2(-100,a.encode(),-100,os.path.join(d,"b").encode(),1), ctypes.get_errno())
print(os.lseek(fd,0,os.SEEK_HOLE))
print(said(lambda: os.open(d.encode()+b"/\\xff",os.O_CREAT|os.O_RDWR)))
os.utime(a,ns=(1,2*10**9)); print(os.stat(a).st_atime_ns, os.stat(a).st_mtime_ns)`
      const said = execFileSync("python3", ["-c", script, mount.place], { encoding: "utf8" }).trim().split("\n")
      expect(said).toEqual(["95", "-1 95", "-1 22", "5", "84", "0 2000000000"])
    })
  })

  describe("a workspace, mounted through libfuse", () => {
    const patientMs = 90_000
    let hosts: Hosts
    let place: string
    let other: string

    const answers = async (look: () => unknown): Promise<void> => {
      for (const until = performance.now() + 30_000; ; ) {
        try {
          look()
          return
        } catch (error) {
          if (performance.now() > until) throw error
        }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }

    beforeAll(async () => {
      hosts = new Hosts()
      await hosts.begin()
      place = await hosts.mount("demo", "native", "--fuse", "native")
      other = await hosts.mount("demo", "kernel")
    }, patientMs)

    afterAll(() => hosts.end(), patientMs)

    it("is read, written and listed, together with a host that speaks the kernel's own protocol", () => {
      const table = readFileSync("/proc/self/mountinfo", "utf8").split("\n")
      expect(table.find((line) => line.includes(` ${place} `))).toContain(" - fuse.artifacts-native artifacts:demo ")
      const whole = Buffer.alloc(3_000_000, "a line of text\n")
      writeFileSync(join(place, "one"), whole)
      expect(readFileSync(join(other, "one")).equals(whole)).toBe(true)
      appendFileSync(join(other, "one"), "more")
      expect(readFileSync(join(place, "one")).subarray(whole.length).toString()).toBe("more")
      expect(readdirSync(place)).toEqual(["one"])
      expect(readFileSync(join(place, ".stats"), "utf8")).toMatch(
        /^artifacts_replica_live 1$[\s\S]*^artifacts_ops_mknod 1$/m
      )
    })

    it(
      "is mounted again when the process that serves it is killed, and has all that was closed",
      async () => {
        writeFileSync(join(place, "two"), "kept")
        process.kill(hosts.sidecar(place), "SIGKILL")
        await answers(() => expect(readFileSync(join(place, "two"), "utf8")).toBe("kept"))
        writeFileSync(join(place, "three"), "from the second")
        expect(readFileSync(join(other, "three"), "utf8")).toBe("from the second")
      },
      patientMs
    )

    it(
      "keeps all that was written when it is unmounted",
      async () => {
        writeFileSync(join(place, "last"), "x".repeat(100_000))
        expect((await hosts.unmount(place)).code).toBe(0)
        expect(readdirSync(place)).toEqual([])
        expect(readFileSync(join(other, "last"), "utf8")).toHaveLength(100_000)
      },
      patientMs
    )
  })
}
