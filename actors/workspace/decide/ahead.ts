/** Decisions about what a session did ahead in directories that are lent to it, and tells of now. */
import type { ActorId } from "../../../messages/ids.ts"
import { targetBytesMax } from "../../../messages/inode.ts"
import { bytesOfName } from "../../../messages/names.ts"
import { type Made, type MovedAhead, numberOf, type RemovedAhead, type Step } from "../../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import type { Context } from "../../decider.ts"
import { inoNamed } from "../tree/read.ts"
import { directoryOf, type Tree } from "../tree/tree.ts"
import { inosReserved } from "./loans.ts"
import { orphanedOf } from "./orphans.ts"
import { accept, livingDirectory, nameFault, type Of, type Outcome, type Refused, refuse } from "./rules.ts"

type Told = WorkspaceEvent | Refused

/** The tree with the names as what was told before in the same message has left them. */
class Telling {
  readonly lists = new Set<number>()
  private readonly names = new Map<string, number>()
  private readonly more = new Map<number, number>()
  private readonly tree: Tree
  private readonly context: Context

  constructor(tree: Tree, context: Context) {
    this.tree = tree
    this.context = context
  }

  private named(parent: number, name: string): number {
    return this.names.get(`${parent}/${name}`) ?? inoNamed(this.tree, parent, name)
  }

  private name(parent: number, name: string, ino: number): void {
    const change = (ino === 0 ? 0 : 1) - (this.named(parent, name) === 0 ? 0 : 1)
    this.names.set(`${parent}/${name}`, ino)
    this.more.set(parent, (this.more.get(parent) ?? 0) + change)
  }

  private isEmpty(ino: number): boolean {
    const list = directoryOf(this.tree, this.tree.inodes.find(ino))
    return (list === undefined ? 0 : list.order.length - list.dead) + (this.more.get(ino) ?? 0) === 0
  }

  /** Why nothing in this directory can have been changed ahead. */
  private placeFault(parent: number): Refused | undefined {
    if (this.lists.has(parent)) return undefined
    const slot = livingDirectory(this.tree, parent)
    if (typeof slot !== "number") return slot
    const session = this.context.caller
    return this.tree.loans.isLentTo(parent, session)
      ? undefined
      : refuse("ESTALE", `inode ${parent} is not lent to ${session}`)
  }

  /** It has no name any more, unless others gave it one meanwhile. */
  private orphan({ ino, type }: { readonly ino: number; readonly type: string }) {
    const slot = this.tree.inodes.find(ino)
    const isLast = slot < 0 || type === "directory" || this.tree.inodes.nlink[slot] === 1
    return isLast ? orphanedOf(this.tree, type === "file", undefined, this.context) : {}
  }

  step(step: Step): Told {
    if (!("turn" in step)) return this.made(step)
    if ("set" in step) return { _tag: "AttributesSet", ...step.set, turn: step.turn }
    return "removed" in step ? this.removed(step) : this.moved(step)
  }

  private made(made: Made): Told {
    const { ino, name, parent, type } = made
    const fault = this.placeFault(parent) ?? faultOf(made)
    if (fault !== undefined) return fault
    if (this.named(parent, name) > 0) return refuse("EEXIST", `there is a ${JSON.stringify(name)} already`)
    this.name(parent, name, ino)
    if (type === "directory") this.lists.add(ino)
    return { _tag: "Created", ...made }
  }

  private removed({ removed, turn }: RemovedAhead): Told {
    const { ino, name, parent, time, type } = removed
    const fault = this.placeFault(parent)
    if (fault !== undefined) return fault
    if (this.named(parent, name) !== ino) return refuse("ENOENT", `inode ${ino} is not ${JSON.stringify(name)} there`)
    const within = type === "directory" ? this.placeFault(ino) : undefined
    if (within !== undefined) return within
    if (type === "directory" && !this.isEmpty(ino)) return refuse("ENOTEMPTY", `inode ${ino} is not empty`)
    this.name(parent, name, 0)
    this.lists.delete(ino)
    const { version } = this.context
    return { _tag: "Unlinked", ino, parent, name, time, ...this.orphan(removed), version, turn }
  }

  private moved({ moved, turn }: MovedAhead): Told {
    const { replaced, ...place } = moved
    const { ino, name, parent, toName, toParent } = place
    const fault = this.placeFault(parent) ?? this.placeFault(toParent) ?? nameFault(toName)
    if (fault !== undefined) return fault
    if (this.named(parent, name) !== ino) return refuse("ENOENT", `inode ${ino} is not ${JSON.stringify(name)} there`)
    const there = this.named(toParent, toName)
    if (there !== (replaced?.ino ?? 0))
      return refuse("ENOENT", `${JSON.stringify(toName)} is inode ${there}, and not ${replaced?.ino ?? 0}`)
    this.name(parent, name, 0)
    this.name(toParent, toName, ino)
    const orphan = replaced === undefined ? {} : this.orphan(replaced)
    return { _tag: "Renamed", ...place, ...orphan, version: this.context.version, turn }
  }
}

/** The refusal, or what has to be told in one entry: what was done, and that the new directories are the session's. */
export const tellAhead = (tree: Tree, command: Of<"TellAhead">, context: Context): Outcome => {
  const session = context.caller
  const { loans } = tree
  const telling = new Telling(tree, context)
  const events: Array<WorkspaceEvent> = []
  let next = loans.nextOf(session)
  for (const step of command.made) {
    const number = numberOf(step)
    // It is told once more, by a process that does not know that it was told before.
    if (loans.isUsed(number, session)) continue
    if (number < next) return refuse("ESTALE", `${number} comes behind ${next - 1}`)
    const told = telling.step(step)
    if ("refused" in told) return told
    next = number + 1
    events.push(told)
  }
  if (events.length === 0) return accept([], {}, context)
  const { lists } = telling
  if (lists.size > 0) events.push({ _tag: "Lent", inos: [...lists], session: session as ActorId })
  return accept([...events, ...inosReserved(tree, session, tree.nextIno)], {}, context)
}

const faultOf = ({ name, target, type }: Made): Refused | undefined => {
  const fault = nameFault(name)
  if (fault !== undefined) return fault
  if ((type === "symlink") !== (target !== undefined)) return refuse("EINVAL", "a symbolic link has a target")
  const bytes = target === undefined ? 1 : bytesOfName(target)
  return bytes < 1 || bytes > targetBytesMax ? refuse("EINVAL", "the target is no path") : undefined
}
