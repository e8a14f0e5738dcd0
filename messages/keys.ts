/** What an object key may be, and the order of keys: one law for every store, so that data can move between them. */

/** Object stores stop at 1024 bytes; what is left is for the prefix that a deployment puts before its keys. */
export const keyBytesMax = 900

/** Common file systems stop at 255 bytes a name, and a key must be storable as a path. */
export const segmentBytesMax = 250

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what cannot travel in a store's XML.
const unprintable = /[\x00-\x1f\x7f\ufffe\uffff]/

const bytesOf = (text: string): number => Buffer.byteLength(text, "utf8")

/** Why this may not be an object's key, or nothing when it may. */
export const keyFault = (key: string): string | undefined => {
  if (key.length === 0) return "a key may not be empty"
  if (!key.isWellFormed()) return "a key has to be well-formed Unicode"
  if (unprintable.test(key)) return "a key may not hold control characters"
  if (bytesOf(key) > keyBytesMax) return `a key may have ${keyBytesMax} bytes at most`
  for (const segment of key.split("/")) {
    if (segment.length === 0) return "a key may not begin or end with a slash, nor hold two in a row"
    if (segment.startsWith(".")) return `a part of a key may not begin with a dot: ${JSON.stringify(segment)}`
    if (bytesOf(segment) > segmentBytesMax) return `a part of a key may have ${segmentBytesMax} bytes at most`
  }
  return undefined
}

const surrogate = /[\ud800-\udfff]/

/** Orders keys by their UTF-8 bytes, as object stores do: UTF-16 order differs once surrogate pairs are about. */
export const compareKeys = (a: string, b: string): number => {
  if (surrogate.test(a) || surrogate.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : a > b ? 1 : 0
}
