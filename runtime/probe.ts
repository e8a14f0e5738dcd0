/** Tries a store before anything depends on it, and says in words what is wrong with it. */
import { randomUUID } from "node:crypto"
import { Effect, Stream } from "effect"
import { type ObjectMissing, type Objects, type StoreFailed, StoreRefused } from "./ports/objects.ts"

type Store = typeof Objects.Service

const bytes = new TextEncoder().encode("a probe: it may be deleted")

const refuse = (store: Store, key: string, why: string): Effect.Effect<never, StoreRefused> =>
  Effect.fail(new StoreRefused({ operation: "probe", key: `${store.place}/${key}`, why }))

/** Without these two, owners of a log could overwrite one another: such a store is refused, not worked around. */
const conditions = Effect.fnUntraced(function* (store: Store, key: string) {
  const etag = yield* store
    .putIf(key, bytes, { absent: true })
    .pipe(Effect.catchTag("ObjectConflict", () => refuse(store, key, "a put refused a key that nobody has used")))
  const overwritten = yield* store.putIf(key, bytes, { absent: true }).pipe(
    Effect.as(true),
    Effect.catchTag("ObjectConflict", () => Effect.succeed(false))
  )
  if (overwritten)
    return yield* refuse(store, key, "the store ignores If-None-Match on puts, and would let writers race")
  const replaced = yield* store.putIf(key, bytes, { etag: '"00000000000000000000000000000000"' }).pipe(
    Effect.as(true),
    Effect.catchTag("ObjectConflict", () => Effect.succeed(false))
  )
  if (replaced) return yield* refuse(store, key, "the store ignores If-Match on puts, and would let writers race")
  yield* store
    .putIf(key, bytes, { etag })
    .pipe(Effect.catchTag("ObjectConflict", () => refuse(store, key, "the store does not know its own etag again")))
})

const reads = Effect.fnUntraced(function* (store: Store, folder: string, key: string) {
  const read = yield* store.get(key)
  const part = yield* store.get(key, { offset: 2, length: 5 })
  if (Buffer.compare(read, bytes) !== 0 || Buffer.compare(part, bytes.subarray(2, 7)) !== 0) {
    return yield* refuse(store, key, "the store gave other bytes than were put")
  }
  const listed = (yield* Stream.runCollect(store.list(folder))).flat()
  if (!listed.some((one) => one.key === key)) {
    return yield* refuse(store, key, "a listing right after a put does not show it")
  }
  return undefined
})

/** Writes, reads, lists and deletes one object under a name of its own. */
export const probe = (store: Store): Effect.Effect<void, StoreFailed> =>
  Effect.suspend(() => {
    const folder = `probe/${randomUUID()}/`
    const key = `${folder}object`
    return conditions(store, key).pipe(
      Effect.andThen(reads(store, folder, key)),
      Effect.catchTag("ObjectMissing", (_: ObjectMissing) =>
        refuse(store, key, "the store does not have what was just put")
      ),
      Effect.tapError(() => Effect.ignore(store.remove([key]))),
      Effect.andThen(store.remove([key]))
    )
  })
