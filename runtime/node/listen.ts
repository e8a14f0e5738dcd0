/** Where a server listens: at the address that was asked for, or at the usual one, or beside it. */
import { Effect, type Scope } from "effect"
import { CannotStart } from "./fault.ts"
import type { Address } from "./options.ts"

/** An address that was asked for is kept to; otherwise it is the usual one, and a free one when that is taken. */
export const listenAt = <A, E extends { readonly address: string; readonly why: string }>(
  what: string,
  flag: string,
  at: Address,
  listen: (port: number) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, CannotStart, Scope.Scope> => {
  const refused = (error: E) =>
    new CannotStart({
      why: `${what} cannot listen on ${error.address}: ${error.why}`,
      next: `choose another with ${flag} HOST:PORT`
    })
  const first = listen(at.port)
  return (at.isExplicit ? first : Effect.catch(first, () => listen(0))).pipe(Effect.mapError(refused))
}
