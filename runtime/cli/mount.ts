/** `artifacts mount` and `artifacts unmount`: a workspace as a directory of this host. */
import { resolve } from "node:path"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { sessionLeastMs, sessionMostMs } from "../../messages/limits.ts"
import type { Wanted } from "../node/mounting.ts"
import { type Globals, readGlobals } from "./globals.ts"
import { asJson, write } from "./print.ts"
import { usage } from "./problem.ts"

const mib = 1024 * 1024
/** More than this of anything is a slip of the finger. */
const mibMax = 64 * mib
const uploadsMost = 1024
const secondsMost = 86_400

const directory = Argument.String("DIRECTORY").pipe(Argument.withDescription("An empty directory of this host"))

const size = (name: string, description: string) =>
  Flag.Int(name).pipe(Flag.withDescription(description), Flag.withMetavar("MIB"), Flag.optional)
const isSet = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

export const flags = {
  workspace: Argument.String("WORKSPACE").pipe(Argument.withDescription("The name of a workspace")),
  directory,
  foreground: isSet("foreground", "Stay, and write the log to the standard error").pipe(Flag.withAlias("f")),
  readOnly: isSet("read-only", "Nobody changes anything through this mount, and its credential could not"),
  cache: Flag.String("cache").pipe(
    Flag.withDescription("Where blocks, and what is written and not stored yet, are kept on this host"),
    Flag.withMetavar("DIR"),
    Flag.optional
  ),
  cacheSize: size("cache-size", "MiB of blocks on disk (102400)"),
  bufferSize: size("buffer-size", "MiB of written bytes in memory that are not stored yet (300)"),
  memorySize: size("memory-size", "MiB of blocks in memory (256)"),
  maxUploads: Flag.Int("max-uploads").pipe(
    Flag.withDescription("Objects that are stored at the same time (20)"),
    Flag.withMetavar("N"),
    Flag.optional
  ),
  writeback: isSet("writeback", "Close does not wait for the object store: files are stored a moment later"),
  inStep: isSet("in-step", "Whatever is made waits for the workspace, also in directories of this host's own"),
  attrCache: Flag.Int("attr-cache").pipe(
    Flag.withDescription("Seconds for which the kernel keeps names and attributes (3600: changes are pushed)"),
    Flag.withMetavar("SECONDS"),
    Flag.optional
  ),
  replicaEntries: Flag.Int("replica-entries").pipe(
    Flag.withDescription("A workspace of more entries is asked instead of held in memory (by what is free)"),
    Flag.withMetavar("N"),
    Flag.optional
  ),
  seenWithin: Flag.Int("seen-within").pipe(
    Flag.withDescription("Milliseconds for which a change waits until other hosts show it (1000; 0: it does not)"),
    Flag.withMetavar("MS"),
    Flag.optional
  ),
  expires: Flag.Int("expires").pipe(
    Flag.withDescription("Seconds without a sign of this host after which its locks are free and its claims void (60)"),
    Flag.withMetavar("SECONDS"),
    Flag.optional
  ),
  fuse: Flag.Literals("fuse", ["kernel", "native"]).pipe(
    Flag.withDescription("Speak the kernel's own protocol, or go through libfuse 2 by the package fuse-native"),
    Flag.withDefault("kernel")
  ),
  onlyMe: isSet("only-me", "Other users of this host may not use the mount")
}

const entriesMost = 1_000_000_000
/** Whoever waits longer for another host would rather know that it is away. */
const seenMsMost = 60_000

type Given = Command.Command.Config.Infer<typeof flags>

const within = (flag: string, given: Option.Option<number>, [least, most]: readonly [number, number], what: string) =>
  Option.isSome(given) && (given.value < least || given.value > most)
    ? Effect.fail(usage(`--${flag} ${given.value}: ${what} is a number from ${least} to ${most}`))
    : Effect.succeed(Option.getOrUndefined(given))

const bytes = (flag: string, given: Option.Option<number>) =>
  Effect.map(within(flag, given, [1, mibMax], "the MiB"), (some) => (some === undefined ? undefined : some * mib))

/** What was asked for, with what is no sense in it refused. */
export const wantedOf = Effect.fnUntraced(function* (globals: Globals, given: Given) {
  const cacheS = yield* within("attr-cache", given.attrCache, [0, secondsMost], "the seconds")
  const lifeS = yield* within("expires", given.expires, [sessionLeastMs / 1000, sessionMostMs / 1000], "the seconds")
  const wanted: Wanted = {
    globals,
    workspace: given.workspace,
    // Another process serves the mount, and its working directory is not this one's.
    directory: resolve(given.directory),
    readOnly: given.readOnly,
    cache: Option.getOrUndefined(Option.map(given.cache, (path) => resolve(path))),
    cacheBytes: yield* bytes("cache-size", given.cacheSize),
    bufferBytes: yield* bytes("buffer-size", given.bufferSize),
    memoryBytes: yield* bytes("memory-size", given.memorySize),
    uploadsMax: yield* within("max-uploads", given.maxUploads, [1, uploadsMost], "the uploads"),
    cacheMs: cacheS === undefined ? undefined : cacheS * 1000,
    lifeMs: lifeS === undefined ? undefined : lifeS * 1000,
    replicaEntries: yield* within("replica-entries", given.replicaEntries, [0, entriesMost], "the entries"),
    seenWithinMs: yield* within("seen-within", given.seenWithin, [0, seenMsMost], "the milliseconds"),
    allowOther: !given.onlyMe,
    fuse: given.fuse,
    storesLate: given.writeback,
    makesAhead: !given.inStep
  }
  if (given.readOnly && given.writeback)
    return yield* usage("--read-only and --writeback together: nothing is written through a mount that only reads")
  return wanted
})

export const mount = Command.make(
  "mount",
  flags,
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const wanted = yield* wantedOf(globals, given)
    const { inBackground, inForeground } = yield* Effect.promise(() => import("../node/mounting.ts"))
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
    force: isSet("force", "Also when it is in use: it is out of sight at once, and what was written is kept")
  },
  Effect.fnUntraced(function* (given) {
    const globals = yield* readGlobals
    const { endMount } = yield* Effect.promise(() => import("../node/mounting.ts"))
    const record = yield* endMount(resolve(given.directory), given.force)
    yield* write(globals.json ? asJson(record) : `${record.directory} is unmounted, and all that was written is kept`)
  })
).pipe(Command.withDescription("End a mount, after all that was written is stored"))
