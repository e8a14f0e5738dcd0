/** The sizes that files are cut to: a file is chunks, and what is stored of one is blocks. */

/** A slice never crosses the edge of a chunk, so what is rewritten together stays small. */
export const chunkBytes = 64 * 1024 * 1024
/** One object: large enough for a store's throughput, small enough to be read whole for a part of it. */
export const blockBytesMax = 4 * 1024 * 1024
/** What Linux can address: a larger file could not be read back. */
export const fileBytesMax = Number.MAX_SAFE_INTEGER
