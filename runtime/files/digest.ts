/** The xxh3-64 digest of a block's bytes, as sixteen hexadecimal digits. */
import { createXXHash3 } from "hash-wasm"

/**
 * Compiled once for the process. It is used in one piece each time, so there is nothing of one block left for
 * another.
 */
const hasher = await createXXHash3()

export const digestDigits = 16

export const digestOf = (bytes: Uint8Array): string => {
  hasher.init()
  hasher.update(bytes)
  return hasher.digest("hex")
}

/** Of a slice's digests in a row, the one of this block. */
export const digestAt = (digests: string, index: number): string =>
  digests.slice(index * digestDigits, (index + 1) * digestDigits)
