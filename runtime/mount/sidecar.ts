/** A mount, put together from its ports: session, replica, data plane and kernel, until the scope closes. */
import { Clock, Effect, FiberSet, Schedule, type Scope } from "effect"
import type { Client } from "../client.ts"
import type { Commands } from "../files/commands.ts"
import type { Committed, Data } from "../files/data.ts"
import { type FollowFailed, follow } from "../follow.ts"
import type { Bus } from "../ports/bus.ts"
import { type Mount, type Mounted, type MountOptions, type MountRefused, mountDefaults } from "../ports/mount.ts"
import type { ScratchFailed, Tape } from "../ports/scratch.ts"
import { commandsOf as asked } from "../transfer/commands.ts"
import { type AskedFiles, askedFiles, reassure } from "./asked.ts"
import { type Asking, clockOf, commandsOf, holding, patienceOf } from "./asking.ts"
import { type Company, company, seenWithinMs, shownToOthers } from "./company.ts"
import { asyncFiles, type Files } from "./files.ts"
import { foresight } from "./foresight.ts"
import { Metering, metered } from "./metering.ts"
import { catchUp, noting, type Told } from "./missed.ts"
import { Outline } from "./outline.ts"
import { Own } from "./own.ts"
import { attach, entriesOf, type Place, SessionLost } from "./session.ts"
import type { ReplicaStart, ReplicaState } from "./telling.ts"
import { configText, statsText } from "./texts.ts"
import { View } from "./view.ts"

/** Long, for what changes is pushed; and short enough that a kernel lets go of what nobody asks for. */
const cacheMs = 3_600_000
/** How often it is looked whether something still counts as pending. */
const sweepMs = 1_000

/** Bytes of memory for each entry, in both threads together, and while they are loaded. */
const entryBytes = 1_200
/** A quarter of what is free is this mount's to take. */
const memoryShare = 4
/** Where there is no replica, names and attributes that are kept all the same: what a few directories have. */
const namesLeast = 10_000

/** How many entries a replica may have. */
const entriesFit = (): number => Math.floor(process.availableMemory() / memoryShare / entryBytes)

export interface SidecarOptions {
  readonly place: Place
  readonly name: string
  readonly shards: number
  readonly readOnly: boolean
  readonly writeback: boolean
  readonly allowOther: boolean
  /** A workspace of more entries is not held in memory; the default goes by what memory there is. */
  readonly replicaEntries?: number
  /** Close does not wait until what was written is stored and committed: it is staged on this host. */
  readonly storesLate?: boolean
  /** Entries in directories that are lent to this mount are made without waiting for the workspace. */
  readonly makesAhead?: boolean
  /** How long the kernel keeps names and attributes; the default is for as long as it likes. */
  readonly entryMs?: number
  readonly attrMs?: number
  /** How long a change waits until other hosts show it; 0 where it does not. */
  readonly seenWithinMs?: number
  /** A process before this one served the same mount. */
  readonly resumed: boolean
  /** Where it is kept what the kernel was told. */
  readonly told?: Told
  /** What `.config` tells besides. */
  readonly shown: Readonly<Record<string, unknown>>
}

export interface Ports<E> {
  readonly bus: Bus["Service"]
  readonly client: Client
  readonly mount: Mount["Service"]
  readonly data: (
    commands: Commands,
    onCommitted: (committed: Committed) => void
  ) => Effect.Effect<Data, E, Scope.Scope>
  /** Where what is made ahead of the workspace outlives this process; without it everything waits for the workspace. */
  readonly diary?: Tape | undefined
}

export interface Sidecar {
  readonly mounted: Mounted
  readonly view: View
  readonly data: Data
  readonly stats: () => string
  readonly company: Company
  /** Waits for the end of the session, where that comes first. */
  readonly over: Effect.Effect<string>
}

/** How the kernel is to treat a mount of a workspace. */
export const mountOptionsOf = (
  options: Pick<SidecarOptions, "name" | "readOnly" | "writeback" | "allowOther">
): MountOptions => ({
  ...mountDefaults,
  source: `artifacts:${options.name}`,
  readOnly: options.readOnly,
  writeback: options.writeback,
  allowOther: options.allowOther,
  // What changes elsewhere is pushed, so a changed mtime is no reason to read anything again.
  explicitPages: true,
  noOpendir: true
})

const startOf = (view: View, options: SidecarOptions, depth = new SharedArrayBuffer(4)): ReplicaStart => ({
  workspace: view.workspace,
  session: view.session,
  readOnly: options.readOnly,
  storesLate: options.storesLate === true,
  entryMs: options.entryMs ?? cacheMs,
  attrMs: options.attrMs ?? cacheMs,
  ...view.begin(),
  signs: view.signs,
  depth,
  resumed: options.resumed
})

/** Directories are lent to a mount that changes something, and that has a disk for what it makes there. */
const borrowing = (
  parts: Omit<Parameters<typeof foresight>[0], "tape" | "resumed">,
  tape: Tape | undefined,
  { readOnly, resumed, makesAhead = true }: SidecarOptions
) => (tape === undefined || readOnly || !makesAhead ? Effect.undefined : foresight({ ...parts, tape, resumed }))

/** What is done at the beginning ends with the session, too. */
const orOver = <A, E, R>(work: Effect.Effect<A, E, R>, session: string, over: Effect.Effect<string>) =>
  Effect.raceFirst(
    work,
    Effect.flatMap(over, (why) => Effect.fail(new SessionLost({ session, why, isOver: true })))
  )

/** What a process before this one left untold is told before anything is noted; `known` is called in between. */
const telling = (asking: Asking, { resumed, told }: SidecarOptions, known: () => void): Effect.Effect<void> => {
  if (told === undefined) return Effect.sync(known)
  const { upTo, note } = told
  const first = resumed ? Effect.retry(catchUp(asking, upTo), Schedule.spaced(sweepMs)) : Effect.void
  return Effect.ignore(first).pipe(Effect.andThen(Effect.sync(known)), Effect.andThen(noting(asking, note)))
}

/** Looks after what nobody tells. */
const sweeping = (view: View, bounded: AskedFiles | undefined) =>
  Effect.forever(
    Effect.andThen(
      Effect.sleep(sweepMs),
      Effect.suspend(() => {
        view.sweep()
        return bounded === undefined ? Effect.void : reassure(bounded)
      })
    )
  )

/** Even numbers: the other thread gives out the odd ones. */
const handles = (): (() => number) => {
  let last = 0
  return () => {
    last += 2
    return last
  }
}

/** What the files of the mount's own say. */
const ownOf = (view: View, options: SidecarOptions, stats: () => string): Own =>
  new Own({
    stats,
    config: () => configText({ ...options, shown: { ...options.shown, bounded: view instanceof Outline } }),
    listening: (isOn) => view.tell({ kind: "listening", isOn }),
    settled: Effect.suspend(() => view.invalidated)
  })

export const sidecar: <E>(
  ports: Ports<E>,
  options: SidecarOptions
) => Effect.Effect<Sidecar, E | SessionLost | FollowFailed | MountRefused | ScratchFailed, Scope.Scope> =
  Effect.fnUntraced(function* ({ bus, client, mount, data: dataOf, diary }, options) {
    const { place, shards, resumed } = options
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const startedAt = now()
    const { over, end } = yield* attach(client, place)
    const limit = options.replicaEntries ?? entriesFit()
    // An empty workspace may grow.
    const isBounded = limit === 0 || (yield* entriesOf(client, place)) > limit
    const view = isBounded
      ? new Outline(place.workspace, place.session, { limit: Math.max(limit, namesLeast), resumed, now })
      : new View(place.workspace, place.session)
    const target = { kind: "workspace", id: place.workspace, caller: place.session, shards }
    const module = isBounded ? new URL("./bounded.ts", import.meta.url) : new URL("./replica.ts", import.meta.url)
    view.prepare = (bytes) =>
      mount.prepare?.({ module: module.href, data: { workspace: place.workspace, bytes } satisfies ReplicaState }) ===
      true
    const followed = yield* follow(bus, client, target, view)
    const present = yield* company({ bus, view, followed, resumed, withinMs: options.seenWithinMs ?? seenWithinMs })
    const { others, showing } = present
    const asks = { client, over: end, patienceMs: patienceOf(place.lifeMs) }
    const loans = isBounded
      ? undefined
      : yield* orOver(borrowing({ ...asks, view, followed }, diary, options), place.session, over)
    const asking: Asking = { ...asks, view, followed, now: yield* clockOf, ahead: loans?.ahead, others }
    const { readPlan } = asked({ ...asks, workspace: place.workspace, session: place.session })
    const commands = isBounded ? { ...commandsOf(asking), readPlan } : commandsOf(asking)
    const data = yield* dataOf(commands, (committed) => view.committed(committed))
    view.attach(data, options.writeback)
    loans?.mourn(data)
    view.recover()
    const metering = new Metering()
    const stats = () =>
      statsText({ view, others, meters: data.meters, metering, lagMs: followed.lagMs(), upMs: now() - startedAt })
    const own = ownOf(view, options, stats)
    const start = startOf(view, options, loans?.depth)
    const { entryMs, attrMs, storesLate } = start
    const fork = yield* FiberSet.makeRuntime()
    view.hold = (ino) => {
      fork(holding(asking, "Open", ino))
      view.tell({ kind: "held", ino })
    }
    const letGo = (ino: number): void => void fork(holding(asking, "Release", ino))
    const files: Files = { ...asking, data, own, entryMs, attrMs, storesLate, nextHandle: handles(), letGo }
    const bounded = view instanceof Outline ? { ...files, view, commands } : undefined
    const handlers = bounded === undefined ? asyncFiles(files) : askedFiles(bounded)
    yield* present.joined
    const mounted = yield* mount.mount({
      place: place.directory,
      options: mountOptionsOf(options),
      sync: { module: module.href, data: start },
      files: metered(shownToOthers(handlers, present, files), {
        ...{ metering, own },
        nowMs: () => Number(clock.currentTimeNanosUnsafe()) / 1_000_000
      })
    })
    view.connect(mounted)
    yield* Effect.forkScoped(telling(asking, options, () => showing.open()))
    yield* Effect.forkScoped(sweeping(view, bounded))
    return { mounted, view, data, stats, over, company: present }
  })
