/** SHA-256 as FIPS 180-4 has it, for deciders, which know no library: the digest of bytes, of which none are kept. */

const primes = (count: number): Array<number> => {
  const found: Array<number> = []
  for (let each = 2; found.length < count; each++) if (found.every((prime) => each % prime !== 0)) found.push(each)
  return found
}

/** The first 32 bits behind the point. */
const fraction = (value: number): number => ((value - Math.floor(value)) * 0x1_0000_0000) | 0

const rounds = Int32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)))
const initial = Int32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)))

const words = new Int32Array(64)
const state = new Int32Array(8)
const last = Buffer.alloc(128)

const spread = (bytes: Uint8Array, at: number): void => {
  for (let n = 0, place = at; n < 16; n++, place += 4)
    words[n] =
      ((bytes[place] as number) << 24) |
      ((bytes[place + 1] as number) << 16) |
      ((bytes[place + 2] as number) << 8) |
      (bytes[place + 3] as number)
  for (let n = 16; n < 64; n++) {
    const x = words[n - 15] as number
    const y = words[n - 2] as number
    const small = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const large = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    words[n] = ((words[n - 16] as number) + small + (words[n - 7] as number) + large) | 0
  }
}

/** Takes one block of 64 bytes into the state. */
const compress = (bytes: Uint8Array, at: number): void => {
  spread(bytes, at)
  let a = state[0] as number
  let b = state[1] as number
  let c = state[2] as number
  let d = state[3] as number
  let e = state[4] as number
  let f = state[5] as number
  let g = state[6] as number
  let h = state[7] as number
  for (let n = 0; n < 64; n++) {
    const turnE = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const one = (h + turnE + ((e & f) ^ (~e & g)) + (rounds[n] as number) + (words[n] as number)) | 0
    const turnA = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const two = (turnA + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + one) | 0
    d = c
    c = b
    b = a
    a = (one + two) | 0
  }
  state[0] = (state[0] as number) + a
  state[1] = (state[1] as number) + b
  state[2] = (state[2] as number) + c
  state[3] = (state[3] as number) + d
  state[4] = (state[4] as number) + e
  state[5] = (state[5] as number) + f
  state[6] = (state[6] as number) + g
  state[7] = (state[7] as number) + h
}

export const sha256 = (bytes: Uint8Array): Buffer => {
  state.set(initial)
  const whole = bytes.length - (bytes.length % 64)
  for (let at = 0; at < whole; at += 64) compress(bytes, at)
  const rest = bytes.length - whole
  last.fill(0)
  last.set(bytes.subarray(whole))
  last[rest] = 0x80
  const end = rest < 56 ? 64 : 128
  last.writeUIntBE(bytes.length * 8, end - 6, 6)
  for (let at = 0; at < end; at += 64) compress(last, at)
  const digest = Buffer.allocUnsafe(32)
  for (let n = 0; n < 8; n++) digest.writeInt32BE(state[n] as number, 4 * n)
  return digest
}
