/** How sessions, what they hold open, and their locks change. */
import type { Lock } from "../../../messages/lock.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import { forget, grant, type Locks, next, noLocks, release } from "../tree/locks.ts"
import type { Reservation } from "../tree/reservations.ts"
import { lockKey, type Tree } from "../tree/tree.ts"
import type { Death } from "./count.ts"
import { drop } from "./names.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>
type LockEvent = Of<"Locked" | "LockQueued" | "Unlocked" | "LockCancelled">

const letGo = (tree: Tree, ino: number, session: string): void => {
  const orphan = tree.orphans.get(ino)
  if (orphan?.holders.delete(session) === true && orphan.holders.size === 0) tree.doomed.set(ino, orphan.until)
}

export const endSession = (tree: Tree, event: Of<"SessionEnded">, at: number): void => {
  const { session, version } = event
  tree.sessions.delete(session)
  tree.loans.end(session)
  for (const [key, locks] of tree.locks) keep(tree, key, forget(locks, session))
  for (const ino of tree.orphans.keys()) letGo(tree, ino, session)
  abandon(tree, (one) => one.holder === session, { at, version })
}

/** What was never used is garbage too: a host may have stored objects under it before it failed. */
const abandon = (tree: Tree, which: (one: Reservation) => boolean, death: Death): void => {
  for (const { first, count } of tree.reservations.abandon(which))
    tree.garbage.push({ id: first, size: -1, count, ...death })
}

export const abandonSlices = (tree: Tree, { firsts, version }: Of<"SlicesAbandoned">, at: number): void => {
  const taken = new Set(firsts)
  abandon(tree, ({ first }) => taken.has(first), { at, version })
}

export const hold = (tree: Tree, event: Of<"Held">): void => {
  tree.orphans.get(event.ino)?.holders.add(event.session)
  tree.doomed.delete(event.ino)
}

export const letGoOf = (tree: Tree, event: Of<"Released">): void => letGo(tree, event.ino, event.session)

export const reap = (tree: Tree, event: Of<"Reaped">, at: number): void => {
  for (const ino of event.inos) {
    const slot = tree.inodes.find(ino)
    tree.doomed.delete(ino)
    if (slot >= 0) drop(tree, slot, { at, version: event.version })
  }
}

const keep = (tree: Tree, key: string, locks: Locks): void => {
  if (locks.held.length === 0 && locks.queue.length === 0) tree.locks.delete(key)
  else tree.locks.set(key, locks)
  if (next(locks) === undefined) tree.stalled.delete(key)
  else tree.stalled.add(key)
}

const lockOf = (event: Of<"Locked" | "LockQueued">, token: number): Lock => {
  const { session, owner, pid, type, start, end } = event
  return { session, owner, pid, type, start, end, token }
}

/** The locks as they are after an event: what it decides by, and what becomes so. */
export const withLock = (locks: Locks, event: LockEvent): Locks => {
  switch (event._tag) {
    case "Locked":
      return grant(locks, lockOf(event, event.token), event.ticket)
    case "LockQueued":
      return { held: locks.held, queue: [...locks.queue, lockOf(event, event.ticket)] }
    case "Unlocked":
      return release(locks, event, event)
    case "LockCancelled":
      return { held: locks.held, queue: locks.queue.filter((waiting) => waiting.token !== event.ticket) }
  }
}

export const changeLock = (tree: Tree, event: LockEvent): void => {
  const key = lockKey(event.family, event.ino)
  keep(tree, key, withLock(tree.locks.get(key) ?? noLocks, event))
  if (event._tag === "Locked") tree.nextToken = Math.max(tree.nextToken, event.token + 1)
  if (event._tag === "LockQueued") tree.nextTicket = Math.max(tree.nextTicket, event.ticket + 1)
}
