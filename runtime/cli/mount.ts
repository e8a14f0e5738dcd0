/** `artifacts mount` and `artifacts unmount`: a workspace as a directory of this host. */
import { resolve } from "node:path"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { readGlobals } from "./globals.ts"
import { asJson, write } from "./print.ts"
import { usage } from "./problem.ts"

const mib = 1024 * 1024

const directory = Argument.String("DIRECTORY").pipe(Argument.withDescription("An empty directory of this host"))

const flags = {
  workspace: Argument.String("WORKSPACE").pipe(Argument.withDescription("The name of a workspace")),
  directory,
  foreground: Flag.Boolean("foreground").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("Stay, and write the log to the standard error"),
    Flag.withDefault(false)
  ),
  readOnly: Flag.Boolean("read-only").pipe(
    Flag.withDescription("Nobody changes anything through this mount, and its credential could not"),
    Flag.withDefault(false)
  ),
  cache: Flag.String("cache").pipe(
    Flag.withDescription("Where blocks, and what is written and not stored yet, are kept on this host"),
    Flag.withMetavar("DIR"),
    Flag.optional
  ),
  cacheSize: Flag.Int("cache-size").pipe(
    Flag.withDescription("MiB of blocks on disk (102400)"),
    Flag.withMetavar("MIB"),
    Flag.optional
  ),
  bufferSize: Flag.Int("buffer-size").pipe(
    Flag.withDescription("MiB of written bytes in memory that are not stored yet (300)"),
    Flag.withMetavar("MIB"),
    Flag.optional
  ),
  memorySize: Flag.Int("memory-size").pipe(
    Flag.withDescription("MiB of blocks in memory (256)"),
    Flag.withMetavar("MIB"),
    Flag.optional
  ),
  attrCache: Flag.Int("attr-cache").pipe(
    Flag.withDescription("Seconds for which the kernel keeps names and attributes (3600: changes are pushed)"),
    Flag.withMetavar("SECONDS"),
    Flag.optional
  ),
  fuse: Flag.Literals("fuse", ["kernel", "native"]).pipe(
    Flag.withDescription("Speak the kernel's own protocol, or go through libfuse 2 by the package fuse-native"),
    Flag.withDefault("kernel")
  ),
  onlyMe: Flag.Boolean("only-me").pipe(
    Flag.withDescription("Other users of this host may not use the mount"),
    Flag.withDefault(false)
  )
}

const checkSize = (flag: string, given: Option.Option<number>) =>
  Option.isSome(given) && (given.value < 1 || given.value > 64 * mib)
    ? Effect.fail(usage(`--${flag} ${given.value}: so many MiB make no sense`))
    : Effect.void

const bytesOf = (given: Option.Option<number>): number | undefined =>
  Option.isSome(given) ? given.value * mib : undefined

export const mount = Command.make(
  "mount",
  flags,
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    yield* checkSize("cache-size", given.cacheSize)
    yield* checkSize("buffer-size", given.bufferSize)
    yield* checkSize("memory-size", given.memorySize)
    const { inBackground, inForeground } = yield* Effect.promise(() => import("../node/mounting.ts"))
    const wanted = {
      globals,
      workspace: given.workspace,
      // Another process serves the mount, and its working directory is not this one's.
      directory: resolve(given.directory),
      readOnly: given.readOnly,
      cache: Option.getOrUndefined(Option.map(given.cache, (path) => resolve(path))),
      cacheBytes: bytesOf(given.cacheSize),
      bufferBytes: bytesOf(given.bufferSize),
      memoryBytes: bytesOf(given.memorySize),
      cacheMs: Option.isSome(given.attrCache) ? given.attrCache.value * 1000 : undefined,
      allowOther: !given.onlyMe,
      fuse: given.fuse
    }
    if (given.foreground) return yield* inForeground(wanted)
    const record = yield* inBackground(wanted)
    const text = `${record.name} is mounted on ${record.directory} (process ${record.pid})`
    yield* write(globals.json ? asJson(record) : text)
  })
).pipe(Command.withDescription("Mount a workspace on a directory"))

export const unmount = Command.make(
  "unmount",
  {
    directory: Argument.String("DIRECTORY").pipe(Argument.withDescription("Where it is mounted")),
    force: Flag.Boolean("force").pipe(
      Flag.withDescription("Also when it is in use: it is out of sight at once, and what was written is kept"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { endMount } = yield* Effect.promise(() => import("../node/mounting.ts"))
    const record = yield* endMount(resolve(given.directory), given.force)
    yield* write(globals.json ? asJson(record) : `${record.directory} is unmounted, and all that was written is kept`)
  })
).pipe(Command.withDescription("End a mount, after all that was written is stored"))
