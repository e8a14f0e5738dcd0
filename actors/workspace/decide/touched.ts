/** Which directories a command changes, and what happens when one of them is lent to somebody else. */
import type { Context } from "../../decider.ts"
import { lookup } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import type { Command, Outcome } from "./rules.ts"

/** About as long as a host takes to tell what it made and to give a directory back. */
const retryAfterMs = 5

const inoNamed = (tree: Tree, parent: number, name: string): number => {
  const slot = lookup(tree, tree.inodes.find(parent), name)
  return slot < 0 ? 0 : (tree.inodes.ino[slot] as number)
}

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

/** Directories that are lent to others are called back first; the command is to come again. */
export const madeWay = (tree: Tree, command: Command, context: Context): Outcome | undefined => {
  const { all } = tree.loans
  if (all.size === 0) return undefined
  const lent = touched(tree, command).filter((ino) => (all.get(ino)?.session ?? context.caller) !== context.caller)
  if (lent.length === 0) return undefined
  const inos = [...new Set(lent)].filter((ino) => all.get(ino)?.isRecalled === false)
  return { events: inos.length === 0 ? [] : [{ _tag: "Recalled", inos }], reply: {}, retryAfterMs }
}
