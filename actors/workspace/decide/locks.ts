/** Decisions about locks: who gets one, who waits, and who is next when one goes. */
import { type Lock, type LockFamily, locksOfInodeMax } from "../../../messages/lock.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { withLock } from "../evolve/sessions.ts"
import { blockers, isFree, isOwn, type Locks, next, noLocks } from "../tree/locks.ts"
import { lockKey, type Tree } from "../tree/tree.ts"
import { accept, existing, type Of, type Outcome, refuse } from "./rules.ts"

type LockEvent = Extract<WorkspaceEvent, { readonly _tag: "Locked" | "LockQueued" | "Unlocked" | "LockCancelled" }>

export interface Place {
  readonly ino: number
  readonly family: LockFamily
}

/** What happens to the locks of one inode, event by event, with tokens as the tree will count them. */
export class Course {
  readonly events: Array<LockEvent> = []
  private readonly place: Place
  locks: Locks
  token: number

  constructor(place: Place, locks: Locks, token: number) {
    this.place = place
    this.locks = locks
    this.token = token
  }

  add(event: LockEvent): void {
    this.events.push(event)
    this.locks = withLock(this.locks, event)
  }

  grant(lock: Lock, ticket?: number): number {
    const { ino, family } = this.place
    const token = this.token++
    this.add({ _tag: "Locked", ino, family, ...lock, token, ...(ticket === undefined ? {} : { ticket }) })
    return token
  }

  /** Grants whatever can be granted now to those that wait. */
  wake(): void {
    for (let waiting = next(this.locks); waiting !== undefined; waiting = next(this.locks))
      this.grant(waiting, waiting.token)
  }
}

const courseOf = (tree: Tree, place: Place): Course =>
  new Course(place, tree.locks.get(lockKey(place.family, place.ino)) ?? noLocks, tree.nextToken)

/** Whether waiting for a lock would close a circle of POSIX locks that wait for one another. */
const isDeadlock = (tree: Tree, course: Course, wanted: Lock): boolean => {
  const waits: Array<{ readonly lock: Lock; readonly locks: Locks }> = []
  for (const [key, locks] of tree.locks)
    if (key.startsWith("posix:")) for (const lock of locks.queue) waits.push({ lock, locks })
  const open = [...blockers(course.locks, wanted)]
  const seen = new Set<Lock>()
  for (let holder = open.pop(); holder !== undefined; holder = open.pop()) {
    if (isOwn(holder, wanted)) return true
    if (seen.has(holder)) continue
    seen.add(holder)
    for (const { lock, locks } of waits) if (isOwn(lock, holder)) open.push(...blockers(locks, lock))
  }
  return false
}

const isSame = (a: Lock, b: Lock): boolean => isOwn(a, b) && a.type === b.type && a.start === b.start && a.end === b.end

export const lock = (tree: Tree, command: Of<"Lock">, context: Context): Outcome => {
  const { ino, owner, pid, type, start, end } = command
  const slot = existing(tree, ino)
  if (typeof slot !== "number") return slot
  if (end < start) return refuse("EINVAL", "the range ends before it begins")
  const course = courseOf(tree, command)
  const wanted: Lock = { session: context.caller, owner, pid, type, start, end, token: tree.nextTicket }
  const waiting = course.locks.queue.find((one) => isSame(one, wanted))
  if (waiting !== undefined) return accept([], { granted: false, ticket: waiting.token }, context)
  if (course.locks.held.length + course.locks.queue.length >= locksOfInodeMax)
    return refuse("ENOLCK", `an inode has ${locksOfInodeMax} locks at most`)
  if (isFree(course.locks, wanted)) {
    const token = course.grant(wanted)
    course.wake()
    return accept(course.events, { granted: true, token }, context)
  }
  if (command.wait !== true) return refuse("EAGAIN", "another lock is in the way")
  return queue(tree, course, wanted, { command, context })
}

const queue = (
  tree: Tree,
  course: Course,
  wanted: Lock,
  { command, context }: { readonly command: Of<"Lock">; readonly context: Context }
): Outcome => {
  const { ino, family, owner } = command
  const ticket = wanted.token
  const { token: _, ...span } = wanted
  if (family === "posix" && isDeadlock(tree, course, wanted))
    return refuse("EDEADLK", "whoever is in the way waits for this owner")
  // As flock(2) has it, a lock that changes its type is let go first: two that both want that could never go on.
  if (family === "flock" && course.locks.held.some((held) => isOwn(held, wanted)))
    course.add({ _tag: "Unlocked", ino, family, owner, session: context.caller, start: span.start, end: span.end })
  course.add({ _tag: "LockQueued", ino, family, ...span, ticket })
  course.wake()
  return accept(course.events, { granted: false, ticket }, context)
}

export const unlock = (tree: Tree, command: Of<"Unlock">, context: Context): Outcome => {
  const { ino, family, owner, start, end } = command
  const session = context.caller
  const course = courseOf(tree, command)
  const isHeld = course.locks.held.some(
    (held) => isOwn(held, { session, owner }) && held.start <= end && start <= held.end
  )
  if (!isHeld || end < start) return accept([], {}, context)
  course.add({ _tag: "Unlocked", ino, family, owner, session, start, end })
  course.wake()
  return accept(course.events, {}, context)
}

export const cancelLock = (tree: Tree, command: Of<"CancelLock">, context: Context): Outcome => {
  const { ino, family, owner, ticket } = command
  const session = context.caller
  const course = courseOf(tree, command)
  const isWaiting = course.locks.queue.some((one) => one.token === ticket && isOwn(one, { session, owner }))
  const granted = course.locks.held.some((held) => isOwn(held, { session, owner }))
  if (!isWaiting) return accept([], { granted }, context)
  course.add({ _tag: "LockCancelled", ino, family, owner, session, ticket })
  course.wake()
  return accept(course.events, { granted: false }, context)
}
