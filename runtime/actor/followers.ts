/** Two queries that every followed kind answers: its whole state in parts, and the entries behind a version. */
import { messageBytesMax } from "../../messages/limits.ts"
import type { Cell, HandedOut } from "./cell.ts"
import { type Delivery, failedText, okText } from "./delivery.ts"

/** What base64 and the answer around it leave of one message. */
const partBytes = Math.floor(((messageBytesMax - 16 * 1024) * 3) / 4)

/** What entries may take of one message. */
const sinceBytes = messageBytesMax - 16 * 1024

export const isFollowing = (name: string): boolean => name === "State" || name === "Since"

/** Undefined when the state has to be made ready first. */
export const tellFollower = (cell: Cell, delivery: Delivery): string | undefined => {
  const asked = parse(delivery.body)
  if (asked === undefined) return failedText({ _tag: "Malformed", why: `${delivery.name}: the body is not an object` })
  cell.tellsFollowers()
  return delivery.name === "State" ? state(cell, asked) : since(cell, asked)
}

/** What is told of an actor that rests in this version, or nothing when it has to be woken to tell. */
export const tellOfResting = (version: number, delivery: Delivery): string | undefined => {
  const asked = delivery.name === "Since" ? parse(delivery.body)?.version : undefined
  return isNatural(asked) && asked >= version ? okText(`{"version":${version},"entries":[]}`) : undefined
}

interface Asked {
  readonly version?: unknown
  readonly part?: unknown
}

const parse = (body: string): Asked | undefined => {
  try {
    const asked: unknown = JSON.parse(body === "" ? "{}" : body)
    return typeof asked === "object" && asked !== null ? asked : undefined
  } catch {
    return undefined
  }
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/**
 * Later parts are of the version that the first was of; when that is gone the follower begins again. A state that was
 * made for somebody else is good as long as what came behind it can still be told.
 */
const state = (cell: Cell, { part = 0, version }: Asked): string | undefined => {
  if (!isNatural(part)) return failedText({ _tag: "Malformed", why: "State: part is a number from 0 on" })
  const kept = cell.handedOut
  const from = cell.recent?.from ?? cell.version + 1
  const isKept = kept !== undefined && (part > 0 ? kept.version === version : kept.version + 1 >= from)
  if (!isKept) return undefined
  kept.at = cell.usedAt
  return partOf(kept, part)
}

export const firstPart = (kept: HandedOut): string => partOf(kept, 0)

const partOf = ({ version, size, blocks, bytes: all }: HandedOut, part: number): string => {
  const parts = Math.max(1, Math.ceil(all.length / partBytes))
  if (part >= parts) return failedText({ _tag: "Malformed", why: `State: there are ${parts} parts` })
  const bytes = Buffer.from(all.buffer, all.byteOffset + part * partBytes, partLength(all.length, part))
  const head = `"version":${version},"size":${size},"blocks":${blocks},"parts":${parts}`
  return okText(`{${head},"bytes":"${bytes.toString("base64")}"}`)
}

const partLength = (bytes: number, part: number): number => Math.min(partBytes, bytes - part * partBytes)

const since = (cell: Cell, { version }: Asked): string => {
  if (!isNatural(version)) return failedText({ _tag: "Malformed", why: "Since: version is a number from 0 on" })
  // What is decided and not committed is not told: `last` is the newest that nobody can take back.
  const last = cell.recent?.last ?? cell.version
  const entries = cell.recent?.since(version, sinceBytes)
  return okText(
    entries === undefined ? `{"version":${last},"forgotten":true}` : `{"version":${last},"entries":${entries}}`
  )
}
