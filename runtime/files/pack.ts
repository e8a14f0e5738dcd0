/** Puts small runs into one slice: a hundred scattered pages are one object, and one request to the store. */
import type { Buffers } from "./buffer.ts"
import type { DirtyFile } from "./file.ts"
import { type DirtyBlock, type Run, Slice } from "./slice.ts"

/** One slice of one block for runs that are small and whole in memory. */
export const pack = (file: DirtyFile, runs: ReadonlyArray<Run>, buffers: Buffers, isStaged: boolean): Slice => {
  const packed = new Slice(file, (runs[0] as Run).slice.chunk)
  for (const run of runs) {
    const block = run.slice.blocks[0] as DirtyBlock
    const bytes = block.bytes as Uint8Array
    const off = packed.length
    packed.put(off, bytes.subarray(0, run.length), buffers, isStaged)
    const into = packed.blocks[0] as DirtyBlock
    // Where one run is not staged the block is not, and stays in memory.
    if (block.extents === undefined) into.extents = undefined
    for (const extent of block.extents ?? []) into.extents?.push({ ...extent, off: extent.off + off })
    buffers.giveBack(bytes)
    block.bytes = undefined
    run.slice = packed
    run.off = off
    packed.runs.push(run)
  }
  return packed
}
