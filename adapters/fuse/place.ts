/** The directory that is mounted on: what is there, whether it may be mounted on, and how it is freed. */
import { lstatSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import { MountRefused } from "../../runtime/ports/mount.ts"
import { run } from "./program.ts"

/** What `mount` shows as the type of ours. */
export const fsType = "fuse.artifacts"

/** How long a file system may take to say that it is there. */
const statMs = 2000

export interface Mountpoint {
  readonly path: string
  readonly type: string
  /** Its device number, as `major:minor`. */
  readonly device: string
}

const unescaped = (field: string) =>
  field.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))

/** The lines of /proc/self/mountinfo; of several mounts on one directory the last one is seen. */
export const mountpoints = (table: string): ReadonlyArray<Mountpoint> =>
  table.split("\n").flatMap((line) => {
    const fields = line.split(" ")
    const type = fields[fields.indexOf("-") + 1]
    const [, , device = "", , path] = fields
    if (path === undefined || type === undefined) return []
    return [{ path: unescaped(path), type, device }]
  })

/** The directory's real path, without asking the directory itself, which may not answer. */
export const canonical = (place: string): string => {
  const whole = resolve(place)
  try {
    return join(realpathSync(dirname(whole)), basename(whole))
  } catch {
    return whole
  }
}

export const mounted = (place: string): Mountpoint | undefined => {
  const path = canonical(place)
  return mountpoints(readFileSync("/proc/self/mountinfo", "utf8")).findLast((mount) => mount.path === path)
}

/** A mount that is there, and whether it answers. Another process asks: a file system that hangs cannot hold it. */
export const look = Effect.fnUntraced(function* (place: string) {
  const found = mounted(place)
  if (found === undefined) return "free" as const
  const asked = yield* run("stat", ["-f", canonical(place)]).pipe(Effect.timeoutOption(statMs))
  const dead = asked._tag === "Some" && /not connected|Connection aborted/.test(asked.value.said)
  return dead ? ("stale" as const) : ("mounted" as const)
})

const refuse = (place: string, reason: MountRefused["reason"], why: string) => new MountRefused({ place, reason, why })

/** Says why a directory cannot be mounted on, or nothing. */
const objection = (place: string): MountRefused | undefined => {
  try {
    if (!lstatSync(place).isDirectory()) return refuse(place, "not-a-directory", `${place} is not a directory`)
    if (readdirSync(place).length === 0) return undefined
    return refuse(place, "not-empty", `${place} has files in it; they would be hidden`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "ENOENT") return refuse(place, "missing", `there is no directory ${place}`)
    if (code === "EACCES") return refuse(place, "no-permission", `${place} may not be read by this user`)
    return refuse(place, "kernel", `${place}: ${(error as Error).message}`)
  }
}

/** Fails unless the directory can be mounted on. What is left of a mount of ours that nobody serves is cleaned away. */
export const prepare = Effect.fnUntraced(function* (place: string) {
  const state = yield* look(place)
  if (state === "stale") {
    const { type } = mounted(place) ?? { type: "" }
    if (!type.startsWith("fuse.artifacts")) {
      return yield* refuse(
        place,
        "stale",
        `${place} is a mount (${type}) that nobody serves any more; unmount it first`
      )
    }
    yield* unmount(place, "lazy")
  } else if (state === "mounted") {
    return yield* refuse(place, "already-mounted", `${place} is a mount already`)
  }
  const why = objection(place)
  if (why !== undefined) return yield* why
})

/** Not every user may set it, nor every host let it be set: without it things are slower, and as right. */
const setting = (file: string, value: string): void => {
  try {
    writeFileSync(file, value)
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (!["ENOENT", "EACCES", "EPERM", "EROFS"].includes(code)) throw error
  }
}

const root = () => process.geteuid?.() === 0

/** `forced` answers what is under way with an error, so that whoever uses the mount lets go of it. */
export type How = "plain" | "lazy" | "forced"

const unmounting = (place: string, how: How): readonly [string, ReadonlyArray<string>] => {
  const path = canonical(place)
  if (!root()) return ["fusermount3", ["-u", ...(how === "plain" ? [] : ["-z"]), path]]
  return ["umount", ["-c", ...{ plain: [], lazy: ["-l"], forced: ["-f", "-l"] }[how], path]]
}

/**
 * Ends a connection through the kernel's control files, which belong to whoever mounted it; not all hosts have them.
 */
const abort = ({ device }: Mountpoint): void =>
  setting(`/sys/fs/fuse/connections/${device.slice(device.indexOf(":") + 1)}/abort`, "1")

/** How much the kernel reads ahead; of itself it is 128 KiB, which makes eight requests of what could be one. */
export const readAhead = (place: string, kibibytes: number): void => {
  const found = mounted(place)
  if (found !== undefined) setting(`/sys/class/bdi/${found.device}/read_ahead_kb`, String(kibibytes))
}

/** Unmounts; a directory that is no mount is left as it is. */
export const unmount: (place: string, how: How) => Effect.Effect<void, MountRefused> = Effect.fnUntraced(function* (
  place: string,
  how: How
) {
  const found = mounted(place)
  if (found === undefined) return
  if (how === "forced" && !root()) abort(found)
  const [command, args] = unmounting(place, how)
  const { code, said } = yield* run(command, args)
  if (code === 0 || mounted(place) === undefined) return
  if (code === undefined) return yield* refuse(place, "no-tool", `unmounting needs ${command}: ${said}`)
  if (/busy/.test(said)) return yield* refuse(place, "busy", `${place} is in use`)
  const denied = /superuser|permi|not allowed/i.test(said)
  return yield* refuse(place, denied ? "no-permission" : "kernel", said)
})
