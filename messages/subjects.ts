/** Where a message goes: kind and id to shard, and both to the NATS subject that carries them. */
import { tokenPattern } from "./ids.ts"

/** `do` changes state, `ask` changes nothing. */
export type Verb = "do" | "ask"

export interface Address {
  readonly verb: Verb
  readonly kind: string
  readonly shard: number
  readonly id: string
  readonly caller: string
  readonly name: string
}

const root = "art.v1"
const offsetBasis = 0xcbf29ce484222325n
const prime = 0x100000001b3n

/** FNV-1a with 64 bits over `kind/id`, modulo the number of shards that the installation was created with. */
export const shardOf = (kind: string, id: string, shards: number): number => {
  let hash = offsetBasis
  for (const byte of Buffer.from(`${kind}/${id}`)) hash = ((hash ^ BigInt(byte)) * prime) & 0xffffffffffffffffn
  return Number(hash % BigInt(shards))
}

export const subjectOf = (address: Address): string =>
  `${root}.${address.verb}.${address.kind}.${address.shard}.${address.id}.${address.caller}.${address.name}`

/** What an owner of a shard listens to, for one verb. */
export const shardSubject = (verb: Verb, shard: number): string => `${root}.${verb}.*.${shard}.>`

/** Committed events of one actor, or of all that a `*` stands for. */
export const eventsSubject = (kind: string, shard: number | "*", id: string): string =>
  `${root}.on.${kind}.${shard}.${id}`

/** In the place of a session: all that have the workspace mounted. */
export const everyone = "all"

/** What one mount of a workspace tells another, or `everyone`, of how far it shows what was committed. */
export const seenSubject = (workspace: string, to: string, from: string): string =>
  `${root}.seen.${workspace}.${to}.${from}`

/** The journal of a shard in JetStream. */
export const logSubject = (shard: number): string => `${root}.log.${shard}`

/** Nodes tell each other here that shards are to be had. It may be lost: they look by themselves as well, and later. */
export const leasesSubject = `${root}.leases`

/** The address in a subject, or undefined when it is not one of ours. */
export const parseSubject = (subject: string): Address | undefined => {
  const [art, version, verb, kind, shard, id, caller, name, ...rest] = subject.split(".")
  if (art !== "art" || version !== "v1" || (verb !== "do" && verb !== "ask") || rest.length > 0) return undefined
  if (kind === undefined || id === undefined || caller === undefined || name === undefined) return undefined
  if (shard === undefined || !/^\d{1,5}$/.test(shard)) return undefined
  for (const token of [kind, id, caller, name]) if (!tokenPattern.test(token)) return undefined
  return { verb, kind, shard: Number(shard), id, caller, name }
}

/** What a connection of this caller may send to one actor: both verbs, or `ask` alone when it may only read. */
export const callerSubjects = (kind: string, shard: number | "*", id: string, caller: string, readOnly = false) =>
  (readOnly ? (["ask"] as const) : (["do", "ask"] as const)).map(
    (verb) => `${root}.${verb}.${kind}.${shard}.${id}.${caller}.>`
  )
