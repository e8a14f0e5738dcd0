/** Starts a process that mounts the tree in memory, for the contract of mounts. */
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Mounted } from "../contract/mount.programs.ts"
import type { Said } from "./fuse-mount.ts"

/** Sent out of sight, a mount that nobody ends any more cannot hold the machine. */
const clean = (place: string): void => {
  if (readFileSync("/proc/self/mountinfo", "utf8").includes(` ${place} `)) spawnSync("umount", ["-l", place])
  rmdirSync(place)
}

export const started = async (settings: object, options: object): Promise<Mounted> => {
  const place = mkdtempSync(join(tmpdir(), "artifacts-fuse-"))
  const args = [place, JSON.stringify(settings), JSON.stringify(options)]
  const child: ChildProcess = fork(new URL("./fuse-mount.ts", import.meta.url), args, { serialization: "advanced" })
  const ended = once(child, "exit")
  const ready = await Promise.race([once(child, "message"), ended])
  if (ready[0] !== "ready") {
    clean(place)
    throw new Error(`the process that mounts ended with ${ready[0]}`)
  }
  let id = 0
  return {
    place,
    behind: async (behind, invalidate) => {
      const said: Said = { id: ++id, behind, invalidate }
      child.send(said)
      await once(child, "message")
    },
    end: async () => {
      child.kill("SIGTERM")
      await ended
      clean(place)
    }
  }
}
