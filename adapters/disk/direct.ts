/** Large objects go to the disk past the page cache: nobody reads them soon, and the copy costs more than the disk. */
import { constants, openSync } from "node:fs"
import { codeOf } from "./fault.ts"

/** Below this the page cache is quicker, and worth its room. */
const directBytesMin = 1024 * 1024

/** What any disk takes as a whole, and where the bytes have to begin in memory. */
const alignment = 4096

/** Linux has it; elsewhere everything goes through the page cache. */
const direct: number | undefined = constants.O_DIRECT

/** Whether it is worth trying: where memory begins cannot be known here, so it may be refused all the same. */
export const mayGoDirect = ({ byteOffset, length }: Uint8Array): boolean =>
  direct !== undefined && length >= directBytesMin && length % alignment === 0 && byteOffset % alignment === 0

/** Undefined where the file system does not do it. */
export const openDirect = (path: string): number | undefined => {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (direct ?? 0), 0o600)
  } catch (cause) {
    if (codeOf(cause) === "EINVAL") return undefined
    throw cause
  }
}
