/** What the bytes of a test's file are at each place, so that writer and checker need not speak. */
export const patternAt = (file: number, offset: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = Math.imul(offset + at + file * 31, 2654435761) >>> 24
  return bytes
}
