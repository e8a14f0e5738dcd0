/**
 * A registry whose answers are not waited for longer than a lease can bear: an adapter's own patience may be longer.
 */
import { Effect } from "effect"
import { Registry, RegistryDown } from "../ports/registry.ts"

export const bounded = (registry: Registry["Service"], withinMs: number): Registry["Service"] => {
  const within = <A, E>(asked: Effect.Effect<A, E>): Effect.Effect<A, E | RegistryDown> =>
    Effect.timeoutOrElse(asked, {
      duration: withinMs,
      orElse: () => Effect.fail(new RegistryDown({ why: `no answer within ${withinMs} ms` }))
    })
  return Registry.of({
    all: within(registry.all),
    write: (key, value, revision) => within(registry.write(key, value, revision)),
    remove: (key, revision) => within(registry.remove(key, revision))
  })
}
