/** The decision to rename: the one change that concerns up to four inodes at once. */
import { linksMax } from "../../../messages/inode.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { isDirectory } from "../tree/inodes.ts"
import { attributes, isEmpty, isWithin } from "../tree/read.ts"
import type { Tree } from "../tree/tree.ts"
import { orphaned } from "./orphans.ts"
import {
  accept,
  directory,
  livingDirectory,
  named,
  nameFault,
  type Of,
  type Outcome,
  type Refused,
  refuse,
  stickyFault
} from "./rules.ts"

/** The slots concerned; `other` is -1 when nothing has the new name. */
interface Places {
  readonly from: number
  readonly to: number
  readonly slot: number
  readonly other: number
}

const places = (tree: Tree, command: Of<"Rename">): Places | Refused => {
  const from = directory(tree, command.parent)
  if (typeof from !== "number") return from
  const to = livingDirectory(tree, command.toParent)
  if (typeof to !== "number") return to
  const slot = named(tree, from, command.name)
  if (typeof slot !== "number") return slot
  const fault = nameFault(command.toName)
  if (fault !== undefined) return fault
  const entry = tree.names.find(to, command.toName)
  return { from, to, slot, other: entry < 0 ? -1 : tree.names.childOf(entry) }
}

export const rename = (tree: Tree, command: Of<"Rename">, context: Context): Outcome => {
  const found = places(tree, command)
  if ("refused" in found) return found
  const { slot, other } = found
  if (command.flag === "noreplace" && other >= 0)
    return refuse("EEXIST", `there is a ${JSON.stringify(command.toName)} already`)
  if (command.flag === "exchange" && other < 0)
    return refuse("ENOENT", `there is no ${JSON.stringify(command.toName)} to exchange with`)
  const now = attributes(tree, slot)
  // Two names of one inode: POSIX wants that nothing happens.
  if (slot === other) return accept([], { attributes: now }, context)
  const fault = faultOf(tree, found, command)
  if (fault !== undefined) return fault
  const { parent, name, toParent, toName, time } = command
  const { version } = context
  const isSwap = command.flag === "exchange"
  const isReplaced = other >= 0 && !isSwap
  const isLast = isReplaced && (isDirectory(tree.inodes.mode[other] as number) || tree.inodes.nlink[other] === 1)
  const event: WorkspaceEvent = {
    _tag: "Renamed",
    ino: now.ino,
    parent,
    name,
    toParent,
    toName,
    ...(isSwap ? { exchange: true as const } : {}),
    time,
    ...(isLast ? orphaned(tree, other, command.open, context) : {}),
    version
  }
  const replaced = isReplaced ? { replaced: tree.inodes.ino[other] as number } : {}
  return accept([event], { attributes: { ...now, ctime: time }, ...replaced }, context)
}

const faultOf = (tree: Tree, found: Places, command: Of<"Rename">): Refused | undefined => {
  const { from, to, slot, other } = found
  const { mode } = tree.inodes
  const isList = isDirectory(mode[slot] as number)
  const sticky =
    stickyFault(tree, from, slot, command.who) ?? (other < 0 ? undefined : stickyFault(tree, to, other, command.who))
  if (sticky !== undefined) return sticky
  if (isList && isWithin(tree, to, slot)) return refuse("EINVAL", "a directory cannot be moved into itself")
  if (command.flag === "exchange")
    return isDirectory(mode[other] as number) && isWithin(tree, from, other)
      ? refuse("EINVAL", "a directory cannot be moved into itself")
      : undefined
  if (isList && from !== to && (tree.inodes.nlink[to] as number) >= linksMax && other < 0)
    return refuse("EMLINK", "the directory has as many directories as it can")
  if (other < 0) return undefined
  const isOverList = isDirectory(mode[other] as number)
  if (isList && !isOverList) return refuse("ENOTDIR", "a directory replaces only a directory")
  if (!isList && isOverList) return refuse("EISDIR", "only a directory replaces a directory")
  return isOverList && !isEmpty(tree, other) ? refuse("ENOTEMPTY", "what would be replaced is not empty") : undefined
}
