/** How loans of directories change. */
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Tree } from "../tree/tree.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>
export type LoanEvent = Of<"Lent" | "Recalled" | "Returned" | "Doubted" | "InosReserved">

/** A moment; 0 would mean never. */
const momentOf = (at: number): number => Math.max(at, 1)

export const changeLoans = (tree: Tree, event: LoanEvent, at: number): void => {
  const { inodes, loans } = tree
  switch (event._tag) {
    case "Lent":
      for (const ino of event.inos) if (inodes.find(ino) >= 0) loans.lend(ino, event.session)
      break
    case "Recalled":
      for (const ino of event.inos) {
        const loan = loans.all.get(ino)
        if (loan !== undefined) loan.recalledAt = momentOf(at)
      }
      break
    case "Doubted":
      // It is doubted again when as much time has gone by in vain once more.
      for (const loan of loans.all.values())
        if (loan.session === event.session && loan.recalledAt > 0) loan.recalledAt = momentOf(at)
      break
    case "Returned":
      for (const ino of event.inos) loans.giveBack(ino)
      break
    case "InosReserved":
      loans.reserve(event.session, event.first, event.first + event.count)
      tree.nextIno = Math.max(tree.nextIno, event.first + event.count)
      break
  }
}
