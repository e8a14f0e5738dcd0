/** A store and an installation that belong together, and those that do not. */
import { Context, Effect, Exit, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { layer as memoryObjects } from "../../adapters/memory/objects.ts"
import { belongs, type Memory } from "../../runtime/node/belonging.ts"
import { Objects, StoreDown } from "../../runtime/ports/objects.ts"

const store = () => Effect.map(Layer.build(memoryObjects), (context) => Context.get(context, Objects))

const memory = () => {
  const said = { hasStore: false }
  const keep = Effect.sync(() => {
    said.hasStore = true
  })
  return { said, memory: { hasStore: Effect.sync(() => said.hasStore), keep } satisfies Memory }
}

const run = <A, E>(effect: Effect.Effect<A, E, import("effect").Scope.Scope>) =>
  Effect.runPromise(Effect.scoped(effect))

describe("a store and an installation", () => {
  it("find each other again at every start, and on every node", () =>
    run(
      Effect.gen(function* () {
        const objects = yield* store()
        const { said, memory: kept } = memory()
        yield* belongs(objects, "A", kept)
        expect(said.hasStore).toBe(true)
        yield* belongs(objects, "A", kept)
        yield* belongs(objects, "A", memory().memory)
      })
    ))

  it("are refused when the store is another installation's", () =>
    run(
      Effect.gen(function* () {
        const objects = yield* store()
        yield* belongs(objects, "A", memory().memory)
        const other = memory()
        const { why } = yield* Effect.flip(belongs(objects, "B", other.memory))
        expect(why).toContain("belongs to another installation, A; this one is B")
        expect(other.said.hasStore).toBe(false)
      })
    ))

  it("are refused when the store is empty and was not", () =>
    run(
      Effect.gen(function* () {
        const { memory: kept } = memory()
        yield* belongs(yield* store(), "A", kept)
        const empty = yield* store()
        const { why } = yield* Effect.flip(belongs(empty, "A", kept))
        expect(why).toContain("it has no system/installation")
        expect(yield* Effect.exit(empty.get("system/installation"))).toSatisfy(Exit.isFailure)
      })
    ))

  it("are taken on trust while the store is away", () =>
    run(
      Effect.gen(function* () {
        const objects = yield* store()
        const down = Effect.fail(new StoreDown({ operation: "get", key: "", why: "away" }))
        const { said, memory: kept } = memory()
        yield* belongs({ ...objects, get: () => down }, "A", kept)
        expect(said.hasStore).toBe(false)
      })
    ))
})
