/** Objects in the memory of this process: for tests, and the truth that the faulty twin stands on. */
import { Effect, Layer, Option, Stream } from "effect"
import { compareKeys, keyFault } from "../../messages/keys.ts"
import {
  type Condition,
  ObjectConflict,
  ObjectMissing,
  Objects,
  type Range,
  type Stored,
  StoreRefused
} from "../../runtime/ports/objects.ts"

/** A page small enough that tests meet a second one. */
const pageKeysMax = 256

interface Kept {
  readonly bytes: Uint8Array
  readonly etag: string
}

const lawful = (operation: string, key: string): Effect.Effect<void, StoreRefused> => {
  const why = keyFault(key)
  return why === undefined ? Effect.void : Effect.fail(new StoreRefused({ operation, key, why }))
}

/** The first index in the sorted keys at which a key is not before this one. */
const lowerBound = (keys: ReadonlyArray<string>, key: string): number => {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle] ?? "", key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

const part = (bytes: Uint8Array, range: Range | undefined): Uint8Array =>
  range === undefined ? bytes.slice() : bytes.slice(range.offset, range.offset + range.length)

/** A store of its own, empty: two of them share nothing. */
export const make = (place = "memory:"): typeof Objects.Service => {
  const kept = new Map<string, Kept>()
  let sorted: Array<string> | undefined
  let puts = 0

  const keysInOrder = (): ReadonlyArray<string> => {
    sorted ??= [...kept.keys()].sort(compareKeys)
    return sorted
  }
  const store = (key: string, bytes: Uint8Array): string => {
    if (!kept.has(key)) sorted = undefined
    // Numbered, not derived from the bytes: a test sees every replacement, even one by equal bytes.
    const etag = `"${++puts}"`
    // A Buffer's own slice would be a view on what the caller may change.
    kept.set(key, { bytes: new Uint8Array(bytes), etag })
    return etag
  }
  const holds = (key: string, condition: Condition): boolean => {
    const found = kept.get(key)
    return "absent" in condition ? found === undefined : found?.etag === condition.etag
  }
  const find = Effect.fnUntraced(function* (operation: string, key: string) {
    yield* lawful(operation, key)
    const found = kept.get(key)
    return found ?? (yield* new ObjectMissing({ key }))
  })
  const pageBehind = (prefix: string, after: string | undefined): [Array<Stored>, string | undefined] => {
    const keys = keysInOrder()
    let index = lowerBound(keys, after !== undefined && compareKeys(after, prefix) > 0 ? after : prefix)
    if (keys[index] === after) index++
    const page: Array<Stored> = []
    for (; index < keys.length && page.length < pageKeysMax; index++) {
      const key = keys[index] ?? ""
      if (!key.startsWith(prefix)) return [page, undefined]
      page.push({ key, size: kept.get(key)?.bytes.length ?? 0 })
    }
    return [page, page.length === pageKeysMax ? page.at(-1)?.key : undefined]
  }

  return Objects.of({
    place,
    put: Effect.fnUntraced(function* (key: string, bytes: Uint8Array) {
      yield* lawful("put", key)
      return store(key, bytes)
    }),
    putIf: Effect.fnUntraced(function* (key: string, bytes: Uint8Array, condition: Condition) {
      yield* lawful("put", key)
      if (!holds(key, condition)) return yield* new ObjectConflict({ key })
      return store(key, bytes)
    }),
    get: Effect.fnUntraced(function* (key: string, range?: Range) {
      return part((yield* find("get", key)).bytes, range)
    }),
    head: Effect.fnUntraced(function* (key: string) {
      const found = yield* find("head", key)
      return { size: found.bytes.length, etag: found.etag }
    }),
    remove: Effect.fnUntraced(function* (keys: ReadonlyArray<string>) {
      for (const key of keys) yield* lawful("remove", key)
      for (const key of keys) if (kept.delete(key)) sorted = undefined
    }),
    list: (prefix, after) =>
      Stream.paginate(after, (behind) =>
        Effect.sync(() => {
          const [page, next] = pageBehind(prefix, behind)
          return [page.length === 0 ? [] : [page], Option.fromUndefinedOr(next)] as const
        })
      )
  })
}

export const layer: Layer.Layer<Objects> = Layer.sync(Objects, () => make())
