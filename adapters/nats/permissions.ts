/** What a connection may publish and listen to, in our words and in those of a NATS user JWT. */
import { callerSubjects, eventsSubject, everyone, seenSubject } from "../../messages/subjects.ts"

/** Without `allow`, everything that is not denied; with it, nothing else. */
export interface Allowance {
  readonly allow?: ReadonlyArray<string>
  readonly deny?: ReadonlyArray<string>
}

export interface Permissions {
  readonly publish?: Allowance
  readonly subscribe?: Allowance
  /** It may answer each request that reaches it: so many messages, within so long. */
  readonly responses?: { readonly max: number; readonly ttlMs: number }
}

/** The same as a NATS server reads it: `ttl` counts nanoseconds. */
export interface PermissionClaims {
  readonly pub?: Allowance
  readonly sub?: Allowance
  readonly resp?: { readonly max?: number; readonly ttl?: number }
}

const nanosPerMilli = 1_000_000
/** What NATS takes where a JWT says nothing, or zero. */
const responsesMaxDefault = 1
const responsesTtlMsDefault = 120_000

export const toClaims = (permissions: Permissions): PermissionClaims => ({
  pub: permissions.publish ?? {},
  sub: permissions.subscribe ?? {},
  ...(permissions.responses === undefined
    ? {}
    : { resp: { max: permissions.responses.max, ttl: permissions.responses.ttlMs * nanosPerMilli } })
})

const hasWords = (allowance: Allowance | undefined): allowance is Allowance =>
  (allowance?.allow?.length ?? 0) > 0 || (allowance?.deny?.length ?? 0) > 0

/** An empty list in a JWT means that nothing was said, as it does for a NATS server. */
const allowanceOf = ({ allow, deny }: Allowance): Allowance => ({
  ...(allow !== undefined && allow.length > 0 ? { allow } : {}),
  ...(deny !== undefined && deny.length > 0 ? { deny } : {})
})

/** With `resp` alone a NATS server lets a connection publish replies and nothing else: so do we. */
export const fromClaims = ({ pub, sub, resp }: PermissionClaims): Permissions => ({
  ...(hasWords(pub) ? { publish: allowanceOf(pub) } : resp !== undefined ? { publish: { allow: [] } } : {}),
  ...(hasWords(sub) ? { subscribe: allowanceOf(sub) } : {}),
  ...(resp === undefined
    ? {}
    : {
        responses: {
          max: resp.max || responsesMaxDefault,
          ttlMs: resp.ttl ? resp.ttl / nanosPerMilli : responsesTtlMsDefault
        }
      })
})

/** Where the answers for one user arrive. It is the user's own, so that no other can listen to them. */
export const inboxPrefixOf = (user: string): string => `_INBOX.${user}`

export interface Target {
  readonly kind: string
  readonly shard: number | "*"
  readonly id: string
  /** It may ask, and change nothing. */
  readonly readOnly?: boolean
  /** It may listen to what is committed there. */
  readonly events?: boolean
  /** It shows what is committed there: it tells others who do how far it has come, in its own name, and hears them. */
  readonly shows?: boolean
}

/** Permissions of a caller: its own subjects of these actors, and the inbox that belongs to `user` alone. */
export const callerPermissions = (caller: string, user: string, targets: ReadonlyArray<Target>): Permissions => ({
  publish: {
    allow: targets.flatMap(({ kind, shard, id, readOnly, shows }) => [
      ...callerSubjects(kind, shard, id, caller, readOnly),
      ...(shows === true ? [seenSubject(id, "*", caller)] : [])
    ])
  },
  subscribe: {
    allow: [
      `${inboxPrefixOf(user)}.>`,
      ...targets.flatMap(({ kind, shard, id, events, shows }) => [
        ...(events === true ? [shard === "*" ? `art.v1.on.${kind}.*.${id}` : eventsSubject(kind, shard, id)] : []),
        ...(shows === true ? [seenSubject(id, caller, "*"), seenSubject(id, everyone, "*")] : [])
      ])
    ]
  }
})
