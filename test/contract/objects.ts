/** What every store of objects has to do, whatever it is made of. */
import { Cause, Effect, Exit, type Layer, ManagedRuntime, Option, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { compareKeys } from "../../messages/keys.ts"
import { type Condition, Objects, type Stored, type StoreFailed } from "../../runtime/ports/objects.ts"
import { probe } from "../../runtime/probe.ts"

type Store = typeof Objects.Service

export interface ObjectsContract {
  /** More objects than one request may name or one page may hold. */
  readonly manyKeys?: number
  readonly racers?: number
  readonly rounds?: number
  readonly timeoutMs?: number
}

const bytesOf = (size: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(size)
  let state = seed * 2654435761
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const oddNames = [
  "a b",
  "a+b",
  "a%2Fb",
  "a%20b",
  "a&b=c?d#e;f,g",
  "quo'te\"s",
  "<angle>",
  "back\\slash",
  "star*(paren)!~",
  "colon:at@dollar$",
  "[br]{ace}|^`",
  "trailing.",
  "ünïcødé",
  "日本語",
  "😀",
  "\uff5e", // behind 😀 in UTF-16, before it in UTF-8
  "e\u0301", // not the same as é
  "é"
]

const unlawful = [
  "",
  "/a",
  "a/",
  "a//b",
  "a/../b",
  "..",
  "./a",
  "a/.hidden",
  "nul\0",
  "line\nbreak",
  "\ud800",
  "x".repeat(1000)
]

const listed = (store: Store, prefix: string, after?: string): Effect.Effect<Array<Stored>, StoreFailed> =>
  Stream.runFold(
    store.list(prefix, after),
    (): Array<Stored> => [],
    (all, page) => {
      all.push(...page)
      return all
    }
  )

const failureOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string =>
  Exit.isSuccess(exit)
    ? "success"
    : (Option.getOrUndefined(Cause.findErrorOption(exit.cause))?._tag ?? String(exit.cause))

export const objectsContract = (
  name: string,
  layer: Layer.Layer<Objects, unknown>,
  options: ObjectsContract = {}
): void => {
  const { manyKeys = 1203, racers = 20, rounds = 5, timeoutMs = 30_000 } = options

  describe(`objects: ${name}`, { timeout: timeoutMs }, () => {
    const runtime = ManagedRuntime.make(layer)
    let store: Store
    beforeAll(async () => {
      store = await runtime.runPromise(Effect.map(Objects, (objects) => objects))
    }, timeoutMs)
    afterAll(() => runtime.dispose(), timeoutMs)
    const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
    const fails = async <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>): Promise<string> =>
      failureOf(await Effect.runPromiseExit(effect))

    it("gives back exactly the bytes that were put, and their size", async () => {
      const every = Uint8Array.from({ length: 256 * 3 }, (_, at) => at)
      const etag = await run(store.put("exact/every", every))
      expect(Buffer.compare(await run(store.get("exact/every")), every)).toBe(0)
      expect(await run(store.head("exact/every"))).toEqual({ size: every.length, etag })
    })

    it("keeps bytes that the caller changes afterwards, on either side", async () => {
      for (const mine of [text("before"), Buffer.from("before")]) {
        await run(store.put("own/bytes", mine))
        mine.fill(0)
        const got = await run(store.get("own/bytes"))
        expect(new TextDecoder().decode(got)).toBe("before")
        got.fill(0)
        expect(new TextDecoder().decode(await run(store.get("own/bytes")))).toBe("before")
      }
    })

    it("stores a part of a larger buffer as that part", async () => {
      await run(store.put("part/of", bytesOf(100).subarray(10, 20)))
      expect(await run(store.get("part/of")).then(Array.from)).toEqual(Array.from(bytesOf(100).subarray(10, 20)))
    })

    it("replaces an object as a whole", async () => {
      await run(store.put("replace/me", bytesOf(1000)))
      await run(store.put("replace/me", text("short")))
      expect(new TextDecoder().decode(await run(store.get("replace/me")))).toBe("short")
    })

    it("stores nothing at all as an object of its own", async () => {
      const etag = await run(store.put("empty", new Uint8Array(0)))
      expect((await run(store.get("empty"))).length).toBe(0)
      expect((await run(store.get("empty", { offset: 0, length: 10 }))).length).toBe(0)
      expect(await run(store.head("empty"))).toEqual({ size: 0, etag })
    })

    it("reads the part of a range that exists", async () => {
      const whole = bytesOf(1000)
      await run(store.put("range", whole))
      const cases = [
        [0, 1],
        [0, 1000],
        [0, 5000],
        [10, 20],
        [999, 1],
        [999, 10],
        [1000, 1],
        [5000, 10],
        [3, 0]
      ] as const
      for (const [offset, length] of cases) {
        const got = await run(store.get("range", { offset, length }))
        expect(Buffer.compare(got, whole.subarray(offset, offset + length)), `${offset}+${length}`).toBe(0)
      }
    })

    it("says that an object is missing, whatever is asked of it", async () => {
      expect(await fails(store.get("missing/one"))).toBe("ObjectMissing")
      expect(await fails(store.get("missing/one", { offset: 5, length: 5 }))).toBe("ObjectMissing")
      expect(await fails(store.get("missing/one", { offset: 5, length: 0 }))).toBe("ObjectMissing")
      expect(await fails(store.head("missing/one"))).toBe("ObjectMissing")
      await run(store.put("missing/two/three", text("x")))
      expect(await fails(store.get("missing/two"))).toBe("ObjectMissing")
      expect(await fails(store.head("missing/two"))).toBe("ObjectMissing")
    })

    it("keeps an object of 12 MiB whole, and reads its parts", async () => {
      const big = bytesOf(12 * 1024 * 1024 + 17)
      const etag = await run(store.put("big/one", big))
      expect(Buffer.compare(await run(store.get("big/one")), big)).toBe(0)
      const middle = await run(store.get("big/one", { offset: 7_000_000, length: 3_000_000 }))
      expect(Buffer.compare(middle, big.subarray(7_000_000, 10_000_000))).toBe(0)
      expect(await run(store.head("big/one"))).toEqual({ size: big.length, etag })
      expect(await fails(store.putIf("big/one", big, { absent: true }))).toBe("ObjectConflict")
      const next = await run(store.putIf("big/one", bytesOf(12 * 1024 * 1024, 2), { etag }))
      expect(await run(store.head("big/one"))).toEqual({ size: 12 * 1024 * 1024, etag: next })
    })

    it("puts on a condition only while the condition holds", async () => {
      const key = "conditional/one"
      expect(await fails(store.putIf(key, text("a"), { etag: '"0123456789abcdef0123456789abcdef"' }))).toBe(
        "ObjectConflict"
      )
      expect(await fails(store.get(key))).toBe("ObjectMissing")
      const first = await run(store.putIf(key, text("a"), { absent: true }))
      expect(await fails(store.putIf(key, text("b"), { absent: true }))).toBe("ObjectConflict")
      const second = await run(store.putIf(key, text("b"), { etag: first }))
      expect(await fails(store.putIf(key, text("c"), { etag: first }))).toBe("ObjectConflict")
      expect(await run(store.head(key))).toEqual({ size: 1, etag: second })
      await run(store.remove([key]))
      expect(await fails(store.putIf(key, text("d"), { etag: second }))).toBe("ObjectConflict")
      await run(store.putIf(key, text("d"), { absent: true }))
      expect(new TextDecoder().decode(await run(store.get(key)))).toBe("d")
    })

    it("lets exactly one of many conditional puts win, round after round", async () => {
      let condition: Condition = { absent: true }
      for (let round = 0; round < rounds; round++) {
        const attempts = Array.from({ length: racers }, (_, racer) =>
          Effect.exit(store.putIf("race/one", text(`round ${round} racer ${racer}`), condition))
        )
        const exits = await run(Effect.all(attempts, { concurrency: "unbounded" }))
        const winners = exits.flatMap((exit, racer) => (Exit.isSuccess(exit) ? [{ racer, etag: exit.value }] : []))
        const losses = exits.filter(Exit.isFailure).map(failureOf)
        expect(winners.length, `round ${round}: ${JSON.stringify(losses)}`).toBe(1)
        expect(new Set(losses)).toEqual(new Set(["ObjectConflict"]))
        const held = new TextDecoder().decode(await run(store.get("race/one")))
        expect(held).toBe(`round ${round} racer ${winners[0]?.racer}`)
        condition = { etag: winners[0]?.etag ?? "" }
      }
    })

    it("leaves one whole object when many are put under one key at once", async () => {
      const all = Array.from({ length: 12 }, (_, at) => bytesOf(100_000 + at, at + 1))
      const puts = all.map((bytes) => store.put("concurrent/same", bytes))
      await run(Effect.all(puts, { concurrency: "unbounded" }))
      const got = await run(store.get("concurrent/same"))
      expect(all.some((bytes) => Buffer.compare(bytes, got) === 0)).toBe(true)
    })

    it("lists keys by their bytes, sizes beside them, with odd names too", async () => {
      const keys = oddNames.flatMap((odd) => [`odd/${odd}`, `odd/in ${odd}/x`])
      await run(Effect.forEach(keys, (key, at) => store.put(key, bytesOf(at)), { concurrency: 8 }))
      const found = await run(listed(store, "odd/"))
      expect(found.map((one) => one.key)).toEqual(keys.toSorted(compareKeys))
      for (const { key, size } of found) expect(size, key).toBe(keys.indexOf(key))
      for (const [at, key] of keys.entries()) expect((await run(store.get(key))).length, key).toBe(at)
      await run(store.remove(keys))
      expect(await run(listed(store, "odd/"))).toEqual([])
    })

    it("orders folders among their neighbours as their keys say", async () => {
      const keys = [
        "order/a",
        "order/a-b",
        "order/a-b/c",
        "order/a.c",
        "order/a0",
        "order/b/a",
        "order/b-a",
        "order/b0"
      ]
      const put = keys.filter((key) => !keys.some((other) => other.startsWith(`${key}/`)))
      await run(Effect.forEach(put, (key) => store.put(key, text(key))))
      expect((await run(listed(store, "order/"))).map((one) => one.key)).toEqual(put.toSorted(compareKeys))
    })

    it("lists from any prefix and from behind any key, there or not", async () => {
      const keys = ["from/a/1", "from/a/2", "from/ab", "from/b/1", "from/b/2", "from/c"]
      await run(Effect.forEach(keys, (key) => store.put(key, text(key))))
      const prefixes = ["from/", "from/a", "from/a/", "from/b/2", "from/x", "fr", "from/a/1/"]
      const afters = [
        undefined,
        "a",
        "from/a/1",
        "from/a/15",
        "from/a0",
        "from/ab",
        "from/b/2",
        "from/b/",
        "from/c",
        "z"
      ]
      for (const prefix of prefixes) {
        for (const after of afters) {
          const want = keys.filter(
            (key) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0)
          )
          const found = (await run(listed(store, prefix, after))).map((one) => one.key)
          expect(
            found.filter((key) => key.startsWith("from/")),
            `${prefix} behind ${after}`
          ).toEqual(want)
        }
      }
    })

    it("lists page by page, and deletes more at once than a page holds", async () => {
      const keys = Array.from({ length: manyKeys }, (_, at) => `many/${at % 7}/${String(at).padStart(5, "0")}`)
      await run(Effect.forEach(keys, (key) => store.put(key, text(key)), { concurrency: 16, discard: true }))
      const pages = await run(Stream.runCollect(store.list("many/")))
      expect(pages.length).toBeGreaterThan(1)
      expect(pages.flat().map((one) => one.key)).toEqual(keys.toSorted(compareKeys))
      const first = await run(Stream.runCollect(Stream.take(store.list("many/"), 1)))
      expect(first.flat().length).toBe(pages[0]?.length)
      await run(store.remove([...keys, "many/never/there"]))
      expect(await run(listed(store, "many/"))).toEqual([])
    })

    it("removes nothing without complaint", async () => {
      await run(store.remove([]))
      await run(store.remove(["never/there"]))
    })

    it("refuses keys that no store could keep", async () => {
      for (const key of unlawful) {
        const shown = JSON.stringify(key)
        expect(await fails(store.put(key, text("x"))), shown).toBe("StoreRefused")
        expect(await fails(store.putIf(key, text("x"), { absent: true })), shown).toBe("StoreRefused")
        expect(await fails(store.get(key)), shown).toBe("StoreRefused")
        expect(await fails(store.head(key)), shown).toBe("StoreRefused")
        expect(await fails(store.remove(["fine", key])), shown).toBe("StoreRefused")
      }
    })

    it("passes the probe of a node that starts, which leaves nothing behind", async () => {
      await run(probe(store))
      expect(await run(listed(store, "probe/"))).toEqual([])
    })

    it("says where it is", () => {
      expect(store.place.length).toBeGreaterThan(0)
    })
  })
}
