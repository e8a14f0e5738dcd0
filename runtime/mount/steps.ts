/** What a mount does ahead of its workspace, step by step: what shows of it at once, and what when it is heard of. */
import { isDirectory, typeOf } from "../../actors/workspace/tree/inodes.ts"
import { inoNamed } from "../../actors/workspace/tree/read.ts"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import type { Made, MovedAhead, RemovedAhead, Step } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>

/** What lost its last name stays until the workspace says what becomes of it. */
const untilTold = { orphan: { until: Number.MAX_SAFE_INTEGER } } as const

export const isMade = (step: Step): step is Made => !("turn" in step)

/** The inodes that it is about. What is written to them comes behind it. */
export const inosOf = (step: Step): ReadonlyArray<number> => {
  if (isMade(step)) return [step.ino]
  if ("set" in step) return [step.set.ino]
  if ("removed" in step) return [step.removed.ino]
  const { ino, replaced } = step.moved
  return replaced === undefined ? [ino] : [ino, replaced.ino]
}

/** Whose fsync has to wait for it, or to tell that it is lost. */
export const placesOf = (step: Step): ReadonlyArray<number> => {
  if (isMade(step)) return [step.ino, step.parent]
  if ("set" in step) return [step.set.ino]
  return "removed" in step ? [step.removed.parent] : [step.moved.ino, step.moved.parent, step.moved.toParent]
}

/** The step under this number that comes of what was decided; undefined where that is none that is done ahead. */
export const stepOf = (tree: Tree, event: WorkspaceEvent, turn: number): Step | undefined => {
  switch (event._tag) {
    case "Created": {
      const { _tag, orphan, ...rest } = { ...event, ino: turn }
      return event.name === undefined ? undefined : (rest as Made)
    }
    case "AttributesSet": {
      const { _tag, turn: _, ...set } = event
      return { turn, set }
    }
    case "Unlinked": {
      const { ino, parent, name, time } = event
      return { turn, removed: { ino, parent, name, time, type: typeAt(tree, ino) } }
    }
    case "Renamed": {
      const { ino, parent, name, toParent, toName, time, exchange } = event
      const other = inoNamed(tree, toParent, toName)
      const replaced = other === 0 ? {} : { replaced: { ino: other, type: typeAt(tree, other) } }
      return exchange ? undefined : { turn, moved: { ino, parent, name, toParent, toName, time, ...replaced } }
    }
    default:
      return undefined
  }
}

const typeAt = (tree: Tree, ino: number) => typeOf(tree.inodes.mode[tree.inodes.find(ino)] as number)

/** Whether an inode goes with the name that it loses. */
const isLast = (tree: Tree, ino: number): boolean => {
  const slot = tree.inodes.find(ino)
  return slot >= 0 && (isDirectory(tree.inodes.mode[slot] as number) || tree.inodes.nlink[slot] === 1)
}

/** What a replica folds at once; the tree is the one from before it. */
export const shownOf = (tree: Tree, step: Step, session: string): ReadonlyArray<WorkspaceEvent> => {
  if (isMade(step)) {
    const created: WorkspaceEvent = { _tag: "Created", ...step }
    return step.type === "directory"
      ? [created, { _tag: "Lent", inos: [step.ino], session: session as never }]
      : [created]
  }
  const { turn } = step
  if ("set" in step) return [{ _tag: "AttributesSet", ...step.set, turn }]
  const version = 0
  if ("removed" in step) {
    const { type, ...removed } = step.removed
    return [{ _tag: "Unlinked", ...removed, ...(isLast(tree, removed.ino) ? untilTold : {}), version, turn }]
  }
  const { replaced, ...moved } = step.moved
  const orphan = replaced !== undefined && isLast(tree, replaced.ino) ? untilTold : {}
  return [{ _tag: "Renamed", ...moved, ...orphan, version, turn }]
}

/** What of it shows over what others change of the inode meanwhile: the workspace hears of it after that. */
export const overOf = (step: Step, ino: number): ReadonlyArray<WorkspaceEvent> => {
  if (isMade(step) || !inosOf(step).includes(ino)) return []
  if ("set" in step) return [{ _tag: "AttributesSet", ...step.set }]
  return [{ _tag: "AttributesSet", ino, ctime: "removed" in step ? step.removed.time : step.moved.time }]
}

/** What is left to be folded of an event that shows already. */
export const restOf = (tree: Tree, step: Step, event: WorkspaceEvent): ReadonlyArray<WorkspaceEvent> => {
  if (isMade(step) || "set" in step) return []
  const { orphan, time, version } = event as Of<"Renamed" | "Unlinked">
  const lost = lostBy(step)
  const slot = lost === undefined ? -1 : tree.inodes.find(lost.ino)
  // Others may have given it another name meanwhile.
  if (lost === undefined || slot < 0 || tree.inodes.nlink[slot] !== 0) return []
  return orphan === undefined
    ? [{ _tag: "Reaped", inos: [lost.ino], version }]
    : [{ _tag: "Unlinked", ...lost, time, orphan, version }]
}

/** What lost a name by it, and which. */
const lostBy = (step: RemovedAhead | MovedAhead) => {
  if ("removed" in step) {
    const { ino, parent, name } = step.removed
    return { ino, parent, name }
  }
  const { replaced, toParent, toName } = step.moved
  return replaced && { ino: replaced.ino, parent: toParent, name: toName }
}

/** What others take a further name of, and this mount the one that it had: the workspace says what becomes of it. */
export const withheld = (tree: Tree, steps: ReadonlyArray<Step>, event: WorkspaceEvent): WorkspaceEvent => {
  if ((event._tag !== "Unlinked" && event._tag !== "Renamed") || event.orphan !== undefined) return event
  const ino = event._tag === "Unlinked" ? event.ino : inoNamed(tree, event.toParent, event.toName)
  const isLost = steps.some((step) => !isMade(step) && !("set" in step) && lostBy(step)?.ino === ino)
  return isLost ? { ...event, ...untilTold } : event
}

/** Whether an own event is this step. */
export const isStep = (step: Step, event: WorkspaceEvent): boolean => {
  if (isMade(step)) return event._tag === "Created" && isSame(step, event)
  return "turn" in event && event.turn === step.turn && "ino" in event && event.ino === inosOf(step)[0]
}

/** The number under which its session did ahead what the event says; 0 where it did not. */
export const turnOf = (event: WorkspaceEvent): number => {
  if (event._tag === "Created") return event.ino
  return "turn" in event ? (event.turn ?? 0) : 0
}

const isSame = (made: Made, event: Of<"Created">): boolean =>
  made.ino === event.ino &&
  made.parent === event.parent &&
  made.name === event.name &&
  made.type === event.type &&
  made.mode === event.mode &&
  made.uid === event.uid &&
  made.gid === event.gid &&
  made.rdev === event.rdev &&
  made.target === event.target &&
  made.time[0] === event.time[0] &&
  made.time[1] === event.time[1]

/** Whether what a session did that is over is not so: it was not told, or others have changed it since. */
export const isMissing = (tree: Tree, step: Step): boolean => {
  if (isMade(step)) return tree.inodes.find(step.ino) < 0
  if ("removed" in step) return inoNamed(tree, step.removed.parent, step.removed.name) === step.removed.ino
  if ("moved" in step) return inoNamed(tree, step.moved.parent, step.moved.name) === step.moved.ino
  const slot = tree.inodes.find(step.set.ino)
  const [s, ns] = step.set.ctime
  return slot >= 0 && (tree.inodes.ctime[slot] !== s || tree.inodes.ctimeNs[slot] !== ns)
}

/** Where it has to be lent that a name is taken away ahead; undefined where the workspace has to be asked. */
export const losing = (tree: Tree, parent: number, name: string): ReadonlyArray<number> | undefined => {
  const ino = inoNamed(tree, parent, name)
  if (ino === 0) return [parent]
  const slot = tree.inodes.find(ino)
  if (isDirectory(tree.inodes.mode[slot] as number)) return [parent, ino]
  // Of several names others may take one away at any moment.
  return tree.inodes.nlink[slot] === 1 ? [parent] : undefined
}

type Move = Pick<MovedAhead["moved"], "name" | "parent" | "toName" | "toParent">

/** A directory takes with it what is in it, and may be lent to others: only the workspace knows. */
export const isFileMoved = (tree: Tree, { parent, name, toParent, toName }: Move): boolean =>
  losing(tree, parent, name)?.length === 1 && losing(tree, toParent, toName)?.length === 1
