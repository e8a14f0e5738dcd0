/** A tree in memory behind the mount, beside directories of the local disk and in shared memory: operations and CPU. */
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  mkdirSync,
  mkdtempSync,
  opendirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const files = 10_000
const rounds = 3
const megabyte = 1 << 20
const bigMegabytes = 256

interface Measured {
  readonly perSecond: number
  /** Of whoever serves the mount, for each operation; 0 where nobody does. */
  readonly cpuUs: number
}

/** User and system time of a process in microseconds, in the kernel's ticks of 10 ms. */
const cpuOf = (pid: number | undefined): number => {
  if (pid === undefined) return 0
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

/** "1" are pages, "2" names and inodes. */
const dropCaches = (which: "1" | "2"): void => {
  try {
    const fd = openSync("/proc/sys/vm/drop_caches", "w")
    writeSync(fd, which)
    closeSync(fd)
  } catch {
    // Without the right to it, every directory keeps its caches alike.
  }
}

type Step = readonly [name: string, operations: number, run: (dir: string) => void, before?: () => void]

const name = (dir: string, count: number) => join(dir, `file-${count}`)
const block = Buffer.alloc(megabyte, 7)
const small = Buffer.alloc(4096, 7)

const each = (run: (path: string) => void) => (dir: string) => {
  for (let count = 0; count < files; count++) run(name(dir, count))
}

const steps: ReadonlyArray<Step> = [
  ["create", files, each((path) => closeSync(openSync(path, "wx")))],
  ["stat again", files, each((path) => statSync(path))],
  ["stat uncached", files, each((path) => statSync(path)), () => dropCaches("2")],
  [
    "stat of nothing",
    files,
    each((path) => {
      statSync(`${path}-none`, { throwIfNoEntry: false })
    })
  ],
  [
    "readdir",
    files,
    (dir) => {
      const listing = opendirSync(dir, { bufferSize: 1024 })
      while (listing.readSync() !== null);
      listing.closeSync()
    }
  ],
  ["unlink", files, each((path) => unlinkSync(path))],
  [
    "write 4 KiB",
    files,
    (dir) => {
      const fd = openSync(join(dir, "small"), "w")
      for (let count = 0; count < files; count++) writeSync(fd, small, 0, small.length, count * small.length)
      closeSync(fd)
    }
  ],
  [
    "write 1 MiB",
    bigMegabytes,
    (dir) => {
      const fd = openSync(join(dir, "big"), "w")
      for (let count = 0; count < bigMegabytes; count++) writeSync(fd, block)
      fdatasyncSync(fd)
      closeSync(fd)
    }
  ],
  [
    "read 1 MiB uncached",
    bigMegabytes,
    (dir) => {
      const fd = openSync(join(dir, "big"), "r")
      for (let count = 0; count < bigMegabytes; count++) readSync(fd, block)
      closeSync(fd)
    },
    () => dropCaches("1")
  ],
  [
    "read 1 MiB cached",
    bigMegabytes,
    (dir) => {
      const fd = openSync(join(dir, "big"), "r")
      for (let count = 0; count < bigMegabytes; count++) readSync(fd, block)
      closeSync(fd)
    }
  ]
]

const measure = (dir: string, pid: number | undefined): ReadonlyMap<string, Measured> => {
  const best = new Map<string, Measured>()
  for (let round = 0; round < rounds; round++) {
    const own = join(dir, `round-${round}`)
    mkdirSync(own)
    for (const [step, operations, run, before] of steps) {
      before?.()
      const cpu = cpuOf(pid)
      const start = performance.now()
      run(own)
      const perSecond = Math.round((operations * 1000) / (performance.now() - start))
      const cpuUs = Math.round(((cpuOf(pid) - cpu) / operations) * 10) / 10
      if (perSecond > (best.get(step)?.perSecond ?? 0)) best.set(step, { perSecond, cpuUs })
    }
    rmSync(own, { recursive: true })
  }
  return best
}

/** Both sides on one processor, where that can be: else it is the waking of another one that is measured. */
const pin = (pid: number): void => {
  spawnSync("taskset", ["-a", "-cp", "0", String(pid)], { stdio: "ignore" })
}

const mounted = async (where: "worker" | "main", use: (place: string, pid: number) => void): Promise<void> => {
  const place = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
  const module = new URL("../real/fuse-mount.ts", import.meta.url)
  const child: ChildProcess = fork(module, [place, JSON.stringify({ where })], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const ended = once(child, "exit")
  try {
    if ((await Promise.race([once(child, "message"), ended]))[0] !== "ready") throw new Error("it could not be mounted")
    pin(child.pid ?? 0)
    use(place, child.pid ?? 0)
  } finally {
    child.kill("SIGTERM")
    await ended
    rmdirSync(place)
  }
}

const directory = (parent: string): ReadonlyMap<string, Measured> => {
  const dir = mkdtempSync(join(parent, "artifacts-fuse-"))
  try {
    return measure(dir, undefined)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

export const main = async (): Promise<void> => {
  pin(process.pid)
  const baselines = [["local directory", tmpdir()] as const, ["shared memory", "/dev/shm"] as const]
    .filter(([, parent]) => existsSync(parent))
    .map(([baseline, parent]) => [baseline, directory(parent)] as const)
  for (const where of ["worker", "main"] as const) {
    await mounted(where, (place, pid) => {
      const ours = measure(place, pid)
      for (const [step, { cpuUs, perSecond }] of ours) {
        for (const [baseline, measured] of baselines) {
          const theirs = measured.get(step)?.perSecond ?? 0
          const ratio = Math.round((perSecond / theirs) * 1000) / 1000
          const bench = `fuse, ${where} answers: ${step}`
          console.log(JSON.stringify({ bench, ours: perSecond, cpuUs, baseline, theirs, ratio }))
        }
      }
    })
  }
}
