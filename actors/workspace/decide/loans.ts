/** Decisions about directories that are lent: to whom, and when they are given back. */
import type { ActorId } from "../../../messages/ids.ts"
import { aheadMax } from "../../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import type { Tree } from "../tree/tree.ts"
import { accept, type Of, type Outcome } from "./rules.ts"

/** With fewer numbers left a session gets more: what it has made and not told of yet has used as many at most. */
const inosLow = 2 * aheadMax
const inosAtOnce = 4 * aheadMax

/** More are not lent to one session: it gives back what it does not use. */
const loansMax = 4096

export const inosReserved = (tree: Tree, session: string, first: number): ReadonlyArray<WorkspaceEvent> =>
  tree.loans.leftOf(session) >= inosLow
    ? []
    : [{ _tag: "InosReserved", session: session as ActorId, first, count: inosAtOnce }]

/** Every session with a loan may have made as many entries as it may ahead: for those there is room. */
const hasRoom = (tree: Tree, session: string): boolean =>
  tree.entriesMax === 0 || tree.entriesMax - tree.inodes.live >= tree.loans.setAside(session) + 2 * aheadMax

/** A directory is lent in the entry that a session asked for it by, where nothing speaks against it. */
export const lending = (tree: Tree, ino: number, context: Context, nextIno = tree.nextIno) => {
  const session = context.caller
  const { loans } = tree
  if (!tree.sessions.has(session) || loans.all.has(ino) || !hasRoom(tree, session)) return []
  if ((loans.borrowers.get(session)?.count ?? 0) >= loansMax) return []
  const lent: WorkspaceEvent = { _tag: "Lent", inos: [ino], session: session as ActorId }
  return [lent, ...inosReserved(tree, session, nextIno)]
}

export const giveBack = (tree: Tree, command: Of<"GiveBack">, context: Context): Outcome => {
  const inos = command.inos.filter((ino) => tree.loans.isLentTo(ino, context.caller))
  return accept(inos.length === 0 ? [] : [{ _tag: "Returned", inos }], {}, context)
}
