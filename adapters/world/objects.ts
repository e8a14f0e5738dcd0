/** An object store as one life sees it from afar: late, failing, and silent after it did what it was asked. */
import { Effect, Stream } from "effect"
import { Objects, StoreDown } from "../../runtime/ports/objects.ts"
import type { Life, Weather } from "./weather.ts"

export const faultyObjects = (inner: Objects["Service"], weather: Weather, life: Life): Objects["Service"] => {
  const down = (operation: string, key: string) => (why: string) => new StoreDown({ operation, key, why })
  const far = <A, E>(operation: string, key: string, effect: Effect.Effect<A, E>) =>
    weather.operate(life, "objects", effect, down(operation, key))
  return Objects.of({
    place: inner.place,
    put: (key, bytes) => far("put", key, inner.put(key, bytes)),
    putIf: (key, bytes, condition) => far("put", key, inner.putIf(key, bytes, condition)),
    get: (key, range) => far("get", key, inner.get(key, range)),
    head: (key) => far("head", key, inner.head(key)),
    remove: (keys) => far("remove", keys[0] ?? "", inner.remove(keys)),
    list: (prefix, after) => Stream.unwrap(far("list", prefix, Effect.succeed(inner.list(prefix, after))))
  })
}
