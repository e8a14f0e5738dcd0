/** A mount that is not heard of for longer than its session lives: what it had not flushed is nobody's any more. */
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Hosts, noMounts } from "./mounts.ts"

const why = noMounts()
if (why !== undefined) console.log(`mounts whose session expires are not tested: ${why}`)

const patientMs = 60_000
/** The sessions of these hosts are over after so many seconds without a sign of life. */
const expires = 6
const expiredMs = (expires + 2) * 1000

/** Other hosts are told of a change: on a busy machine not before the next look. */
const soon = { timeout: 5000, interval: 50 }

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A process that stays stopped would hold up whoever looks at its mount; it may be gone. */
const goOn = (pid: number): void => {
  try {
    process.kill(pid, "SIGCONT")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** Does one thing after another as it is told, line by line, and says how each ended. */
const program = `
import os, sys
fd = None
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    try:
        if verb == "open": fd = os.open(rest, os.O_RDWR)
        elif verb == "make": os.open(rest, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        elif verb == "write": os.pwrite(fd, rest.encode(), 0)
        elif verb == "fsync": os.fsync(fd)
        print("ok", flush=True)
    except OSError as error:
        print(os.strerror(error.errno), flush=True)
`

const python = () => {
  const child = spawn("python3", ["-c", program], { stdio: ["pipe", "pipe", "inherit"] })
  const said: Array<string> = []
  let wake: (() => void) | undefined
  createInterface(child.stdout).on("line", (line) => {
    said.push(line)
    wake?.()
  })
  return {
    child,
    tell: async (line: string): Promise<string> => {
      child.stdin.write(`${line}\n`)
      while (said.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      return said.shift() as string
    }
  }
}

describe.skipIf(why !== undefined)("a mount whose session has expired", () => {
  let hosts: Hosts

  beforeAll(async () => {
    hosts = new Hosts()
    await hosts.begin()
  }, patientMs)

  afterAll(() => hosts.end(), patientMs)

  it(
    "says EIO at fsync, overwrites nothing that others wrote since, and goes on",
    async () => {
      const a = await hosts.mount("demo", "a", "--expires", `${expires}`)
      const b = await hosts.mount("demo", "b")
      writeFileSync(join(a, "shared"), "from before")
      writeFileSync(join(a, "own"), "from before")
      writeFileSync(join(b, "beside"), "neither host has the directory to itself")
      const [one, two] = [python(), python()]
      const sidecar = hosts.sidecar(a)
      try {
        expect(await one.tell(`open ${join(a, "shared")}`)).toBe("ok")
        expect(await two.tell(`open ${join(a, "own")}`)).toBe("ok")
        // Accepted, and stopped before it is on its way.
        expect(await one.tell("write of host a")).toBe("ok")
        expect(await two.tell("write of host a")).toBe("ok")
        process.kill(sidecar, "SIGSTOP")
        const stopped = performance.now()
        writeFileSync(join(b, "meanwhile"), "other hosts go on")
        expect(performance.now() - stopped).toBeLessThan(expires * 1000)
        await pause(expiredMs)
        writeFileSync(join(b, "shared"), "of host b, later")
        process.kill(sidecar, "SIGCONT")
        expect(await one.tell("fsync")).toBe("Input/output error")
        expect(await two.tell("fsync")).toBe("Input/output error")
        expect(readFileSync(join(b, "shared"), "utf8")).toBe("of host b, later")
        expect(readFileSync(join(a, "shared"), "utf8")).toBe("of host b, later")
        expect(readFileSync(join(b, "own"), "utf8")).toBe("from before")
        // It was told, and the mount lives in another session.
        expect(await one.tell("fsync")).toBe("ok")
        expect(await one.tell("write OF HOST A")).toBe("ok")
        expect(await one.tell("fsync")).toBe("ok")
        await expect.poll(() => readFileSync(join(b, "shared"), "utf8"), soon).toBe("OF HOST A, later")
      } finally {
        goOn(sidecar)
        one.child.kill("SIGKILL")
        two.child.kill("SIGKILL")
      }
    },
    patientMs
  )

  it(
    "says so too when the process that had accepted it is gone, and others have the directory that was lent to it",
    async () => {
      const b = await hosts.mount("demo", "b")
      const c = await hosts.mount("demo", "c", "--expires", `${expires}`)
      mkdirSync(join(c, "lent"))
      writeFileSync(join(c, "lent", "late"), "from before")
      const one = python()
      const sidecar = hosts.sidecar(c)
      try {
        expect(await one.tell(`open ${join(c, "lent", "late")}`)).toBe("ok")
        expect(await one.tell("write of host c")).toBe("ok")
        process.kill(sidecar, "SIGSTOP")
        // The directory is lent to a host that does not give it back, until its session is over.
        const other = python()
        const opened = other.tell(`make ${join(b, "lent", "of-host-b")}`)
        await pause(expiredMs)
        expect(await opened).toBe("ok")
        other.child.kill("SIGKILL")
        process.kill(sidecar, "SIGKILL")
        expect(await one.tell("fsync")).toBe("Input/output error")
        expect(await one.tell("fsync")).toBe("ok")
        expect(readFileSync(join(c, "lent", "late"), "utf8")).toBe("from before")
      } finally {
        goOn(sidecar)
        one.child.kill("SIGKILL")
      }
    },
    patientMs
  )
})
