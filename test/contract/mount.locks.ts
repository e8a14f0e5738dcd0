/** Locks on a mount, and what signals do to who waits there. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { expect, it } from "vitest"
import { type At, python } from "./mount.programs.ts"

/** Takes a lock and holds it until its input closes; prints `got` when it has it, or the error's number. */
const holder = `import fcntl,sys,os
fd=os.open(sys.argv[1],os.O_RDWR); kind=sys.argv[2]; flags=fcntl.LOCK_EX|(fcntl.LOCK_NB if "now" in sys.argv else 0)
try:
  fcntl.flock(fd,flags) if kind=="flock" else fcntl.lockf(fd,flags,10,int(sys.argv[3]))
  print("got",flush=True)
except OSError as e: print(e.errno,flush=True); sys.exit(0)
sys.stdin.read()`

export const locks = (at: At): void => {
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

export const signals = (at: At): void => {
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
