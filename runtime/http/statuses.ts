/** How an actor's answer looks over HTTP: one table for refusals, one for failures. */
import type { Failure } from "../../messages/envelope.ts"
import type { Unanswered } from "../client.ts"
import { Refused } from "./exchange.ts"

/** A refusal that is not in the table is 422: the request was understood, and this actor will not. */
const ofRefusal: Readonly<Record<string, number>> = {
  AlreadyFounded: 409,
  KeyTaken: 409,
  NameTaken: 409,
  NoSuchKey: 404,
  NoSuchWorkspace: 404,
  NotAllowed: 403,
  NotFounded: 404,
  TooMany: 409
}

const ofFailure: Readonly<Record<Failure["_tag"], number>> = {
  Busy: 429,
  Corrupt: 500,
  Defect: 500,
  Forbidden: 403,
  Late: 504,
  Malformed: 400,
  TooLarge: 413,
  Unavailable: 503
}

/** `{_tag: "NoSuchKey", key: "k1"}` as `NoSuchKey: key k1`. */
export const tell = ({ _tag, ...fields }: { readonly _tag: string }): string => {
  const said = Object.entries(fields).flatMap(([name, value]) =>
    typeof value === "string" || typeof value === "number" ? [`${name} ${value}`] : []
  )
  return said.length === 0 ? _tag : `${_tag}: ${said.join(", ")}`
}

export const refusal = (refused: { readonly _tag: string }): Refused =>
  new Refused({ status: ofRefusal[refused._tag] ?? 422, code: refused._tag, message: tell(refused), more: { refused } })

export const failure = (failed: Failure): Refused =>
  new Refused({
    status: ofFailure[failed._tag],
    code: failed._tag,
    message: tell(failed),
    more: { failed },
    ...(failed._tag === "Busy" ? { retryAfterMs: failed.retryAfterMs } : {}),
    ...(failed._tag === "Unavailable" ? { retryAfterMs: 1000 } : {})
  })

/** Patience has ended: Busy stays what it is, all else is a shard that nobody serves or a node that does not answer. */
export const unanswered = ({ failure: last, why, commandId }: Unanswered): Refused => {
  if (last?._tag === "Busy") return failure(last)
  const late = why.startsWith("TimedOut")
  return new Refused({
    status: late ? 504 : 503,
    code: late ? "TimedOut" : "Unavailable",
    message: `no answer in time (${why}); it may or may not have been done: repeat it with Art-Id: ${commandId}`,
    more: { id: commandId },
    retryAfterMs: 1000
  })
}
