/** What every registry promises, whatever it is made of: the same checks run on each of them. */
import { Context, Effect, Exit, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { Registry } from "../../runtime/ports/registry.ts"

type Service = Registry["Service"]

export interface Options {
  /** One place where records are kept, as several nodes reach it: every layer built is one more node. */
  readonly make: Effect.Effect<Layer.Layer<Registry, unknown>, unknown, Scope.Scope>
  /** Seconds that one test may take. */
  readonly patience?: number
}

const isConflict = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((reason) => {
    const error = reason._tag === "Fail" ? reason.error : undefined
    return typeof error === "object" && error !== null && "_tag" in error && error._tag === "RegistryConflict"
  })

const nodeOf = (layer: Layer.Layer<Registry, unknown>): Effect.Effect<Service, unknown, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Registry))

/** Runs the checks on this registry. */
export const registryContract = (name: string, options: Options): void => {
  const check = (what: string, run: (one: Service, two: Service) => Effect.Effect<void, unknown, Scope.Scope>) => {
    const whole = Effect.gen(function* () {
      const layer = yield* options.make
      yield* run(yield* nodeOf(layer), yield* nodeOf(layer))
    })
    it(what, () => Effect.runPromise(Effect.scoped(whole)), (options.patience ?? 20) * 1000)
  }

  describe(`registry: ${name}`, () => {
    check("is empty at first, and shows at once to everyone what one has written", (one, two) =>
      Effect.gen(function* () {
        expect(yield* one.all).toEqual([])
        const revision = yield* one.write("shard.1", "ü a", 0)
        expect(yield* two.all).toEqual([{ key: "shard.1", revision, value: "ü a" }])
        const next = yield* two.write("shard.1", "b", revision)
        expect(next).toBeGreaterThan(revision)
        const other = yield* one.write("shard.2", "", 0)
        const records = [...(yield* one.all)].sort((a, b) => a.key.localeCompare(b.key))
        expect(records).toEqual([
          { key: "shard.1", revision: next, value: "b" },
          { key: "shard.2", revision: other, value: "" }
        ])
      })
    )

    check("refuses to write over what has changed, and to make what is there", (one, two) =>
      Effect.gen(function* () {
        const first = yield* one.write("k", "a", 0)
        const second = yield* two.write("k", "b", first)
        expect(isConflict(yield* Effect.exit(one.write("k", "c", first)))).toBe(true)
        expect(isConflict(yield* Effect.exit(one.write("k", "c", 0)))).toBe(true)
        expect(isConflict(yield* Effect.exit(one.write("new", "c", second)))).toBe(true)
        expect(yield* one.all).toEqual([{ key: "k", revision: second, value: "b" }])
      })
    )

    check("removes what has not changed, after which it can be made again", (one, two) =>
      Effect.gen(function* () {
        const first = yield* one.write("k", "a", 0)
        const second = yield* one.write("k", "b", first)
        expect(isConflict(yield* Effect.exit(two.remove("k", first)))).toBe(true)
        yield* two.remove("k", second)
        expect(yield* one.all).toEqual([])
        expect(isConflict(yield* Effect.exit(one.remove("k", second)))).toBe(true)
        expect(isConflict(yield* Effect.exit(one.write("k", "c", second)))).toBe(true)
        expect(yield* one.write("k", "c", 0)).toBeGreaterThan(second)
      })
    )

    check("lets exactly one of many racing writers win, again and again", (one, two) =>
      Effect.gen(function* () {
        let revision = 0
        for (let round = 0; round < 10; round++) {
          const racers = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? one : two))
          const exits = yield* Effect.forEach(
            racers,
            (racer, index) => Effect.exit(racer.write("k", `${round}-${index}`, revision)),
            { concurrency: "unbounded" }
          )
          const winners = exits.flatMap((exit, index) =>
            Exit.isSuccess(exit) ? [{ index, revision: exit.value }] : []
          )
          expect(winners).toHaveLength(1)
          expect(exits.filter(isConflict)).toHaveLength(11)
          const [winner] = winners
          expect(yield* two.all).toEqual([{ key: "k", revision: winner?.revision, value: `${round}-${winner?.index}` }])
          revision = winner?.revision ?? 0
        }
      })
    )
  })
}
