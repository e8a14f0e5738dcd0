/** Branded identifiers: every one is a single NATS subject token, so it can stand in a subject without escaping. */
import { Schema } from "effect"

/** Letters, digits, underscore and hyphen: safe in a NATS subject, an object key, a file name and a URL. */
export const tokenPattern = /^[A-Za-z0-9_-]{1,128}$/

const token = Schema.String.check(Schema.isPattern(tokenPattern))

/** The id of one actor within its kind, for example an organisation's name for an account. */
export const ActorId = token.pipe(Schema.brand("ActorId"))
export type ActorId = typeof ActorId.Type

/** Who asks. It stands in the subject, where the broker can hold a connection to it. */
export const Caller = token.pipe(Schema.brand("Caller"))
export type Caller = typeof Caller.Type

/** Chosen by whoever sends the command; a retry repeats it, and so is answered once. */
export const CommandId = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,200}$/)).pipe(Schema.brand("CommandId"))
export type CommandId = typeof CommandId.Type

/** An organisation: the first segment of its object keys and the id of its account actor. */
export const OrgId = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,62}$/)).pipe(Schema.brand("OrgId"))
export type OrgId = typeof OrgId.Type

/** What a person calls a workspace; unique within its organisation while the workspace lives. */
export const WorkspaceName = Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/)).pipe(
  Schema.brand("WorkspaceName")
)
export type WorkspaceName = typeof WorkspaceName.Type

/** Milliseconds since the Unix epoch, as the journal and the wire carry time. */
export const Millis = Schema.Natural
export type Millis = typeof Millis.Type
