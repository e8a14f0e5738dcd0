/** The Mount port through libfuse 2, by the package `fuse-native`: what paths cannot say is left out. */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { Clock, Deferred, Effect, Layer } from "effect"
import { Mount, type Mounting, type MountOptions, MountRefused, type SyncModule } from "../../runtime/ports/mount.ts"
import { fsType, look, type Mountpoint, mounted, prepare, unmount } from "../fuse/place.ts"
import { asking, Telling } from "./asking.ts"
import { attributes } from "./attributes.ts"
import { type Binding, binding, type Slot } from "./binding.ts"
import { bytes } from "./bytes.ts"
import { Handlers } from "./handler.ts"
import { Handles } from "./handles.ts"
import { names } from "./names.ts"
import { Paths } from "./paths.ts"

/** The kernel's first request comes as soon as it is mounted. */
const beginMs = 10_000
/** libfuse does not tell that the mount has ended: the kernel's table is looked at as often as this. */
const lookMs = 250
/** As much room as the binary has for the options, and for the path. */
const textBytesMax = 1023
/** More requests than any host makes in a millisecond. */
const idsPerMs = 1000

/** Used by libfuse's threads for as long as they live, which nobody is told: so it is never let go of. */
const kept: Array<unknown> = []

/** What a user who is not root needs: libfuse mounts through it. */
const program = "fusermount"

const isOnPath = (name: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)))

/** Why libfuse could not mount, for it says no more than that: undefined when nothing is known to be in the way. */
const missing = (): readonly [MountRefused["reason"], string] | undefined => {
  if (process.platform === "linux" && !existsSync("/dev/fuse"))
    return ["no-device", "there is no /dev/fuse: the kernel has no FUSE, or a container hides it"]
  if (process.platform === "linux" && process.geteuid?.() !== 0 && !isOnPath(program))
    return ["no-tool", `libfuse needs the program ${program}, and there is none on the path`]
  return undefined
}

const refuse = (place: string, reason: MountRefused["reason"], why: string) => new MountRefused({ place, reason, why })

/**
 * The kernel keeps no names and attributes, for libfuse 2 cannot tell it what changed elsewhere. Pages it keeps until
 * a file is opened the next time, or has another size.
 */
const optionsOf = ({ allowOther, readOnly, source }: MountOptions): string =>
  [
    `-ofsname=${source.replaceAll(/[,\\\s]/g, "-")}`,
    `subtype=${fsType.replace("fuse.", "")}-native`,
    "entry_timeout=0,negative_timeout=0,attr_timeout=0",
    "default_permissions,use_ino,readdir_ino,big_writes",
    readOnly ? "ro" : "rw",
    ...(allowOther ? ["allow_other"] : [])
  ].join(",")

/** Mounts, and begins libfuse's threads. The binary says no more than that it failed; why is in what it printed. */
const begun = (made: Binding, place: string, options: string, handlers: Handlers): Buffer => {
  const thread = Buffer.alloc(made.sizeof_fuse_thread_t)
  const allocate = (size: number): Slot => {
    const slot = Buffer.alloc(size)
    kept.push(slot)
    return slot
  }
  const self = {}
  kept.push(thread, self, allocate, handlers)
  made.fuse_native_mount(place, options, thread, self, allocate, handlers.list, handlers.implemented)
  return thread
}

/** Nobody may be left with a mount that hangs. */
const end = (made: Binding, place: string, thread: Buffer) =>
  unmount(place, "plain").pipe(
    Effect.catch(() => unmount(place, "forced")),
    Effect.orDie,
    Effect.andThen(Effect.sync(() => made.fuse_native_unmount(place, thread)))
  )

const gone = ({ path, device }: Mountpoint) =>
  Effect.gen(function* () {
    while (mounted(path)?.device === device) yield* Effect.sleep(lookMs)
  })

const toMount = Effect.fnUntraced(function* (mounting: Mounting) {
  const { files, options, place, sync } = mounting
  const made = binding()
  if (typeof made === "string") return yield* refuse(place, "no-tool", made)
  const lacking = missing()
  if (lacking !== undefined) return yield* refuse(place, ...lacking)
  yield* prepare(place)
  const text = optionsOf(options)
  if (Buffer.byteLength(place) > textBytesMax || Buffer.byteLength(text) > textBytesMax)
    return yield* refuse(place, "kernel", `${place} is too long a path for libfuse 2`)
  const { open } = yield* Effect.promise(() => import(sync.module) as Promise<SyncModule>)
  // Both parts are on one thread, and may keep what they are told: each gets a copy, as it would from another thread.
  const telling = new Telling((message) => files.heard?.(message))
  const clock = yield* Clock.Clock
  const nowMs = () => Number(clock.currentTimeNanosUnsafe()) / 1_000_000
  const now = open(structuredClone(sync.data), { nowMs, tell: (message) => telling.tell(structuredClone(message)) })
  const ask = asking(now, files, telling, clock.currentTimeMillisUnsafe() * idsPerMs)
  const asked = { ask, paths: new Paths(ask), handles: new Handles() }
  const log = Effect.runForkWith(yield* Effect.context<never>())
  const handlers = new Handlers(made, yield* Effect.context<never>(), (name, cause) =>
    log(Effect.logError(`the file system failed at ${name}, and EIO was answered`, cause))
  )
  for (const [name, operation] of Object.entries({ ...names(asked), ...attributes(asked), ...bytes(asked) }))
    handlers.add(name, operation)
  const answers = yield* Deferred.make<void>()
  handlers.begin(() => void Deferred.doneUnsafe(answers, Effect.void))
  yield* Effect.acquireRelease(
    Effect.try({
      try: () => begun(made, place, text, handlers),
      catch: () => refuse(place, "kernel", `libfuse could not mount ${place}; what it printed says why`)
    }),
    (thread) => end(made, place, thread)
  )
  yield* Deferred.await(answers).pipe(
    Effect.timeoutOrElse({
      duration: beginMs,
      orElse: () => Effect.fail(refuse(place, "kernel", `${place} is mounted, and the kernel asks for nothing`))
    })
  )
  const point = mounted(place)
  return {
    tell: (message: unknown) => now.heard?.(structuredClone(message)),
    // The kernel believes nothing for longer than a request takes.
    invalidate: () => undefined,
    invalidated: Effect.void,
    ended: point === undefined ? Effect.void : gone(point)
  }
})

export const layer = Layer.succeed(Mount, {
  mount: toMount,
  unmount: (place: string, lazy: boolean) => unmount(place, lazy ? "lazy" : "plain"),
  look
})
