/** A caller that is killed while its request is never answered comes free. */
import { type ChildProcess, fork, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { leftOut } from "./fuse-able.ts"
import { neverAnswered } from "./fuse-memory.ts"

/** A caller that hears SIGUSR1 and goes on waiting, until it is killed. */
const waits = `import os,sys,signal
signal.signal(signal.SIGUSR1,lambda *_: None)
print("asks",flush=True)
os.getxattr(sys.argv[1],sys.argv[2])`

describe.skipIf(leftOut("callers that are killed"))("a caller that waits", () => {
  for (const [how, signals] of [
    ["at once", ["SIGKILL"]],
    ["after a signal that it outlives", ["SIGUSR1", "SIGTERM"]]
  ] as const) {
    it(`can be killed ${how}`, async () => {
      const place = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
      const settings = JSON.stringify({ where: "main" })
      const child: ChildProcess = fork(new URL("./fuse-mount.ts", import.meta.url), [place, settings])
      const ended = once(child, "exit")
      try {
        expect((await Promise.race([once(child, "message"), ended]))[0]).toBe("ready")
        const write = spawn("sh", ["-c", `echo > ${join(place, "a")}`])
        await once(write, "exit")
        const caller = spawn("python3", ["-c", waits, join(place, "a"), neverAnswered])
        const dead = once(caller, "exit")
        await once(caller.stdout, "data")
        await new Promise((resolve) => setTimeout(resolve, 200))
        for (const signal of signals) {
          caller.kill(signal)
          await new Promise((resolve) => setTimeout(resolve, 300))
        }
        expect((await dead)[1]).toBe(signals.at(-1))
      } finally {
        child.kill("SIGTERM")
        await ended
        rmdirSync(place)
      }
    })
  }
})
