/** The hash chain of a stream that has one: each append is bound to all before it, by a digest that can be redone. */
import { ownKey } from "../../messages/stream.ts"
import type { Payload, Wire } from "../../messages/stream-partition.ts"
import { sha256 } from "./sha256.ts"
import type { Stream } from "./state.ts"

export interface Anchor {
  readonly offset: number
  readonly digest: string
}

/** The digest of everything up to the tail, and those of some places before, from which a reader may begin. */
export interface Proof {
  digest: string
  anchors: Array<Anchor>
  /** Bytes between anchors. */
  every: number
}

const everyFirst = 64 * 1024
/** Beyond this every second one is dropped: what is kept of a stream does not grow with it. */
const anchorsMax = 32

/** Where a chain begins: with whose it is. */
export const originOf = (key: string, createdAt: number, offset: number): string =>
  sha256(Buffer.from(`stream-proof-1\n${ownKey(key)}\n${createdAt}\n${offset}`)).toString("hex")

const link = Buffer.alloc(72)

/** SHA-256 over the digest before, the offset in eight bytes, and the SHA-256 of what was appended. */
export const linkOf = (before: string, offset: number, leaf: Buffer | string): string => {
  link.write(before, 0, "hex")
  link.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), 32)
  link.writeUInt32BE(offset >>> 0, 36)
  if (typeof leaf === "string") link.write(leaf, 40, "hex")
  else leaf.copy(link, 40)
  return sha256(link).toString("hex")
}

export const beginProof = (key: string, createdAt: number, offset: number): Proof => {
  const digest = originOf(key, createdAt, offset)
  return { digest, anchors: [{ offset, digest }], every: everyFirst }
}

/** After the append is in the stream's data. The digest of what is stored as an object came with it. */
export const extendProof = ({ proof, data }: Stream, from: number, { size, sha256: stored }: Wire): void => {
  if (proof === undefined) return
  const [bytes] = data?.parts(from, from + size) ?? []
  const leaf = Buffer.isBuffer(bytes) ? sha256(bytes) : (stored ?? "")
  proof.digest = linkOf(proof.digest, from, leaf)
  const end = from + size
  if (end - (proof.anchors.at(-1)?.offset ?? 0) < proof.every) return
  proof.anchors.push({ offset: end, digest: proof.digest })
  if (proof.anchors.length <= anchorsMax) return
  proof.anchors = proof.anchors.filter((_, index) => index % 2 === 0)
  proof.every *= 2
}

/** Before the floor is raised. An anchor there is made of the one before it, when all between them is in memory. */
export const raiseProof = ({ proof, data, tail }: Stream, floor: number): void => {
  if (proof === undefined) return
  const before = proof.anchors.findLast(({ offset }) => offset <= floor)
  const made = before === undefined || data === undefined ? undefined : redo(data, before, floor)
  const kept = proof.anchors.filter(({ offset }) => offset >= floor)
  if (made !== undefined && kept[0]?.offset !== floor) kept.unshift({ offset: floor, digest: made })
  // Without any there is still the tail: what comes behind it can be proven.
  proof.anchors = kept.length > 0 ? kept : [{ offset: tail, digest: proof.digest }]
}

const redo = (data: NonNullable<Stream["data"]>, { offset, digest }: Anchor, to: number): string | undefined => {
  let made = digest
  for (let at = offset; at < to; ) {
    const unit = data.unitAt(at)
    const [bytes] = unit === undefined ? [] : data.parts(unit.from, unit.end)
    if (unit === undefined || unit.from !== at || !Buffer.isBuffer(bytes)) return undefined
    made = linkOf(made, at, sha256(bytes))
    at = unit.end
  }
  return made
}

/** What is stored as an object is not at hand to be hashed: its digest has to come with it. */
export const lacksDigest = (wire: { readonly object?: unknown; readonly sha256?: string } | undefined): boolean =>
  wire?.object !== undefined && wire.sha256 === undefined

/** Why this may not be appended to a stream with a proof, or nothing when it may. */
export const proofFault = ({ proof }: Stream, body: Payload | undefined): { readonly _tag: "NoProof" } | undefined =>
  proof !== undefined && body?.object !== undefined && body.object.sha256 === undefined
    ? { _tag: "NoProof" }
    : undefined

export const tellProof = ({ proof, createdAt, tail }: Stream) =>
  proof === undefined
    ? { refused: { _tag: "NoProof" as const } }
    : { reply: { createdAt, tail, digest: proof.digest, anchors: proof.anchors } }
