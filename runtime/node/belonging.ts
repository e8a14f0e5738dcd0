/** An object store and an installation belong together: both say so, and a start with another store is refused. */
import { Effect } from "effect"
import type { Objects, StoreFailed } from "../ports/objects.ts"
import { CannotStart } from "./fault.ts"

/** Behind the prefix of what is the system's own. */
const key = "system/installation"

/** Where an installation keeps that it has written its name into a store. */
export interface Memory {
  readonly hasStore: Effect.Effect<boolean, CannotStart>
  readonly keep: Effect.Effect<void, CannotStart>
}

type Store = Objects["Service"]

const nameIn = (store: Store): Effect.Effect<string | undefined, StoreFailed> =>
  store.get(key).pipe(
    Effect.map((bytes) => Buffer.from(bytes).toString().trim()),
    Effect.catchTag("ObjectMissing", () => Effect.succeed(undefined))
  )

/** Gives the name that the store has then, for another node may have been faster. */
const sign = (store: Store, installation: string): Effect.Effect<string | undefined, StoreFailed> =>
  store.putIf(key, Buffer.from(`${installation}\n`), { absent: true }).pipe(
    Effect.as(installation),
    Effect.catchTag("ObjectConflict", () => nameIn(store))
  )

/**
 * The log is cut off behind snapshots, which are objects: with another store, what they held would be taken for what
 * never was. A store that is away is not asked, and the start goes on: nothing can be read from it or written to it.
 */
export const belongs = Effect.fnUntraced(
  function* (store: Store, installation: string, memory: Memory) {
    const hasStore = yield* memory.hasStore
    let name = yield* nameIn(store)
    if (name === undefined && hasStore)
      return yield* new CannotStart({
        why: `the object store ${store.place} is not the one that this installation began with: it has no ${key}`,
        next: `look at --objects; when it is a copy of the right one, put ${key} into it: it holds ${installation}`
      })
    name ??= yield* sign(store, installation)
    if (name !== installation)
      return yield* new CannotStart({
        why: `the object store ${store.place} belongs to another installation, ${name}; this one is ${installation}`,
        next: "name a bucket, a prefix or a directory of its own with --objects"
      })
    if (!hasStore) yield* memory.keep
  },
  Effect.catchTags({
    StoreDown: (error) => Effect.logWarning("whose the object store is cannot be seen while it is away", error),
    StoreRefused: (error) => Effect.fail(new CannotStart({ why: `the object store refuses: ${error.why}` }))
  })
)
