/** From a message on the bus to a delivery: what is not in the form that the protocol asks for is answered here. */
import { deadlineHeader, idHeader } from "../../messages/envelope.ts"
import { parseSubject, shardOf } from "../../messages/subjects.ts"
import type { Message } from "../ports/bus.ts"
import { type Delivery, failedText } from "./delivery.ts"
import type { Kind } from "./kind.ts"
import { outboxKind } from "./outbox.ts"

const decoder = new TextDecoder("utf-8", { fatal: true })
const idPattern = /^[\x21-\x7e]{1,200}$/
const jsonTypes = new Set(["application/json", "application/json; charset=utf-8"])

export interface Receiving {
  readonly shard: number
  readonly shards: number
  readonly kinds: ReadonlyMap<string, Kind>
  /** An id for a command that came without one; it cannot be repeated safely by its sender. */
  readonly freshId: () => string
}

export const receive = (message: Message, at: Receiving): Delivery | undefined => {
  const made = deliveryOf(message, at)
  if (typeof made !== "string") return made
  message.respond(failedText({ _tag: "Malformed", why: made }))
  return undefined
}

const deliveryOf = (message: Message, at: Receiving): Delivery | string => {
  const address = parseSubject(message.subject)
  if (address === undefined) return `not an address: ${message.subject.slice(0, 200)}`
  const { verb, kind, id, caller, name } = address
  if (!at.kinds.has(kind) || kind === outboxKind.name)
    return `no kind ${kind}; there are ${[...at.kinds.keys()].join(", ")}`
  const home = shardOf(kind, id, at.shards)
  if (home !== at.shard) return `${kind}/${id} lives in shard ${home} of ${at.shards}, not in ${address.shard}`
  const headers = headersOf(message)
  if (typeof headers === "string") return headers
  const body = textOf(message.body)
  if (body === undefined) return "the body is not UTF-8"
  const commandId = verb === "do" ? (headers.id ?? at.freshId()) : ""
  const answer = (text: string) => message.respond(text)
  return { verb, kind, id, caller, name, body, commandId, deadline: headers.deadline, answer }
}

const headersOf = ({ headers }: Message): { readonly id: string | undefined; readonly deadline: number } | string => {
  const type = headers["Content-Type"]
  if (type !== undefined && !jsonTypes.has(type.toLowerCase()))
    return `Content-Type ${type} is not spoken here; use JSON`
  const id = headers[idHeader]
  if (id !== undefined && !idPattern.test(id)) return `${idHeader} has to be 1 to 200 visible ASCII characters`
  const deadline = headers[deadlineHeader]
  if (deadline !== undefined && !/^\d{1,15}$/.test(deadline))
    return `${deadlineHeader} has to be milliseconds since the epoch`
  return { id, deadline: deadline === undefined ? 0 : Number(deadline) }
}

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
