/**
 * Inodes that others changed just now. The kernel cannot be told to forget one that it does not know, and an answer
 * about it that was given before may make it known a moment later. So what is answered of these first is not kept: the
 * kernel asks again, for an inode that it knows by then.
 */
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"

/** A process that was answered has had its turn by then, also on a busy host. */
const turnMs = 1_000

/** What an event changes the attributes of. What it makes is likely to be changed again at once. */
const changedBy = (event: WorkspaceEvent): ReadonlyArray<number> => {
  const inos = "ino" in event ? [event.ino] : []
  if ("parent" in event) inos.push(event.parent)
  if ("toParent" in event) inos.push(event.toParent)
  return inos
}

export class Recent {
  private young = new Set<number>()
  private old = new Set<number>()
  private turnedAt = 0
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  changed(event: WorkspaceEvent): void {
    this.turn()
    for (const ino of changedBy(event)) this.young.add(ino)
  }

  forget(): void {
    this.young.clear()
    this.old.clear()
  }

  /** For one turn at least, and two at most. */
  has(ino: number): boolean {
    if (this.young.size === 0 && this.old.size === 0) return false
    this.turn()
    return this.young.has(ino) || this.old.has(ino)
  }

  private turn(): void {
    const now = this.now()
    if (now - this.turnedAt < turnMs) return
    this.old = now - this.turnedAt < 2 * turnMs ? this.young : new Set()
    this.young = new Set()
    this.turnedAt = now
  }
}
