/** What an organisation's account says and hears: its API keys and the registry of its workspaces. */
import { Schema } from "effect"
import { ActorId, Caller, Millis, OrgId, WorkspaceName } from "./ids.ts"
import { protocol } from "./protocol.ts"

const label = Schema.String.check(Schema.isMaxLength(200))
const hex = Schema.String.check(Schema.isPattern(/^[0-9a-f]{32,128}$/))

/** The public part of an API key: it names the key, and stands in subjects as `key-<id>`. */
export const KeyId = Schema.String.check(Schema.isPattern(/^[a-z0-9]{8,32}$/)).pipe(Schema.brand("KeyId"))
export type KeyId = typeof KeyId.Type

/** `admin` manages keys besides; `member` works with workspaces. */
export const Role = Schema.Literals(["admin", "member"])
export type Role = typeof Role.Type

/** What is kept of a key's secret. The secret itself never reaches an actor, a log or a disk. */
export const Verifier = Schema.Struct({
  algorithm: Schema.Literal("scrypt"),
  /** The cost parameters it was made with, so that they can grow without breaking older keys. */
  cost: Schema.Natural.check(Schema.isBetween({ minimum: 16_384, maximum: 1_048_576 })),
  blockSize: Schema.Natural.check(Schema.isBetween({ minimum: 8, maximum: 32 })),
  salt: hex,
  hash: hex
})
export type Verifier = typeof Verifier.Type

/** How files become objects: slices of chunks, or generations of inodes. */
export const Layout = Schema.Literals(["slices", "generations"])
export type Layout = typeof Layout.Type

/**
 * Where the bytes live: the operator's own store, or a bucket of the customer whose credentials stay on the
 * customer's hosts.
 */
export const Storage = Schema.TaggedUnion({
  Managed: {},
  Byo: {
    bucket: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)),
    endpoint: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s@]{1,255}$/))),
    region: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[a-z0-9-]{1,32}$/)))
  }
})
export type Storage = typeof Storage.Type

export const Workspace = Schema.Struct({
  /** The id of its actor. Never used again, also when another workspace takes the name. */
  id: ActorId,
  name: WorkspaceName,
  layout: Layout,
  storage: Storage,
  createdAt: Millis,
  createdBy: Caller,
  deletedAt: Schema.optionalKey(Millis),
  deletedBy: Schema.optionalKey(Caller)
})
export type Workspace = typeof Workspace.Type

/** What may be told of a key. */
export const KeyInfo = Schema.Struct({
  key: KeyId,
  label,
  role: Role,
  issuedAt: Millis,
  issuedBy: Caller,
  expiresAt: Schema.optionalKey(Millis),
  revokedAt: Schema.optionalKey(Millis)
})
export type KeyInfo = typeof KeyInfo.Type

const Organisation = Schema.Struct({
  org: OrgId,
  title: label,
  foundedAt: Millis,
  workspaces: Schema.Natural,
  keys: Schema.Natural
})

const page = { after: Schema.optionalKey(Schema.String), limit: Schema.optionalKey(Schema.Natural) }

export const account = protocol({
  kind: "account",
  commands: {
    FoundOrganisation: {
      input: Schema.Struct({ title: Schema.optionalKey(label) }),
      reply: Schema.Struct({ organisation: Organisation })
    },
    IssueKey: {
      input: Schema.Struct({
        key: KeyId,
        label,
        role: Role,
        verifier: Verifier,
        expiresAt: Schema.optionalKey(Millis)
      }),
      reply: Schema.Struct({ key: KeyInfo })
    },
    RevokeKey: { input: Schema.Struct({ key: KeyId }), reply: Schema.Struct({ key: KeyInfo }) },
    CreateWorkspace: {
      input: Schema.Struct({
        name: WorkspaceName,
        layout: Schema.optionalKey(Layout),
        storage: Schema.optionalKey(Storage)
      }),
      reply: Schema.Struct({ workspace: Workspace })
    },
    DeleteWorkspace: {
      input: Schema.Struct({ name: WorkspaceName }),
      reply: Schema.Struct({ workspace: Workspace })
    }
  },
  queries: {
    ShowOrganisation: { input: Schema.Struct({}), reply: Schema.Struct({ organisation: Organisation }) },
    ListKeys: {
      input: Schema.Struct(page),
      reply: Schema.Struct({ keys: Schema.Array(KeyInfo), more: Schema.Boolean })
    },
    /** For nodes alone, which compare a presented secret with it. */
    KeyVerifier: {
      input: Schema.Struct({ key: KeyId }),
      reply: Schema.Struct({ info: KeyInfo, verifier: Verifier })
    },
    ListWorkspaces: {
      input: Schema.Struct({ ...page, deleted: Schema.optionalKey(Schema.Boolean) }),
      reply: Schema.Struct({ workspaces: Schema.Array(Workspace), more: Schema.Boolean })
    },
    ShowWorkspace: {
      input: Schema.Struct({ name: WorkspaceName }),
      reply: Schema.Struct({ workspace: Workspace })
    }
  },
  refusal: Schema.TaggedUnion({
    NotFounded: { org: Schema.String },
    AlreadyFounded: { org: Schema.String },
    NameTaken: { name: Schema.String, existing: Workspace },
    NoSuchWorkspace: { name: Schema.String },
    KeyTaken: { key: Schema.String },
    NoSuchKey: { key: Schema.String },
    NotAllowed: { caller: Schema.String, why: Schema.String },
    TooMany: { what: Schema.String, max: Schema.Natural }
  }),
  event: Schema.TaggedUnion({
    OrganisationFounded: { title: label },
    KeyIssued: {
      key: KeyId,
      label,
      role: Role,
      verifier: Verifier,
      by: Caller,
      expiresAt: Schema.optionalKey(Millis)
    },
    KeyRevoked: { key: KeyId },
    WorkspaceCreated: { id: ActorId, name: WorkspaceName, layout: Layout, storage: Storage, by: Caller },
    WorkspaceDeleted: { name: WorkspaceName, by: Caller }
  })
})
export type Account = typeof account
