/** A tree written out so that two of them can be compared, whatever slots their parts lie in. */
import { attributes, extentsOf } from "../../actors/workspace/tree/read.ts"
import { directoryOf, type Tree } from "../../actors/workspace/tree/tree.ts"

export const dump = (tree: Tree) => {
  const { inodes, names, slices, garbage } = tree
  const all: Array<unknown> = []
  const uses = new Map<number, number>()
  for (let slot = 0; slot < inodes.top; slot++) {
    const ino = inodes.ino[slot] as number
    if (ino === 0) continue
    const list = directoryOf(tree, slot)
    const extents = extentsOf(tree, slot)
    const parts: Array<unknown> = []
    for (let at = 0; at < extents.length; at += 4) {
      const slice = extents[at + 1] as number
      uses.set(slice, (uses.get(slice) ?? 0) + 1)
      const { id, size, home } = slices
      parts.push([
        extents[at],
        id[slice],
        size[slice],
        slices.digestsOf(slice),
        home.get(slice),
        ...extents.slice(at + 2, at + 4)
      ])
    }
    const entries = (list?.order ?? [])
      .filter((entry) => names.childOf(entry) >= 0)
      .map((entry) => [names.name[entry], names.cursor[entry], inodes.ino[names.childOf(entry)]])
    const body = inodes.body[slot]
    all.push({
      ...attributes(tree, slot),
      target: typeof body === "string" ? body : undefined,
      directory: list && { parent: list.parent, cursor: list.cursor, entries },
      parts,
      xattrs: [...(tree.xattrs.get(ino) ?? [])].sort()
    })
  }
  for (let slot = 0; slot < slices.top; slot++) {
    if (slices.id[slot] === 0) continue
    if (slices.uses[slot] !== uses.get(slot))
      throw new Error(`slice ${slices.id[slot]} counts ${slices.uses[slot]} uses and has ${uses.get(slot)}`)
  }
  if (uses.size !== slices.live) throw new Error(`${slices.live} slices live and ${uses.size} are used`)
  return {
    inodes: all.sort((a, b) => (a as { ino: number }).ino - (b as { ino: number }).ino),
    live: [inodes.live, names.live, slices.live],
    garbage: [...garbage.list(-1, Number.MAX_SAFE_INTEGER)],
    garbageNext: garbage.next,
    reservations: tree.reservations.list.map((one) => ({ ...one, used: [...one.used] })),
    counters: [tree.nextIno, tree.nextToken, tree.nextTicket, tree.reservations.next, tree.bytes],
    limits: [tree.layout, tree.bytesMax, tree.entriesMax],
    orphans: [...tree.orphans].map(([ino, { until, holders, nameless }]) => [ino, until, [...holders], nameless]),
    doomed: [...tree.doomed],
    sessions: [...tree.sessions].map(([session, { mode, host, began }]) => [session, mode, host, began]),
    locks: [...tree.locks],
    loans: [...tree.loans.all].map(([ino, loan]) => [ino, { ...loan }] as const).sort(([a], [b]) => a - b),
    inos: [...tree.loans.borrowers]
      .map(([session, { ranges }]) => [session, ranges.map((range) => [...range])] as const)
      .filter(([, ranges]) => ranges.length > 0)
      .sort(),
    stalled: [...tree.stalled].sort()
  }
}
