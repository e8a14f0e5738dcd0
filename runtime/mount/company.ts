/**
 * The other hosts that have the workspace mounted: what was changed here is answered when they show it, and they are
 * told how far this one shows what they have changed.
 */
import { Effect, FiberSet, Option, Schema } from "effect"
import { Seen } from "../../messages/seen.ts"
import { everyone, seenSubject } from "../../messages/subjects.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Followed, Published } from "../follow.ts"
import type { Bus, Message } from "../ports/bus.ts"
import type { AsyncFiles, Errno, Operation, Request } from "../ports/mount.ts"
import type { Files } from "./files.ts"
import { Others } from "./others.ts"
import { Showing } from "./showing.ts"
import type { View } from "./view.ts"

/** A host that takes longer is stuck or gone: what is changed elsewhere does not wait for it. */
export const seenWithinMs = 1_000
/** Who begins waits for an answer of each other host, and no longer than this for one that has died. */
const joinMs = 100
const joinPollMs = 2

const readSeen = Schema.decodeUnknownOption(Schema.fromJsonString(Seen))
const decoder = new TextDecoder()

export interface Company {
  readonly others: Others
  readonly showing: Showing
  /** Waits until the other hosts know this one, so that they wait for it. */
  readonly joined: Effect.Effect<void>
}

interface Parts {
  readonly bus: Bus["Service"]
  readonly view: View
  readonly followed: Pick<Followed, "look">
  readonly withinMs: number
  /** The kernel may believe what a process before this one told it, and has to be told what it missed first. */
  readonly resumed: boolean
}

const heeding =
  (view: View, others: Others, showing: Showing) =>
  (entries: ReadonlyArray<Published>): void => {
    const foreign = entries.filter(({ caller }) => caller !== view.session)
    for (const { caller, version } of entries) if (caller === view.session) others.caused(version)
    for (const { events } of foreign)
      for (const event of events as ReadonlyArray<WorkspaceEvent>)
        if (event._tag === "SessionEnded") others.gone(event.session)
    if (foreign.length > 0) showing.folded(foreign)
    else showing.advanced()
  }

/** Follows and is followed, for as long as the scope lasts. */
export const company = Effect.fnUntraced(function* ({ bus, view, followed, withinMs, resumed }: Parts) {
  const { session, workspace } = view
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const say = (to: string, seen: Seen): void => bus.publish(seenSubject(workspace, to, session), JSON.stringify(seen))
  const others = new Others(view.version, {
    withinMs,
    ask: (other, look) => say(other, { shown: 0, look }),
    log: (line) => void fork(line),
    met: (areThere) => view.tell({ kind: "company", areThere })
  })
  const showing = new Showing(view, (to, shown) => say(to, { shown }))
  view.heed = heeding(view, others, showing)
  const heard = ({ body, subject }: Message): void => {
    const from = subject.slice(subject.lastIndexOf(".") + 1)
    const seen = Option.getOrUndefined(readSeen(decoder.decode(body)))
    if (seen === undefined) return void fork(Effect.logWarning("a host says what is not understood", { from }))
    if (from === session) return
    if (seen.gone === true) return others.gone(from)
    others.heard(from, seen.shown)
    if (seen.look === undefined) return
    showing.asked(from, seen.look)
    if (seen.look > view.version) followed.look()
  }
  yield* bus.subscribe(seenSubject(workspace, session, "*"), heard)
  yield* bus.subscribe(seenSubject(workspace, everyone, "*"), heard)
  yield* Effect.addFinalizer(() => Effect.sync(() => say(everyone, { shown: 0, gone: true })))
  if (!resumed) showing.open()
  yield* Effect.forkScoped(showing.telling)
  say(everyone, { shown: 0, look: 0 })
  const areKnown = (): boolean => [...view.tree.sessions.keys()].every((one) => one === session || others.isKnown(one))
  const joined = Effect.gen(function* () {
    for (let waited = 0; waited < joinMs && !areKnown(); waited += joinPollMs) yield* Effect.sleep(joinPollMs)
    // What they changed before they knew of this host they did not wait with.
    followed.look()
  })
  return { others, showing, joined } satisfies Company
})

/**
 * What is to be seen elsewhere before a request is answered: the change itself where the workspace was asked for it, or
 * also when it was made ahead; committed bytes; or all that was made here before.
 */
type Extent = "asked" | "made" | "bytes" | "all"

const changing: Readonly<Partial<Record<Operation, Extent>>> = {
  create: "asked",
  mkdir: "asked",
  mknod: "asked",
  symlink: "asked",
  // A name is what tells others that something is whole.
  link: "made",
  unlink: "asked",
  rmdir: "asked",
  rename: "made",
  setattr: "asked",
  setxattr: "asked",
  removexattr: "asked",
  fallocate: "asked",
  copy: "asked",
  open: "asked",
  flush: "bytes",
  fsync: "all",
  fsyncdir: "all",
  syncfs: "all"
}

/** These are asked while nothing is locked in the kernel. */
const unlocked: ReadonlySet<Operation> = new Set<Operation>(["open", "flush", "fsyncdir", "syncfs"])

type Handler = (request: Request, later: unknown) => Effect.Effect<unknown, Errno>

/** What the kernel locks until a request is answered. */
const heldBy = (view: View, request: Request): ReadonlyArray<number> => {
  if (unlocked.has(request.op)) return []
  switch (request.op) {
    case "unlink":
    case "rmdir":
      return [request.node, view.inoNamed(request.node, request.name)]
    case "rename": {
      const { name, node, toName, toNode } = request
      return [node, toNode, view.inoNamed(node, name), view.inoNamed(toNode, toName)]
    }
    case "link":
      return [request.node, request.source]
    case "copy":
      return [request.node, request.toNode]
    default:
      return [request.node]
  }
}

const due = ({ others }: Company, request: Request, extent: Extent, ahead: Files["ahead"]): Effect.Effect<void> => {
  if (!others.areThere) return Effect.void
  const asked = others.dueOf(request)
  if (extent === "asked" || (extent === "made" && asked > 0)) return others.shown(asked)
  if (extent === "bytes") return others.shown(others.raised(request, others.written))
  // What was made ahead is an entry of this host as soon as it is folded, and others are told of in the same turn.
  const told = extent === "made" ? Effect.ignore(ahead?.drained ?? Effect.void) : Effect.void
  return told.pipe(
    Effect.andThen(Effect.yieldNow),
    Effect.andThen(Effect.suspend(() => others.shown(others.raised(request, Math.max(others.written, others.own)))))
  )
}

/** Answers what changes something when the other hosts show it. Nothing that they may need waits for it. */
export const shownToOthers = (
  files: AsyncFiles,
  company: Company,
  { ahead, view, storesLate }: Pick<Files, "ahead" | "view" | "storesLate">
): AsyncFiles => {
  const { others, showing } = company
  const waiting = Object.entries(changing).flatMap(([op, extent]) => {
    const handler = files[op as Operation] as unknown as Handler | undefined
    // Where close does not wait for its own commit it waits for nobody else either.
    if (handler === undefined || (op === "flush" && storesLate)) return []
    const shown: Handler = (request, later) => {
      const seen = Effect.tap(handler(request, later), () => due(company, request, extent, ahead))
      if (!others.areThere) return seen
      return Effect.suspend(() => {
        const leave = showing.enter(heldBy(view, request))
        return Effect.ensuring(seen, Effect.sync(leave))
      })
    }
    return [[op, shown] as const]
  })
  return { ...files, ...Object.fromEntries(waiting) }
}
