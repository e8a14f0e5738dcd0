/** A registry in the memory of one process, which several nodes may share. */
import { Effect, Layer } from "effect"
import { type Record, Registry, RegistryConflict } from "../../runtime/ports/registry.ts"

/** Every layer made from one store sees the same records. */
export interface RegistryStore {
  revision: number
  readonly records: Map<string, Record>
}

export const registryStore = (): RegistryStore => ({ records: new Map(), revision: 0 })

/** A registry over this store, or over one of its own. */
export const layer = (store: RegistryStore = registryStore()): Layer.Layer<Registry> =>
  Layer.succeed(
    Registry,
    Registry.of({
      all: Effect.sync(() => [...store.records.values()]),
      remove: (key, revision) =>
        Effect.suspend(() => {
          if (store.records.get(key)?.revision !== revision) return Effect.fail(new RegistryConflict({ key }))
          store.records.delete(key)
          return Effect.void
        }),
      write: (key, value, revision) =>
        Effect.suspend(() => {
          if ((store.records.get(key)?.revision ?? 0) !== revision) return Effect.fail(new RegistryConflict({ key }))
          store.revision += 1
          store.records.set(key, { key, revision: store.revision, value })
          return Effect.succeed(store.revision)
        })
    })
  )
