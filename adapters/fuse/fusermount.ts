/** Mounts without being root: fusermount3 opens the device, mounts it, and sends the descriptor back over a socket. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readlinkSync } from "node:fs"
import { Effect } from "effect"
import { type MountOptions, MountRefused } from "../../runtime/ports/mount.ts"
import { canonical } from "./place.ts"

const refuse = (place: string, reason: MountRefused["reason"], why: string) => new MountRefused({ place, reason, why })

/** The open FUSE devices of this process. */
const devices = (): ReadonlyArray<number> =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).endsWith("/dev/fuse") ? [Number(fd)] : []
    } catch {
      // The descriptor of the listing itself is closed by now.
      return []
    }
  })

const args = (place: string, options: MountOptions): ReadonlyArray<string> => {
  const named = `fsname=${options.source.replaceAll(",", "\\,")},subtype=artifacts`
  const flags = ["default_permissions", options.readOnly ? "ro" : "rw", ...(options.allowOther ? ["allow_other"] : [])]
  return ["-o", [named, ...flags].join(","), "--", canonical(place)]
}

const why = (place: string, said: string): MountRefused => {
  const hint = /allow_other/.test(said) ? "; /etc/fuse.conf has to say user_allow_other" : ""
  return refuse(place, /permission|allowed|allow_other/i.test(said) ? "no-permission" : "kernel", said + hint)
}

/** The channels through which descriptors came: closing one would close the descriptor too. */
const channels = new Map<number, ChildProcess>()

/**
 * Gives the mounted device's descriptor. Node has no call that receives one, but its channel between processes takes
 * whatever descriptors arrive on it, so the newest FUSE device of this process is the one that was sent.
 */
export const fusermount = (place: string, options: MountOptions): Effect.Effect<number, MountRefused> =>
  Effect.callback((resume) => {
    const before = new Set(devices())
    const env = { ...process.env, LC_ALL: "C", _FUSE_COMMFD: "3" }
    const child = spawn("fusermount3", args(place, options), { stdio: ["ignore", "ignore", "pipe", "ipc"], env })
    let said = ""
    child.stderr?.on("data", (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.once("error", () =>
      resume(Effect.fail(refuse(place, "no-tool", "mounting without being root needs fusermount3 (package fuse3)")))
    )
    child.once("close", (code) => {
      const fd = devices().find((open) => !before.has(open))
      if (code === 0 && fd !== undefined) {
        channels.set(fd, child)
        resume(Effect.succeed(fd))
      } else resume(Effect.fail(why(place, said.trim() || `fusermount3 ended with ${code} and sent no descriptor`)))
    })
  })
