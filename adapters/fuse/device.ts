/** Opens /dev/fuse, mounts it, and has the first exchange with the kernel, so that whoever serves finds it done. */
import { closeSync, openSync, readSync, writeSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { type MountOptions, MountRefused } from "../../runtime/ports/mount.ts"
import { incoming, opcodeOf } from "./decode.ts"
import { openedAsUser } from "./fusermount.ts"
import { agreement, negotiate } from "./init.ts"
import { canonical, fsType, prepare, readAhead, unmount } from "./place.ts"
import { run } from "./program.ts"
import { dataBytesMax, opcodes } from "./protocol.ts"
import type { Device } from "./serving.ts"

const devicePath = "/dev/fuse"
/** mount(8) does next to nothing; if it does not return, something before us in the path hangs. */
const mountMs = 10_000

const refuse = (place: string, reason: MountRefused["reason"], why: string) => new MountRefused({ place, reason, why })

const opened = (place: string) =>
  Effect.try({
    try: () => openSync(devicePath, "r+"),
    catch: (error) => {
      const { code } = error as NodeJS.ErrnoException
      return code === "EACCES" || code === "EPERM"
        ? refuse(place, "no-permission", `${devicePath} may not be opened by this user; its mode should be 0666`)
        : refuse(
            place,
            "no-device",
            `${devicePath} is not there (${code}): the kernel has no FUSE, or a container hides it`
          )
    }
  })

const mountArgs = (place: string, options: MountOptions): ReadonlyArray<string> => {
  const own = `fd=3,rootmode=40000,user_id=${process.geteuid?.() ?? 0},group_id=${process.getegid?.() ?? 0}`
  const flags = ["default_permissions", options.readOnly ? "ro" : "rw", ...(options.allowOther ? ["allow_other"] : [])]
  return ["-c", "-i", "-t", fsType, "-o", [own, ...flags].join(","), options.source, canonical(place)]
}

/** Mounts as root: mount(8) inherits the open device. */
const mountAsRoot = Effect.fnUntraced(function* (place: string, options: MountOptions, fd: number) {
  const ended = yield* run("mount", mountArgs(place, options), [fd]).pipe(Effect.timeoutOption(mountMs))
  const { code, said } = ended._tag === "Some" ? ended.value : { code: 128, said: "mount(8) did not return" }
  if (code === 0) return
  if (code === undefined) return yield* refuse(place, "no-tool", `mounting needs mount(8): ${said}`)
  if (/unknown filesystem/.test(said)) return yield* refuse(place, "no-device", `the kernel has no FUSE: ${said}`)
  const denied = /superuser|permission denied|not permitted/i.test(said)
  return yield* refuse(place, denied ? "no-permission" : "kernel", said)
})

/** The kernel's first request is there as soon as it is mounted, and nothing else comes before it is answered. */
const exchange = (place: string, options: MountOptions, fd: number): Effect.Effect<Device, MountRefused> =>
  Effect.suspend(() => {
    const offer = incoming()
    readSync(fd, offer.bytes)
    if (opcodeOf(offer) !== opcodes.init) throw new Error(`the kernel began with request ${opcodeOf(offer)}`)
    const negotiated = negotiate(offer, options)
    if (typeof negotiated === "string") return Effect.fail(refuse(place, "kernel", negotiated))
    writeSync(fd, agreement(offer, negotiated, options))
    readAhead(place, dataBytesMax / 1024)
    return Effect.succeed({ fd, negotiated })
  })

/** Nobody may be left with a mount that hangs: where it is in use, its users get an error. */
export const release = (place: string) =>
  unmount(place, "plain").pipe(
    Effect.catch(() => unmount(place, "forced")),
    Effect.orDie
  )

/** Mounted before this process began, by the one that it was started through. */
const taken = Effect.fnUntraced(function* (place: string, options: MountOptions, fd: number) {
  yield* Effect.acquireRelease(Effect.void, () => Effect.sync(() => closeSync(fd)))
  yield* Effect.acquireRelease(Effect.void, () => release(place))
  return yield* exchange(place, options, fd)
})

/** A mount and its open device, until the scope closes; the device may be open already. */
export const connect: (
  place: string,
  options: MountOptions,
  early?: number
) => Effect.Effect<Device, MountRefused, Scope.Scope> = Effect.fnUntraced(function* (place, options, early) {
  const given = openedAsUser(place)
  if (given !== undefined) return yield* taken(place, options, given)
  yield* prepare(place)
  if (process.geteuid?.() !== 0) {
    const why = "this process has no right to mount; it must be started through fusermount3"
    return yield* refuse(place, "no-permission", why)
  }
  const opening = early === undefined ? opened(place) : Effect.succeed(early)
  const fd = yield* Effect.acquireRelease(opening, (open) => Effect.sync(() => closeSync(open)))
  yield* Effect.acquireRelease(mountAsRoot(place, options, fd), () => release(place))
  return yield* exchange(place, options, fd)
})
