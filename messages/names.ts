/**
 * Names as bytes, and the root that paths begin at. Nothing is loaded for them: the thread of a mount that answers the
 * kernel has them too.
 */

/** Numbers are given out from 1, the root, and never again. */
export const rootIno = 1

/** Linux refuses longer names; tools rely on being told so. */
export const nameBytesMax = 255

/** How many bytes a name has, or -1 when it has a surrogate that stands for no byte. */
export const bytesOfName = (name: string): number => {
  let bytes = 0
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code < 0x80) bytes += 1
    else if (code < 0x800) bytes += 2
    else if (code < 0xd800 || code > 0xdfff) bytes += 3
    else if (code < 0xdc00 && (name.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      bytes += 4
      at++
    } else if (code >= 0xdc80 && code <= 0xdcff) bytes += 1
    else return -1
  }
  return bytes
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The bytes of a name: lone surrogates become the bytes that they stand for. */
export const encodeName = (name: string): Uint8Array => {
  if (name.isWellFormed()) return Buffer.from(name, "utf8")
  const pieces: Array<Uint8Array> = []
  let from = 0
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code < 0xd800 || code > 0xdfff) continue
    if (code < 0xdc00 && (name.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      at++
      continue
    }
    pieces.push(Buffer.from(name.slice(from, at), "utf8"), Uint8Array.of(code & 0xff))
    from = at + 1
  }
  pieces.push(Buffer.from(name.slice(from), "utf8"))
  return Buffer.concat(pieces)
}

/** How long the UTF-8 sequence is that begins here, or 0 when none does. */
const sequenceAt = (bytes: Uint8Array, at: number): number => {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length <= 1 || at + length > bytes.length) return length === 1 ? 1 : 0
  try {
    utf8.decode(bytes.subarray(at, at + length))
    return length
  } catch {
    return 0
  }
}

/** The name that these bytes are. */
export const decodeName = (bytes: Uint8Array): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    let name = ""
    for (let at = 0; at < bytes.length; ) {
      const length = sequenceAt(bytes, at)
      name +=
        length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : utf8.decode(bytes.subarray(at, at + length))
      at += Math.max(length, 1)
    }
    return name
  }
}
