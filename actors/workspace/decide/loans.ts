/** Decisions about directories that are lent: to whom, when others want them back, and what was made there. */
import type { ActorId } from "../../../messages/ids.ts"
import { targetBytesMax } from "../../../messages/inode.ts"
import { bytesOfName } from "../../../messages/names.ts"
import { aheadMax } from "../../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import type { Tree } from "../tree/tree.ts"
import { accept, livingDirectory, nameFault, type Of, type Outcome, type Refused, refuse } from "./rules.ts"

/** With fewer numbers left a session gets more: what it has made and not told of yet has used as many at most. */
const inosLow = 2 * aheadMax
const inosAtOnce = 4 * aheadMax

/** More are not lent to one session: it gives back what it does not use. */
const loansMax = 4096

const inosReserved = (tree: Tree, session: string, first: number): ReadonlyArray<WorkspaceEvent> =>
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

/** The refusal, or what has to be told in one entry: what was made, and that the new directories are the session's. */
export const tellAhead = (tree: Tree, command: Of<"TellAhead">, context: Context): Outcome => {
  const session = context.caller
  const { loans } = tree
  const names = new Set<string>()
  const lists = new Set<number>()
  const events: Array<WorkspaceEvent> = []
  let next = loans.nextOf(session)
  for (const made of command.made) {
    // It is told once more, by a process that does not know that it was told before.
    if (loans.isUsed(made.ino, session)) continue
    const isOld = !lists.has(made.parent)
    const parent = isOld ? livingDirectory(tree, made.parent) : made.parent
    if (typeof parent !== "number") return parent
    const fault = faultOf(made)
    if (fault !== undefined) return fault
    if (isOld && !loans.isLentTo(made.parent, session))
      return refuse("ESTALE", `inode ${made.parent} is not lent to ${session}`)
    const key = `${made.parent}/${made.name}`
    if (names.has(key) || (isOld && tree.names.find(parent, made.name) >= 0))
      return refuse("EEXIST", `there is a ${JSON.stringify(made.name)} already`)
    if (made.ino < next) return refuse("ESTALE", `inode ${made.ino} comes behind ${next - 1}`)
    next = made.ino + 1
    names.add(key)
    if (made.type === "directory") lists.add(made.ino)
    events.push({ _tag: "Created", ...made })
  }
  if (events.length === 0) return accept([], {}, context)
  if (lists.size > 0) events.push({ _tag: "Lent", inos: [...lists], session: session as ActorId })
  return accept([...events, ...inosReserved(tree, session, tree.nextIno)], {}, context)
}

const faultOf = ({ name, target, type }: Of<"TellAhead">["made"][number]): Refused | undefined => {
  const fault = nameFault(name)
  if (fault !== undefined) return fault
  if ((type === "symlink") !== (target !== undefined)) return refuse("EINVAL", "a symbolic link has a target")
  const bytes = target === undefined ? 1 : bytesOfName(target)
  return bytes < 1 || bytes > targetBytesMax ? refuse("EINVAL", "the target is no path") : undefined
}

export const giveBack = (tree: Tree, command: Of<"GiveBack">, context: Context): Outcome => {
  const inos = command.inos.filter((ino) => tree.loans.isLentTo(ino, context.caller))
  return accept(inos.length === 0 ? [] : [{ _tag: "Returned", inos }], {}, context)
}
