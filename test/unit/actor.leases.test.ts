/** Nodes that share the shards: they come, go, stop answering in time, and nobody serves a shard beside another. */
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { layer as memoryRegistry, type RegistryStore, registryStore } from "../../adapters/memory/registry.ts"
import { leasesSubject } from "../../messages/subjects.ts"
import { heedful } from "../../runtime/placement/heedful.ts"
import { leased } from "../../runtime/placement/leased.ts"
import { Registry, RegistryDown } from "../../runtime/ports/registry.ts"
import { bankLike, type Ground, inWorld, quiet, until } from "./hosted.ts"

const shards = 8
const options = { ttlMs: 400, marginMs: 80 }

/** A registry that can be cut off from one node. */
const wired = Effect.fnUntraced(function* (store: RegistryStore) {
  const whole = Context.get(yield* Layer.build(memoryRegistry(store)), Registry)
  const cable = { isCut: false }
  const over = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | RegistryDown> =>
    Effect.suspend(
      (): Effect.Effect<A, E | RegistryDown> => (cable.isCut ? Effect.fail(new RegistryDown({ why: "cut" })) : effect)
    )
  const registry: Registry["Service"] = {
    all: over(whole.all),
    write: (key, value, revision) => over(whole.write(key, value, revision)),
    remove: (key, revision) => over(whole.remove(key, revision))
  }
  return { cable, registry }
})

const join = Effect.fnUntraced(function* (ground: Ground, store: RegistryStore, name: string, home?: string) {
  const { cable, registry } = yield* wired(store)
  const scope = yield* Scope.make()
  const settings = { ...quiet, shards }
  const own = { node: name, ...(home !== undefined && { home }) }
  const hosting = { ...own, kinds: new Map([["bank", bankLike()]]), settings, client: ground.client }
  const placement = yield* leased({ ...ground, registry }, hosting, options).pipe(Scope.provide(scope))
  const numbers = () => placement.held().map(({ shard }) => shard)
  return { ...placement, numbers, cable, leave: Scope.close(scope, Exit.void) }
})

type Node = Effect.Success<ReturnType<typeof join>>

const covered = (...nodes: ReadonlyArray<Node>): boolean =>
  new Set(nodes.flatMap((node) => node.numbers())).size === shards &&
  nodes.reduce((sum, node) => sum + node.numbers().length, 0) === shards

describe("a heedful bus", () => {
  it("gives up what is under way when shards change hands, and nothing later", () => {
    inWorld(({ bus }) =>
      Effect.gen(function* () {
        yield* bus.subscribe("deaf", () => {})
        yield* bus.subscribe("prompt", (message) => message.respond("here"))
        const heeding = yield* heedful(bus)
        const ask = (subject: string) => heeding.request(subject, { body: "", timeoutMs: 2_000 })
        const asked = yield* Effect.forkChild(Effect.flip(ask("deaf")))
        yield* Effect.sleep(10)
        const start = yield* Clock.currentTimeMillis
        bus.publish(leasesSubject, "")
        expect((yield* Fiber.join(asked))._tag).toBe("TimedOut")
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(100)
        expect(Buffer.from((yield* ask("prompt")).body).toString()).toBe("here")
        yield* Effect.flip(ask("deaf"))
        expect((yield* Clock.currentTimeMillis) - start).toBeGreaterThanOrEqual(2_000)
      })
    )
  })
})

describe("leases", () => {
  it("give a lonely node everything, and half of it to the one who comes", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const store = registryStore()
        const one = yield* join(ground, store, "n1")
        yield* until(() => covered(one) && one.isReady())
        const two = yield* join(ground, store, "n2")
        yield* until(() => covered(one, two) && two.numbers().length === shards / 2)
        expect(one.numbers()).toHaveLength(shards / 2)
        yield* one.leave
        yield* two.leave
      })
    )
  })

  it("pass on at once when a node leaves, which takes back the record that it lives", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const store = registryStore()
        const one = yield* join(ground, store, "n1")
        const two = yield* join(ground, store, "n2")
        yield* until(() => covered(one, two))
        const start = yield* Clock.currentTimeMillis
        yield* one.leave
        expect(one.numbers()).toEqual([])
        expect(one.isReady()).toBe(false)
        yield* until(() => covered(two))
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(options.ttlMs)
        yield* two.leave
        expect([...store.records.keys()].filter((key) => key.startsWith("node-"))).toEqual([])
      })
    )
  })

  it("go at once to the process that is at home where their holder has died, and to no other of its name", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const store = registryStore()
        const dead = yield* join(ground, store, "n1", "here")
        yield* until(() => covered(dead))
        dead.cable.isCut = true
        const start = yield* Clock.currentTimeMillis
        const elsewhere = yield* join(ground, store, "n1", "there")
        yield* Effect.sleep(options.ttlMs / 4)
        expect(elsewhere.numbers()).toEqual([])
        const next = yield* join(ground, store, "n1", "here")
        yield* until(() => covered(next))
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(options.ttlMs / 2)
        for (const node of [dead, elsewhere, next]) yield* node.leave
      })
    )
  })

  it("end by the holder's own clock before anybody else takes what it held", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const store = registryStore()
        const one = yield* join(ground, store, "n1")
        yield* until(() => covered(one))
        const two = yield* join(ground, store, "n2")
        yield* until(() => covered(one, two))
        one.cable.isCut = true
        const cut = yield* Clock.currentTimeMillis
        yield* until(() => !one.isReady())
        const silent = yield* Clock.currentTimeMillis
        expect(silent - cut).toBeLessThanOrEqual(options.ttlMs - options.marginMs)
        expect(two.numbers().length).toBeLessThan(shards)
        yield* until(() => two.numbers().length === shards)
        expect(yield* Clock.currentTimeMillis).toBeGreaterThanOrEqual(silent + options.marginMs)
        // It finds that it was declared dead, gives up what it had, and joins as another.
        one.cable.isCut = false
        yield* until(() => covered(one, two) && one.isReady())
        expect(ground.logged.some(({ text }) => text.includes("n1 was declared dead"))).toBe(true)
        yield* one.leave
        yield* two.leave
      })
    )
  })

  it("are nobody's to take while the registry is away for everybody", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const store = registryStore()
        const nodes = [yield* join(ground, store, "n1"), yield* join(ground, store, "n2")] as const
        // Shared out evenly first, or what is seen afterwards may be the sharing and not the outage.
        yield* until(() => covered(...nodes) && nodes.every((node) => node.numbers().length === 4))
        const before = nodes.map((node) => node.numbers().toSorted())
        for (const node of nodes) node.cable.isCut = true
        yield* Effect.sleep(10 * options.ttlMs)
        expect(nodes.map((node) => node.isReady())).toEqual([false, false])
        for (const node of nodes) node.cable.isCut = false
        yield* until(() => nodes.every((node) => node.isReady()))
        expect(nodes.map((node) => node.numbers().toSorted())).toEqual(before)
        for (const node of nodes) yield* node.leave
      })
    )
  })
})
