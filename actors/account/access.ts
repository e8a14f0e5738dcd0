/** Who may do what in an account, beyond what the broker already holds a connection to. */
import type { Account } from "../../messages/account.ts"
import type { RefusalOf } from "../../messages/protocol.ts"
import type { State } from "./state.ts"

type Refusal = RefusalOf<Account>

/** The key behind a caller, when it is one: API keys come as `key-<id>`. */
export const keyOf = (caller: string): string | undefined =>
  caller.startsWith("key-") ? caller.slice("key-".length) : undefined

export const mayManageKeys = (state: State, caller: string): Refusal | undefined => {
  const key = keyOf(caller)
  if (key === undefined || state.keys.get(key)?.info.role === "admin") return undefined
  return { _tag: "NotAllowed", caller, why: "only a key with the role admin manages keys" }
}

/** The broker lets a connection in once; a key that was revoked since is stopped here, at its next command. */
export const bar = (state: State, context: { readonly caller: string; readonly at: number }) => {
  const id = keyOf(context.caller)
  if (id === undefined) return undefined
  const key = state.keys.get(id)?.info
  const why =
    key === undefined
      ? "no such key in this organisation"
      : key.revokedAt !== undefined
        ? "the key was revoked"
        : key.expiresAt !== undefined && key.expiresAt <= context.at
          ? "the key has expired"
          : undefined
  return why === undefined ? undefined : ({ _tag: "NotAllowed", caller: context.caller, why } as const)
}
