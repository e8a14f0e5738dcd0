/** Lets API keys in at the broker: each to its organisation's account and streams, in its own name. */
import { Effect } from "effect"
import type { Admitted } from "../../adapters/nats/broker/admission.ts"
import { callerPermissions } from "../../adapters/nats/permissions.ts"
import { tailsSubject } from "../../messages/stream.ts"
import type { KeyCheck, Verdict } from "../keys.ts"

const admitted = (verdict: Verdict): Admitted | undefined => {
  if (!("bearer" in verdict)) return undefined
  const { org, caller, expiresAt } = verdict.bearer
  const permissions = callerPermissions(caller, caller, [{ kind: "account", shard: "*", id: org, events: true }])
  const { subscribe, ...rest } = permissions
  const heard = [...(subscribe?.allow ?? []), tailsSubject(org)]
  return {
    user: caller,
    permissions: { ...rest, subscribe: { allow: heard } },
    ...(expiresAt === undefined ? {} : { expiresAt })
  }
}

const nobody: Admitted | undefined = undefined

/** The broker is there before the node can ask an account about a key: until then nobody comes in with one. */
export class Doorkeeper {
  keys: KeyCheck | undefined

  readonly admit = (token: string): Effect.Effect<Admitted | undefined> =>
    this.keys === undefined
      ? Effect.succeed(nobody)
      : this.keys.check(token).pipe(
          Effect.map(admitted),
          Effect.catch((error) => Effect.as(Effect.logWarning("a key cannot be checked", error), undefined))
        )
}
