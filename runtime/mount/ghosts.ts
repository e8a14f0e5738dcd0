/**
 * Directories that have lost their name. Whether a process has one open, or works in it, only the kernel knows: so its
 * attributes stay until the kernel lets go of it.
 */
import { isDirectory } from "../../actors/workspace/tree/inodes.ts"
import { lookup } from "../../actors/workspace/tree/read.ts"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import type { Time } from "../../messages/inode.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Stat } from "../ports/mount.ts"
import { blankStat, fillStat } from "./stat.ts"

/** Those that the kernel never heard of are never let go of; the oldest of so many are. */
const keptMax = 1024

export class Ghosts {
  private readonly kept = new Map<number, Stat>()

  of(ino: number): Stat | undefined {
    return this.kept.get(ino)
  }

  /** The kernel has let go of it. */
  forget(ino: number): undefined {
    if (this.kept.size > 0) this.kept.delete(ino)
  }

  /** Looks at what is about to lose its name; the tree is the one from before the event. */
  heed(tree: Tree, event: WorkspaceEvent): void {
    if (event._tag === "Unlinked") this.keep(tree, tree.inodes.find(event.ino), event.time)
    else if (event._tag === "Renamed" && event.exchange !== true)
      this.keep(tree, lookup(tree, tree.inodes.find(event.toParent), event.toName), event.time)
  }

  private keep(tree: Tree, slot: number, [s, ns]: Time): void {
    if (slot < 0 || !isDirectory(tree.inodes.mode[slot] as number)) return
    this.add({ ...fillStat(blankStat(), tree, slot, undefined), ctimeS: s, ctimeNs: ns })
  }

  add(stat: Stat): void {
    this.kept.set(stat.ino, { ...stat, nlink: 0 })
    if (this.kept.size > keptMax) this.kept.delete(this.kept.keys().next().value as number)
  }
}
