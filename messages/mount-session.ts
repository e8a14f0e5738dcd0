/** What a mount session says and hears: from its issue to its end, one actor a session. */
import { Schema } from "effect"
import { ActorId, Caller, Millis, OrgId, WorkspaceName } from "./ids.ts"
import { sessionLeastMs, sessionMostMs } from "./limits.ts"
import { protocol } from "./protocol.ts"

/** `ro` may ask and nothing else: the broker holds the credential to it. */
export const MountMode = Schema.Literals(["rw", "ro"])
export type MountMode = typeof MountMode.Type

/** For how long it lives without a sign of life. */
export const LifeMs = Schema.Int.check(Schema.isBetween({ minimum: sessionLeastMs, maximum: sessionMostMs }))

const Place = {
  host: Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,255}$/)),
  directory: Schema.String.check(Schema.isMaxLength(4096))
}

const Stage = Schema.Literals(["issued", "attached", "detached", "expired"])

export const Session = Schema.Struct({
  session: ActorId,
  org: OrgId,
  workspace: ActorId,
  name: WorkspaceName,
  mode: MountMode,
  stage: Stage,
  issuedAt: Millis,
  issuedBy: Caller,
  /** Without a heartbeat before this moment it expires. */
  expiresAt: Millis,
  lifeMs: Schema.optionalKey(LifeMs),
  host: Schema.optionalKey(Place.host),
  directory: Schema.optionalKey(Place.directory)
})
export type Session = typeof Session.Type

const told = Schema.Struct({ session: Session })

export const mountSession = protocol({
  kind: "mount-session",
  commands: {
    Issue: {
      input: Schema.Struct({
        org: OrgId,
        workspace: ActorId,
        name: WorkspaceName,
        mode: MountMode,
        lifeMs: Schema.optionalKey(LifeMs)
      }),
      reply: told
    },
    Attach: { input: Schema.Struct(Place), reply: told },
    Heartbeat: { input: Schema.Struct({}), reply: told },
    /** Others wait for it in vain: it expires unless its next sign of life comes in time. */
    Doubt: { input: Schema.Struct({}), reply: told },
    Detach: { input: Schema.Struct({}), reply: told }
  },
  queries: { Show: { input: Schema.Struct({}), reply: told } },
  refusal: Schema.TaggedUnion({
    NoSuchSession: { session: Schema.String },
    AlreadyIssued: { session: Schema.String },
    /** It was detached or has expired: what it had buffered is not committed over the work of others. */
    SessionOver: { session: Schema.String, stage: Stage },
    NotAllowed: { caller: Schema.String, why: Schema.String }
  }),
  event: Schema.TaggedUnion({
    SessionIssued: {
      org: OrgId,
      workspace: ActorId,
      name: WorkspaceName,
      mode: MountMode,
      by: Caller,
      expiresAt: Millis,
      lifeMs: Schema.optionalKey(LifeMs)
    },
    SessionAttached: { ...Place, expiresAt: Millis },
    SessionRenewed: { expiresAt: Millis },
    SessionDoubted: { expiresAt: Millis },
    SessionDetached: { workspace: ActorId },
    SessionExpired: { workspace: ActorId }
  })
})
export type MountSession = typeof mountSession
