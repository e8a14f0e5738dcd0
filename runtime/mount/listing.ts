/** The entries of a directory, one by one, as the kernel lists them. */
import { parentOf, readDirectory } from "../../actors/workspace/tree/read.ts"
import type { Tree } from "../../actors/workspace/tree/tree.ts"
import type { Listed, Stat } from "../ports/mount.ts"
import type { Recent } from "./recent.ts"
import { fillStat } from "./stat.ts"
import type { Pending } from "./telling.ts"

export interface Manner {
  readonly entryMs: number
  readonly attrMs: number
  readonly pending: ReadonlyMap<number, Pending>
  readonly recent: Pick<Recent, "has">
  /** Filled again for each entry: it is encoded before the next one is taken. */
  readonly stat: Stat
  /** No more than this is asked for at once. */
  readonly takenMax: number
}

/** Places before the first name: `.` is 1 and `..` is 2, so a name's is its cursor and two more. */
const dots = 2

/** Yields from behind a place. What one reply does not take is asked for again. */
export function* list(tree: Tree, slot: number, offset: number, manner: Manner): Generator<Listed> {
  const { stat, pending, recent, entryMs, attrMs, takenMax } = manner
  const listed = { name: ".", next: 1, stat, entryMs, attrMs }
  const show = (name: string, next: number, child: number): Listed => {
    const ino = tree.inodes.ino[child] as number
    const waiting = pending.size === 0 ? undefined : pending.get(ino)
    fillStat(stat, tree, child, waiting)
    listed.name = name
    listed.next = next
    listed.attrMs = waiting !== undefined || recent.has(ino) ? 0 : attrMs
    return listed
  }
  if (offset < 1) yield show(".", 1, slot)
  if (offset < dots) {
    const parent = parentOf(tree, slot)
    yield show("..", dots, parent < 0 ? slot : parent)
  }
  const names: Array<string> = []
  const places: Array<number> = []
  const children: Array<number> = []
  readDirectory(tree, slot, Math.max(0, offset - dots), (name, cursor, child) => {
    names.push(name)
    places.push(cursor + dots)
    children.push(child)
    return names.length < takenMax
  })
  for (let at = 0; at < names.length; at++)
    yield show(names[at] as string, places[at] as number, children[at] as number)
}
