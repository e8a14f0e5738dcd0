/**
 * Names between the kernel's bytes and strings. A byte that is not UTF-8 is the lone surrogate U+DCNN, as everywhere in
 * the system; it is spelled out here again because the thread that needs it must start without loading anything else.
 */

const replacement = "\ufffd"
const sequences = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const sequenceAt = (bytes: Buffer, at: number, end: number): string | undefined => {
  for (let length = 1; length <= 4 && at + length <= end; length++) {
    try {
      return sequences.decode(bytes.subarray(at, at + length))
    } catch {
      // Not a whole sequence: a longer one may be.
    }
  }
  return undefined
}

const careful = (bytes: Buffer, from: number, end: number): string => {
  let name = ""
  for (let at = from; at < end; ) {
    const sequence = sequenceAt(bytes, at, end)
    name += sequence ?? String.fromCharCode(0xdc00 + (bytes[at] ?? 0))
    at += sequence === undefined ? 1 : Buffer.byteLength(sequence)
  }
  return name
}

export const readName = (bytes: Buffer, from: number, end: number): string => {
  const name = bytes.toString("utf8", from, end)
  return name.includes(replacement) ? careful(bytes, from, end) : name
}

/** Where the NUL is that ends the name which begins here; a name without one is the kernel's mistake, or ours. */
export const nameEnd = (bytes: Buffer, from: number, end: number): number => {
  const at = bytes.indexOf(0, from)
  if (at < 0 || at >= end) throw new Error(`a name at byte ${from} of a request of ${end} bytes has no end`)
  return at
}

const surrogate = /[\ud800-\udfff]/

/** Puts a name where it belongs and tells its length in bytes; `bytes` has room for it. */
export const writeName = (bytes: Buffer, at: number, name: string): number => {
  if (!surrogate.test(name) || name.isWellFormed()) return bytes.write(name, at, "utf8")
  let to = at
  for (const part of name) {
    const code = part.codePointAt(0) ?? 0
    if (code < 0xdc80 || code > 0xdcff) to += bytes.write(part, to, "utf8")
    else bytes[to++] = code & 0xff
  }
  return to - at
}

/** At most three bytes for each unit of a string: room that is always enough. */
export const nameRoom = (name: string): number => name.length * 3
