/** Decisions of administration: limits, sessions, slice ids, and what was swept. */
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { forget } from "../tree/locks.ts"
import type { Tree } from "../tree/tree.ts"
import { Course, type Place } from "./locks.ts"
import { reaped, reapedMax } from "./orphans.ts"
import { accept, needsSession, type Of, type Outcome, type Refused, refuse } from "./rules.ts"

/** Without a session nobody hears of a holder's end: longer than the longest upload, its ids are its own. */
export const reservationMs = 24 * 3600 * 1000

/** Reservations that one entry takes back. */
const abandonedMax = 1000

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
  let token = tree.nextToken
  for (const [key, locks] of tree.locks) {
    const left = forget(locks, session)
    if (left.held.length === locks.held.length && left.queue.length === locks.queue.length) continue
    const course = new Course(placeOf(key), left, token)
    course.wake()
    events.push(...course.events)
    token = course.token
  }
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
