/** Reads a stream wherever it is: in memory, where its partition may have to be read first, or at its owner. */
import type { Part, StoredPart } from "../../actors/stream-partition/payload.ts"
import type { StreamInfo, Wire } from "../../messages/stream-partition.ts"
import type { Here, Outcome, Partitions, Refusal } from "./partitions.ts"
import { isPage, type Range, read } from "./read.ts"

/** What a response is made of. */
export interface Sheet {
  readonly key: string
  readonly contentType: string
  readonly createdAt: number
  readonly ttlS: number | undefined
  readonly expiresAt: string | undefined
  /** 0 when it is not known here. */
  readonly touchedAt: number
  readonly tail: number
  readonly closed: boolean
  readonly from: number
  readonly next: number
  readonly parts: ReadonlyArray<Part>
  /** The digest of all up to the tail, of a stream with a proof. */
  readonly proof: string | undefined
  /** Undefined when another node serves it: then it is committed already. */
  readonly here: Here | undefined
  /** News of the stream come to this node. */
  readonly isHeard: boolean
}

export type Opened =
  | Sheet
  | { readonly absent: "missing" | "gone" }
  | { readonly floor: number }
  | { readonly failed: Exclude<Outcome, { readonly ok: unknown }> }

/** A partition that was put away is read again by the first question to it; then it is in memory. */
const attemptsMax = 8

export const open = (partitions: Partitions, key: string, range: Range, done: (opened: Opened) => void): void =>
  attempt(partitions, key, range, {
    done,
    left: attemptsMax,
    // What the news say is committed has been folded: it has to be there.
    fresh: new Set(range.to === undefined ? [] : [partitions.of(key)])
  })

interface Attempt {
  readonly done: (opened: Opened) => void
  readonly left: number
  /** Partitions of other nodes whose folds are known to be as the partitions were when this began, or later. */
  readonly fresh: Set<number>
}

const attempt = (partitions: Partitions, key: string, range: Range, tried: Attempt): void => {
  const { done, left, fresh } = tried
  const reading = read(partitions, key, range, fresh)
  if (isPage(reading)) {
    const { stream, from, next, parts, tail, closed, here } = reading
    const { contentType, createdAt, ttlS, expiresAt, touchedAt } = stream
    const proof = stream.proof?.digest
    const rest = { touchedAt, tail, closed, from, next, parts, proof, here, isHeard: true }
    return done({ key, contentType, createdAt, ttlS, expiresAt, ...rest })
  }
  if (!("away" in reading)) return done(reading)
  const { away } = reading
  if (left === 0) return fromOwner(partitions, key, range, done)
  if (!partitions.isServedHere(away)) return folded(partitions, key, range, { ...tried, away })
  // Whatever it answers, it is in memory then.
  partitions.ask(away, { _tag: "ShowStream", stream: key }, "node", (outcome) => {
    if ("ok" in outcome || "refused" in outcome) attempt(partitions, key, range, { ...tried, left: left - 1 })
    else done({ failed: outcome })
  })
}

const storedOf = ({ size, segment }: Wire, object: string): StoredPart => {
  if (segment === undefined) return { object, size, skip: 0 }
  const { skip, ...place } = segment
  return { object, size, skip, segment: place }
}

/** From what this node has folded, when that is known to be new enough; else the owner is asked for the data itself. */
const folded = (
  partitions: Partitions,
  key: string,
  range: Range,
  { away, ...tried }: Attempt & { readonly away: number }
): void => {
  const { replicas } = partitions
  if (replicas === undefined) return fromOwner(partitions, key, range, tried.done)
  replicas.refresh(away, (isFresh) => {
    if (!isFresh) return fromOwner(partitions, key, range, tried.done)
    tried.fresh.add(away)
    attempt(partitions, key, range, { ...tried, left: tried.left - 1 })
  })
}

/** Already encoded parts of a read of another node. */
const partOf = (wire: Wire): Part =>
  wire.object !== undefined
    ? storedOf(wire, wire.object)
    : Buffer.from(wire.text ?? wire.base64 ?? "", wire.text === undefined ? "base64" : "utf8")

interface Told {
  readonly info: StreamInfo
  readonly from: number
  readonly next: number
  readonly wires: ReadonlyArray<Wire>
}

interface Source {
  readonly key: string
  readonly upTo: number
}

/** From the stream's owner, or from the owner of the source that has what a fork shares with it. */
const fromOwner = (partitions: Partitions, key: string, range: Range, done: (opened: Opened) => void): void => {
  const ask = (asked: string, source: Source | undefined, use: (told: Told) => void): void => {
    const query = {
      ...{ _tag: "ReadStream" as const, stream: asked, from: range.from },
      ...(source !== undefined && { sharedUpTo: source.upTo })
    }
    partitions.ask(partitions.of(asked), query, "node", (outcome) => {
      if (!("ok" in outcome)) return done(absent(outcome))
      const told = outcome.ok as Told
      const { forkedFrom } = told.info
      if (forkedFrom === undefined || range.from >= forkedFrom.offset) return use(told)
      const upTo = Math.min(forkedFrom.offset, source?.upTo ?? forkedFrom.offset)
      ask(forkedFrom.source, { key: forkedFrom.source, upTo }, (shared) => use({ ...shared, info: told.info }))
    })
  }
  ask(key, undefined, ({ info, from, next, wires }) => {
    const { contentType, createdAt, ttlS, expiresAt, tail, closed } = info
    const rest = {
      touchedAt: 0,
      tail,
      closed,
      from: Math.min(from, tail),
      next,
      parts: wires.map(partOf),
      proof: info.proof
    }
    done({ key, contentType, createdAt, ttlS, expiresAt, ...rest, here: undefined, isHeard: false })
  })
}

const absent = (outcome: Exclude<Outcome, { readonly ok: unknown }>): Opened => {
  const refused: Refusal | undefined = "refused" in outcome ? outcome.refused : undefined
  if (refused?._tag === "NoSuchStream") return { absent: "missing" }
  if (refused?._tag === "StreamGone") return { absent: "gone" }
  if (refused?._tag === "BelowFloor") return { floor: refused.floor }
  return { failed: outcome }
}

export const isSheet = (opened: Opened): opened is Sheet => "parts" in opened
