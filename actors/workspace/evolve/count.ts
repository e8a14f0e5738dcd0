/** How many places use a slice, and what happens when none does any more. */
import type { Counting } from "../tree/extents.ts"
import type { Tree } from "../tree/tree.ts"

/** When it happened, and by which entry. */
export interface Death {
  readonly at: number
  readonly version: number
}

export const counting = (tree: Tree, death: Death): Counting => {
  const { slices, garbage } = tree
  return (slice, change) => {
    if (slices.use(slice, change) > 0) return
    garbage.push({
      id: slices.id[slice] as number,
      size: slices.size[slice] as number,
      ...death,
      home: slices.home.get(slice)
    })
    slices.remove(slice)
  }
}
