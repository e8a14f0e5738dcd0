/** Large objects go to the disk past the page cache: nobody reads them soon, and the copy costs more than the disk. */
import { constants, open } from "node:fs"
import { unlink } from "node:fs/promises"
import { promisify } from "node:util"
import { codeOf } from "./fault.ts"

/** Below this the page cache is quicker, and worth its room. */
const directBytesMin = 1024 * 1024

/** What any disk takes as a whole, and where the bytes have to begin in memory. */
const alignment = 4096

/** Linux has it; elsewhere everything goes through the page cache. */
const direct: number | undefined = constants.O_DIRECT

const openLater = promisify(open)

/** Whether it is worth trying: where memory begins cannot be known here, so it may be refused all the same. */
export const mayGoDirect = ({ byteOffset, length }: Uint8Array): boolean =>
  direct !== undefined && length >= directBytesMin && length % alignment === 0 && byteOffset % alignment === 0

/** Undefined where the file system does not do it. */
export const openDirect = async (path: string): Promise<number | undefined> => {
  try {
    return await openLater(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (direct ?? 0), 0o600)
  } catch (cause) {
    if (codeOf(cause) !== "EINVAL") throw cause
    // The file is made before it is found that it cannot be opened so.
    await unlink(path).catch(() => undefined)
    return undefined
  }
}
