/** How loans of directories change. */
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Tree } from "../tree/tree.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>
export type LoanEvent = Of<"Lent" | "Recalled" | "Returned" | "InosReserved">

export const changeLoans = (tree: Tree, event: LoanEvent): void => {
  const { inodes, loans } = tree
  switch (event._tag) {
    case "Lent":
      for (const ino of event.inos) if (inodes.find(ino) >= 0) loans.lend(ino, event.session)
      break
    case "Recalled":
      for (const ino of event.inos) {
        const loan = loans.all.get(ino)
        if (loan !== undefined) loan.isRecalled = true
      }
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
