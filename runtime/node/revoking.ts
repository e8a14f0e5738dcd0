/** A revoked key ends at once on every node that hears of it: nobody remembers it, and its connections are closed. */
import { Option, Schema } from "effect"
import { KeyId } from "../../messages/account.ts"
import { eventsSubject } from "../../messages/subjects.ts"
import { type KeyCheck, keyCaller } from "../keys.ts"
import type { Bus } from "../ports/bus.ts"

/** What is looked for among an account's events; the others are of no interest here. */
const Revoked = Schema.Struct({ _tag: Schema.Literal("KeyRevoked"), key: KeyId })
const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ events: Schema.Array(Schema.Union([Revoked, Schema.Unknown])) }))
)
const isRevoked = Schema.is(Revoked)

/** Listens until the scope closes. `drop` closes what this node's own broker has open for a caller, if it has one. */
export const revoking = (bus: Bus["Service"], keys: KeyCheck, drop: (caller: string) => void) =>
  bus.subscribe(eventsSubject("account", "*", "*"), (message) => {
    const heard = Option.getOrUndefined(decode(Buffer.from(message.body).toString()))
    for (const event of heard?.events ?? []) {
      if (!isRevoked(event)) continue
      keys.forget(event.key)
      drop(keyCaller(event.key))
    }
  })
