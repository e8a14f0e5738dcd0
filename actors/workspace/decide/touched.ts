/** Which directories a command changes, and what happens when one of them is lent to somebody else. */
import type { ActorId } from "../../../messages/ids.ts"
import { doubtMs } from "../../../messages/limits.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import type { Loan } from "../tree/loans.ts"
import { inoNamed } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import type { Command, Outcome } from "./rules.ts"

/** About as long as a host takes to tell what it made and to give a directory back. */
const retryAfterMs = 5

/** Those whose entries or attributes a command changes, and those that it moves or removes, among others. */
export const touched = (tree: Tree, command: Command): ReadonlyArray<number> => {
  switch (command._tag) {
    case "Create":
    case "Mkdir":
    case "Mknod":
    case "Symlink":
    case "Link":
    case "Unlink":
      return [command.parent]
    case "Rmdir":
      return [command.parent, inoNamed(tree, command.parent, command.name)]
    case "Rename": {
      const { parent, name, toParent, toName } = command
      return [parent, toParent, inoNamed(tree, parent, name), inoNamed(tree, toParent, toName)]
    }
    case "SetAttr":
    case "SetXattr":
    case "RemoveXattr":
      return [command.ino]
    case "Configure":
      // What was made ahead was made under the limits that there were.
      return command.entriesMax === undefined ? [] : [...tree.loans.all.keys()]
    default:
      return []
  }
}

/** A session that was asked for a directory and keeps it: it may be gone, and its host with it. */
const doubted = ({ loans }: Tree, lent: ReadonlyArray<number>, at: number): ReadonlyArray<WorkspaceEvent> => {
  const silent = new Set<string>()
  for (const ino of lent) {
    const { session, recalledAt } = loans.all.get(ino) as Loan
    if (recalledAt > 0 && at - recalledAt >= doubtMs) silent.add(session)
  }
  return [...silent].map((session) => ({ _tag: "Doubted", session: session as ActorId }))
}

/** Directories that are lent to others are called back first; the command is to come again. */
export const madeWay = (tree: Tree, command: Command, context: Context): Outcome | undefined => {
  const { all } = tree.loans
  if (all.size === 0) return undefined
  const lent = touched(tree, command).filter((ino) => (all.get(ino)?.session ?? context.caller) !== context.caller)
  if (lent.length === 0) return undefined
  const inos = [...new Set(lent)].filter((ino) => all.get(ino)?.recalledAt === 0)
  const recalled: ReadonlyArray<WorkspaceEvent> = inos.length === 0 ? [] : [{ _tag: "Recalled", inos }]
  return { events: [...recalled, ...doubted(tree, lent, context.at)], reply: {}, retryAfterMs }
}
