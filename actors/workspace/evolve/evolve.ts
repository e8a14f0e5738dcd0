/** How a workspace changes: total over its events, in place, and the same in every replica. */
import type { WorkspaceEvent } from "../../../messages/workspace-events.ts"
import { typeMask } from "../tree/inodes.ts"
import type { Tree } from "../tree/tree.ts"
import { allocate, copy, truncate, write } from "./bytes.ts"
import { changeLoans } from "./loans.ts"
import { create, link, rename, setAtime, setCtime, setMtime, unlink } from "./names.ts"
import { abandonSlices, changeLock, endSession, hold, letGoOf, reap } from "./sessions.ts"

type Of<Tag extends WorkspaceEvent["_tag"]> = Extract<WorkspaceEvent, { readonly _tag: Tag }>

export const evolve = (tree: Tree, event: WorkspaceEvent, at: number): Tree => {
  switch (event._tag) {
    case "Created":
      create(tree, event)
      break
    case "Linked":
      link(tree, event)
      break
    case "Unlinked":
      unlink(tree, event, at)
      break
    case "Renamed":
      rename(tree, event, at)
      break
    case "Written":
      write(tree, event, at)
      break
    case "Truncated":
      truncate(tree, event, at)
      break
    case "Copied":
      copy(tree, event, at)
      break
    case "Fallocated":
      allocate(tree, event, at)
      break
    case "AttributesSet":
      setAttributes(tree, event)
      break
    case "XattrSet":
    case "XattrRemoved":
      setXattr(tree, event)
      break
    default:
      evolveService(tree, event, at)
  }
  return tree
}

type Service = Exclude<
  WorkspaceEvent,
  | Of<"Created" | "Linked" | "Unlinked" | "Renamed" | "Written" | "Truncated" | "Copied" | "Fallocated">
  | Of<"AttributesSet" | "XattrSet" | "XattrRemoved">
>

/** What is not of the tree itself. */
const evolveService = (tree: Tree, event: Service, at: number): void => {
  switch (event._tag) {
    case "Configured":
      tree.layout = event.layout ?? tree.layout
      tree.bytesMax = event.bytesMax ?? tree.bytesMax
      tree.entriesMax = event.entriesMax ?? tree.entriesMax
      break
    case "SessionBegan":
      tree.sessions.set(event.session, { mode: event.mode, host: event.host, began: at })
      break
    case "SessionEnded":
      endSession(tree, event, at)
      break
    case "Held":
      hold(tree, event)
      break
    case "Released":
      letGoOf(tree, event)
      break
    case "Reaped":
      reap(tree, event, at)
      break
    case "Locked":
    case "LockQueued":
    case "Unlocked":
    case "LockCancelled":
      changeLock(tree, event)
      break
    case "Lent":
    case "Recalled":
    case "Returned":
    case "Doubted":
    case "InosReserved":
      changeLoans(tree, event, at)
      break
    case "SlicesReserved":
      tree.reservations.add({ ...event, at })
      break
    case "SlicesAbandoned":
      abandonSlices(tree, event, at)
      break
    case "Collected":
      for (const sequence of event.sequences) tree.garbage.collect(sequence)
      break
  }
}

const setAttributes = (tree: Tree, event: Of<"AttributesSet">): void => {
  const { inodes } = tree
  if (event.turn !== undefined) tree.loans.use(event.turn)
  const slot = inodes.find(event.ino)
  if (slot < 0) return
  inodes.keep(slot)
  if (event.mode !== undefined) inodes.mode[slot] = ((inodes.mode[slot] as number) & typeMask) | event.mode
  if (event.uid !== undefined) inodes.uid[slot] = event.uid
  if (event.gid !== undefined) inodes.gid[slot] = event.gid
  if (event.atime !== undefined) setAtime(tree, slot, event.atime)
  if (event.mtime !== undefined) setMtime(tree, slot, event.mtime)
  setCtime(tree, slot, event.ctime)
}

const setXattr = (tree: Tree, event: Of<"XattrSet" | "XattrRemoved">): void => {
  const slot = tree.inodes.find(event.ino)
  if (slot < 0) return
  tree.inodes.keep(slot)
  const kept = tree.xattrs.get(event.ino) ?? new Map<string, string>()
  if (event._tag === "XattrSet") kept.set(event.name, event.value)
  else kept.delete(event.name)
  if (kept.size === 0) tree.xattrs.delete(event.ino)
  else tree.xattrs.set(event.ino, kept)
  setCtime(tree, slot, event.time)
}
