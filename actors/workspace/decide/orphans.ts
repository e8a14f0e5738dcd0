/** What becomes of an inode with its last name, and when those without a name go for good. */
import type { ActorId } from "../../../messages/ids.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { isFile } from "../tree/inodes.ts"
import { attributes } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import { accept, existing, needsSession, type Of, type Outcome } from "./rules.ts"

/** How long other mounts may take to say that they have a file open that just lost its name: five heartbeats. */
export const orphanGraceMs = 60_000

/** Inodes that one entry buries: a list of numbers that is small beside what an entry may be. */
export const reapedMax = 4096

type Orphaned = Extract<WorkspaceEvent, { readonly _tag: "Unlinked" }>["orphan"]

/** The field `orphan` of an event that takes the last name: absent when the inode goes with it. */
export const orphaned = (tree: Tree, slot: number, open: boolean | undefined, context: Context) =>
  orphanedOf(tree, isFile(tree.inodes.mode[slot] as number), open, context)

export const orphanedOf = (
  { sessions }: Tree,
  isRegular: boolean,
  open: boolean | undefined,
  context: Context
): { readonly orphan?: NonNullable<Orphaned> } => {
  const isMount = sessions.has(context.caller)
  const others = sessions.size - (isMount ? 1 : 0)
  // What is no regular file is open on other hosts only for a moment, if at all.
  const until = others > 0 && isRegular ? context.at + orphanGraceMs : 0
  if (open === true && isMount) return { orphan: { until, holder: context.caller as ActorId } }
  return until === 0 ? {} : { orphan: { until } }
}

export const open = (tree: Tree, command: Of<"Open">, context: Context): Outcome => {
  const slot = existing(tree, command.ino)
  if (typeof slot !== "number") return slot
  const orphan = tree.orphans.get(command.ino)
  const { caller } = context
  const isHeld = orphan === undefined || !needsSession(caller) || orphan.holders.has(caller)
  const events = isHeld ? [] : [{ _tag: "Held" as const, ino: command.ino, session: caller as ActorId }]
  return accept(events, { attributes: attributes(tree, slot) }, context)
}

export const letGo = (tree: Tree, command: Of<"Release">, context: Context): Outcome => {
  const { ino } = command
  const orphan = tree.orphans.get(ino)
  const session = context.caller as ActorId
  if (orphan === undefined || !orphan.holders.has(session)) return accept([], {}, context)
  const isLast = orphan.holders.size === 1 && orphan.until <= context.at
  const events: Array<WorkspaceEvent> = [{ _tag: "Released", ino, session }]
  if (isLast) events.push({ _tag: "Reaped", inos: [ino], version: context.version })
  return accept(events, {}, context)
}

/** Those that nobody holds and whose time is over. */
export const overdue = (tree: Tree, context: Context): ReadonlyArray<WorkspaceEvent> => {
  const inos: Array<number> = []
  for (const [ino, until] of tree.doomed) {
    if (inos.length === reapedMax) break
    if (until <= context.at) inos.push(ino)
  }
  return inos.length === 0 ? [] : [reaped(inos, context)]
}

export const reaped = (inos: ReadonlyArray<number>, context: Context): WorkspaceEvent => ({
  _tag: "Reaped",
  inos,
  version: context.version
})
