/** Decisions of administration: limits, sessions, slice ids, and what was swept. */
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { forget, type Locks, noLocks } from "../tree/locks.ts"
import type { Tree } from "../tree/tree.ts"
import { Course, type Place } from "./locks.ts"
import { overdue, reaped, reapedMax } from "./orphans.ts"
import { accept, needsSession, type Of, type Outcome, type Refused, refuse } from "./rules.ts"

/** Without a session nobody hears of a holder's end: longer than the longest upload, its ids are its own. */
export const reservationMs = 24 * 3600 * 1000

/** Reservations that one entry takes back. */
const abandonedMax = 1000

/** After so many grants no further inode's waiters are served in one entry. */
const servedMax = 1000

/** Those that a mount, or a key, has no business with. */
export const officeFault = (caller: string): Refused | undefined =>
  needsSession(caller) || caller.startsWith("key-")
    ? { refused: { _tag: "NotAllowed", caller, why: "this is for administrators, nodes and other actors" } }
    : undefined

export const configure = (tree: Tree, command: Of<"Configure">, context: Context): Outcome => {
  if (needsSession(context.caller))
    return {
      refused: { _tag: "NotAllowed", caller: context.caller, why: "a mount does not change a workspace's terms" }
    }
  const { _tag, ...terms } = command
  const isNew = terms.layout !== undefined && terms.layout !== tree.layout
  if (isNew && tree.reservations.next > 1)
    return refuse("EINVAL", "the layout is fixed: slice ids were given out under the one there is")
  const isSame =
    !isNew &&
    (terms.bytesMax ?? tree.bytesMax) === tree.bytesMax &&
    (terms.entriesMax ?? tree.entriesMax) === tree.entriesMax
  return accept(isSame ? [] : [{ _tag: "Configured", ...terms }], {}, context)
}

export const beginSession = (tree: Tree, command: Of<"BeginSession">, context: Context): Outcome => {
  const fault = officeFault(context.caller)
  if (fault !== undefined) return fault
  const { session, mode, host } = command
  if (!needsSession(session)) return refuse("EINVAL", `a session cannot be called ${session}`)
  if (tree.sessions.has(session)) return accept([], {}, context)
  return accept([{ _tag: "SessionBegan", session, mode, ...(host === undefined ? {} : { host }) }], {}, context)
}

/** What those get who waited for locks: so many that it fits into an entry. A tick goes on with the others. */
const served = (tree: Tree, waiting: Iterable<readonly [string, Locks]>): ReadonlyArray<WorkspaceEvent> => {
  const events: Array<WorkspaceEvent> = []
  let token = tree.nextToken
  for (const [key, locks] of waiting) {
    if (events.length > servedMax) break
    const course = new Course(placeOf(key), locks, token)
    course.wake()
    events.push(...course.events)
    token = course.token
  }
  return events
}

/** What the moment has brought: locks that wait to be passed on, and inodes whose time is over. */
export const tick = (tree: Tree, context: Context): Outcome => {
  const stalled = [...tree.stalled].map((key) => [key, tree.locks.get(key) ?? noLocks] as const)
  const events = [...served(tree, stalled), ...overdue(tree, context)]
  return accept(events, {}, context)
}

/** A moment that is long over, for what is due at once: 0 would mean never. */
const atOnce = 1

export const due = (tree: Tree): number | undefined => {
  if (tree.stalled.size > 0) return atOnce
  const first = tree.doomed.values().next()
  return first.done === true ? undefined : Math.max(first.value, atOnce)
}

const placeOf = (key: string): Place => {
  const colon = key.indexOf(":")
  return { family: key.slice(0, colon) as Place["family"], ino: Number(key.slice(colon + 1)) }
}

export const endSession = (tree: Tree, command: Of<"EndSession">, context: Context): Outcome => {
  const fault = officeFault(context.caller)
  if (fault !== undefined) return fault
  const { session } = command
  if (!tree.sessions.has(session)) return accept([], {}, context)
  const events: Array<WorkspaceEvent> = [{ _tag: "SessionEnded", session, version: context.version }]
  const left = new Map<string, Locks>()
  for (const [key, locks] of tree.locks) {
    const rest = forget(locks, session)
    if (rest.held.length !== locks.held.length || rest.queue.length !== locks.queue.length) left.set(key, rest)
  }
  events.push(...served(tree, left))
  const inos: Array<number> = []
  for (const [ino, { holders, until }] of tree.orphans) {
    if (inos.length === reapedMax) break
    if (until <= context.at && holders.size === 1 && holders.has(session)) inos.push(ino)
  }
  if (inos.length > 0) events.push(reaped(inos, context))
  return accept(events, {}, context)
}

export const reserveSlices = (tree: Tree, command: Of<"ReserveSlices">, context: Context): Outcome => {
  const { count } = command
  const first = tree.reservations.next
  const events: Array<WorkspaceEvent> = [{ _tag: "SlicesReserved", holder: context.caller, first, count }]
  const old = tree.reservations.list.filter(
    ({ holder, at }) => !tree.sessions.has(holder) && at + reservationMs <= context.at
  )
  const firsts = old.slice(0, abandonedMax).map((one) => one.first)
  if (firsts.length > 0) events.push({ _tag: "SlicesAbandoned", firsts, version: context.version })
  return accept(events, { first, count }, context)
}

export const collect = (tree: Tree, command: Of<"Collect">, context: Context): Outcome => {
  const fault = officeFault(context.caller)
  if (fault !== undefined) return fault
  const sequences = command.sequences.filter((sequence) => tree.garbage.has(sequence))
  return accept(sequences.length === 0 ? [] : [{ _tag: "Collected", sequences }], {}, context)
}
