/** Ed25519 keys in the form that NATS gives them: base32 with a letter for the kind in front and a checksum behind. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto"

export type KeyKind = "operator" | "account" | "user"

const prefixes: Readonly<Record<KeyKind, number>> = { operator: 14 << 3, account: 0, user: 20 << 3 }
const seedPrefix = 18 << 3
const keyBytes = 32
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
// What surrounds a raw Ed25519 key in the DER forms that node:crypto reads.
const privateDer = Buffer.from("302e020100300506032b657004220420", "hex")
const publicDer = Buffer.from("302a300506032b6570032100", "hex")

export interface Nkey {
  readonly kind: KeyKind
  /** The name by which everybody knows the key. */
  readonly publicKey: string
  /** The secret from which the key is made again; it belongs into a file with mode 0600 and never into a log. */
  readonly seed: string
  readonly sign: (bytes: Uint8Array) => Buffer
}

const base32 = (bytes: Uint8Array): string => {
  let text = ""
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >> bits) & 31]
    }
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text
}

const unbase32 = (text: string): Buffer | undefined => {
  const bytes = Buffer.alloc((text.length * 5) >> 3)
  let bits = 0
  let value = 0
  let at = 0
  for (const letter of text) {
    const five = alphabet.indexOf(letter)
    if (five < 0) return undefined
    value = ((value << 5) | five) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (value >> bits) & 0xff
    }
  }
  return bytes
}

/** CRC-16 with the polynomial 0x1021 from zero, as NATS puts it behind its keys. */
const checksum = (bytes: Uint8Array): number => {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}

const seal = (bytes: Buffer): string => {
  const crc = checksum(bytes)
  return base32(Buffer.concat([bytes, Buffer.from([crc & 0xff, crc >> 8])]))
}

const unseal = (text: string, length: number): Buffer | undefined => {
  // The bound keeps a hostile name of a megabyte from being decoded first and refused then.
  const bytes = text.length > 80 ? undefined : unbase32(text)
  if (bytes === undefined || bytes.length !== length + 2) return undefined
  const body = bytes.subarray(0, length)
  return bytes.readUInt16LE(length) === checksum(body) && base32(bytes) === text ? body : undefined
}

const kindOf = (prefix: number): KeyKind | undefined =>
  (Object.keys(prefixes) as Array<KeyKind>).find((kind) => prefixes[kind] === prefix)

/** A key of this kind from 32 random bytes. */
export const nkeyOf = (kind: KeyKind, raw: Uint8Array): Nkey => {
  if (raw.length !== keyBytes) throw new Error(`a key is made of ${keyBytes} bytes, not of ${raw.length}`)
  const secret = createPrivateKey({ key: Buffer.concat([privateDer, raw]), format: "der", type: "pkcs8" })
  const der = createPublicKey(secret).export({ format: "der", type: "spki" })
  const prefix = prefixes[kind]
  const seedHead = [seedPrefix | (prefix >> 5), (prefix & 31) << 3]
  return {
    kind,
    publicKey: seal(Buffer.concat([Buffer.from([prefix]), der.subarray(publicDer.length)])),
    seed: seal(Buffer.concat([Buffer.from(seedHead), raw])),
    sign: (bytes) => sign(null, bytes, secret)
  }
}

/** The key of a seed, or undefined when the text is none. */
export const nkeyOfSeed = (seed: string): Nkey | undefined => {
  const bytes = unseal(seed.trim(), keyBytes + 2)
  if (bytes === undefined || ((bytes[0] as number) & 0xf8) !== seedPrefix) return undefined
  const kind = kindOf((((bytes[0] as number) & 7) << 5) | ((bytes[1] as number) >> 3))
  return kind === undefined ? undefined : nkeyOf(kind, bytes.subarray(2))
}

/** The kind of a public key, or undefined when the text is none. */
export const publicKeyKind = (publicKey: string): KeyKind | undefined => {
  const bytes = unseal(publicKey, keyBytes + 1)
  return bytes === undefined ? undefined : kindOf(bytes[0] as number)
}

const verifierOf = (publicKey: string): KeyObject | undefined => {
  const bytes = unseal(publicKey, keyBytes + 1)
  if (bytes === undefined) return undefined
  return createPublicKey({ key: Buffer.concat([publicDer, bytes.subarray(1)]), format: "der", type: "spki" })
}

/** Whether the owner of this public key signed these bytes. */
export const isSignedBy = (publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean => {
  const key = verifierOf(publicKey)
  return key !== undefined && signature.length === 64 && verify(null, bytes, key, signature)
}
