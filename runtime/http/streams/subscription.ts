/** What requests about subscriptions have in common: the forms of their bodies, and the words of their answers. */
import { Schema } from "effect"
import type { Link } from "../../../messages/subscription.ts"
import type { Command, Outcome, Refusal } from "../../streams/partitions.ts"
import { ownPath } from "./organisation.ts"
import { refuseOutcome, reply, sayJson } from "./reply.ts"
import { BadRequest, readAll } from "./request.ts"
import type { Asked, Surface } from "./surface.ts"
import { markText } from "./webhook.ts"

const controlBytesMax = 1024 * 1024

const path = Schema.String
const PutBody = Schema.Struct({
  type: Schema.Literals(["webhook", "pull-wake"]),
  pattern: Schema.optionalKey(path),
  streams: Schema.optionalKey(Schema.Array(path)),
  webhook: Schema.optionalKey(Schema.Struct({ url: Schema.String })),
  wake_stream: Schema.optionalKey(path),
  lease_ttl_ms: Schema.optionalKey(Schema.Natural.check(Schema.isBetween({ minimum: 1000, maximum: 600_000 }))),
  description: Schema.optionalKey(Schema.String)
})
const StreamsBody = Schema.Struct({ streams: Schema.NonEmptyArray(path) })
const ClaimBody = Schema.Struct({ worker: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)) })
const round = { wake_id: Schema.String, generation: Schema.Natural }
const ReleaseBody = Schema.Struct(round)
export const Acked = Schema.Struct({
  stream: Schema.optionalKey(path),
  path: Schema.optionalKey(path),
  offset: Schema.String
})
const AckBody = Schema.Struct({
  ...round,
  acks: Schema.optionalKey(Schema.Array(Acked)),
  done: Schema.optionalKey(Schema.Boolean)
})

const decoders = {
  put: Schema.decodeUnknownOption(Schema.fromJsonString(PutBody)),
  streams: Schema.decodeUnknownOption(Schema.fromJsonString(StreamsBody)),
  claim: Schema.decodeUnknownOption(Schema.fromJsonString(ClaimBody)),
  ack: Schema.decodeUnknownOption(Schema.fromJsonString(AckBody)),
  release: Schema.decodeUnknownOption(Schema.fromJsonString(ReleaseBody))
}
export interface Bodies {
  readonly put: typeof PutBody.Type
  readonly streams: typeof StreamsBody.Type
  readonly claim: typeof ClaimBody.Type
  readonly ack: typeof AckBody.Type
  readonly release: typeof ReleaseBody.Type
}

export interface Control {
  readonly surface: Surface
  readonly asked: Asked
  readonly id: string
  readonly partition: number
  /** The URL under which the surface was reached, without what follows the family. */
  readonly base: string
}

export const fail = ({ exchange }: Asked, status: number, code: string, more: Record<string, unknown> = {}): void =>
  sayJson(exchange, status, { error: { code, message: String(more["message"] ?? code), ...more } })

export type Handler = (at: Control, more: ReadonlyArray<string>) => void

/** The body in its form, or an answer that says that it has not. */
export const body = <Name extends keyof Bodies>(
  { asked }: Control,
  name: Name,
  use: (value: Bodies[Name]) => void
): void =>
  readAll(
    asked.exchange.request,
    (bytes) => {
      if (bytes instanceof BadRequest) return fail(asked, bytes.status, "INVALID_REQUEST", { message: bytes.why })
      const decoded = decoders[name](bytes.toString())
      if (decoded._tag === "None") return fail(asked, 400, "INVALID_REQUEST", { message: "the body has not its form" })
      use(decoded.value as Bodies[Name])
    },
    controlBytesMax
  )

export const send = ({ surface, asked, partition }: Control, command: Command, use: (ok: unknown) => void): void =>
  surface.partitions.tell(partition, command, asked.caller, (outcome) => answer(asked, outcome, use))

export const answer = (asked: Asked, outcome: Outcome, use: (ok: unknown) => void): void => {
  if ("ok" in outcome) return use(outcome.ok)
  if (!("refused" in outcome)) return refuseOutcome(asked.exchange, outcome)
  const { status, code, more } = refusals(outcome.refused)
  fail(asked, status, code, more)
}

interface Told {
  readonly status: number
  readonly code: string
  readonly more?: Record<string, unknown>
}

const refusals = (refused: Refusal): Told => {
  switch (refused._tag) {
    case "NoSuchSubscription":
      return { status: 404, code: "SUBSCRIPTION_NOT_FOUND" }
    case "SubscriptionExists":
      return { status: 409, code: "SUBSCRIPTION_ALREADY_EXISTS" }
    case "AlreadyClaimed": {
      const more = { current_holder: refused.holder, generation: refused.generation }
      return { status: 409, code: "ALREADY_CLAIMED", more }
    }
    case "NoPendingWork":
      return { status: 409, code: "NO_PENDING_WORK" }
    case "TokenInvalid":
      return { status: 401, code: "TOKEN_INVALID" }
    case "Fenced":
      return { status: 409, code: "FENCED", more: { generation: refused.generation } }
    case "InvalidOffset":
      return { status: 409, code: "INVALID_OFFSET", more: { path: ownPath(refused.path) } }
    default:
      return { status: 422, code: refused._tag }
  }
}

export const linkText = ({ path: streamPath, link: link_type, acked }: Link) => ({
  path: ownPath(streamPath),
  link_type,
  acked_offset: markText(acked)
})

export const done = ({ asked }: Control) => reply(asked.exchange, 204)
