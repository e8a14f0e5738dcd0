/** What keeping snapshots has to do, over whatever store of objects. */
import { Effect, type Layer, ManagedRuntime, Metric, References, Stream } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Objects } from "../../runtime/ports/objects.ts"
import { Snapshots } from "../../runtime/ports/snapshots.ts"
import { damagedCount } from "../../runtime/snapshots.ts"

/** The layer gives the store beside the snapshots, so that the suite can damage what was kept under this prefix. */
export const snapshotsContract = (
  name: string,
  layer: Layer.Layer<Snapshots | Objects, unknown>,
  prefix: string
): void => {
  describe(`snapshots: ${name}`, { timeout: 30_000 }, () => {
    const runtime = ManagedRuntime.make(layer)
    let snapshots: typeof Snapshots.Service
    let objects: typeof Objects.Service
    beforeAll(async () => {
      snapshots = await runtime.runPromise(Effect.map(Snapshots, (service) => service))
      objects = await runtime.runPromise(Effect.map(Objects, (service) => service))
    }, 30_000)
    afterAll(() => runtime.dispose())
    const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> =>
      Effect.runPromise(Effect.provideService(effect, References.MinimumLogLevel, "None"))
    const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
    const keysOf = async (of: string): Promise<Array<string>> =>
      (await run(Stream.runCollect(objects.list(`${prefix}snapshots/${of}/`)))).flat().map((one) => one.key)
    const damaged = async (): Promise<number> => (await run(Metric.value(damagedCount))).count

    it("has none of an actor that saved none", async () => {
      expect(await run(snapshots.latest("account/none"))).toBeUndefined()
    })

    it("gives the newest, and an older one saved late does not hide it", async () => {
      await run(snapshots.save("account/a", { version: 9, bytes: bytes("nine") }))
      await run(snapshots.save("account/a", { version: 10, bytes: bytes("ten") }))
      await run(snapshots.save("account/a", { version: 3, bytes: bytes("three") }))
      const latest = await run(snapshots.latest("account/a"))
      expect(latest?.version).toBe(10)
      expect(new TextDecoder().decode(latest?.bytes)).toBe("ten")
    })

    it("keeps apart names that continue one another", async () => {
      await run(snapshots.save("up", { version: 1, bytes: bytes("up") }))
      await run(snapshots.save("up/down", { version: 7, bytes: bytes("down") }))
      await run(snapshots.save("upper", { version: 8, bytes: bytes("upper") }))
      expect((await run(snapshots.latest("up")))?.version).toBe(1)
      await run(snapshots.prune("up", 100))
      expect(await run(snapshots.latest("up"))).toBeUndefined()
      expect((await run(snapshots.latest("up/down")))?.version).toBe(7)
      expect((await run(snapshots.latest("upper")))?.version).toBe(8)
    })

    it("gives back exactly what was saved, of any size, and takes less room for what repeats", async () => {
      const mixed = Buffer.alloc(3 * 1024 * 1024 + 5, "repeat ")
      for (let at = 0; at < 1024 * 1024; at++) mixed[at] = Math.imul(at, 2654435761) >>> 13
      for (const [version, body] of [Buffer.alloc(0), Buffer.from([0]), mixed].entries()) {
        await run(snapshots.save("sizes", { version, bytes: body }))
        const found = await run(snapshots.latest("sizes"))
        expect(found?.version).toBe(version)
        expect(Buffer.compare(found?.bytes ?? Buffer.alloc(1), body)).toBe(0)
      }
      const key = (await keysOf("sizes")).at(-1) ?? ""
      expect((await run(objects.head(key))).size).toBeLessThan(mixed.length / 2)
    })

    it("gives that of a version, and none where that one is missing or damaged", async () => {
      await run(snapshots.save("known", { version: 1, bytes: bytes("one") }))
      await run(snapshots.save("known", { version: 2, bytes: bytes("two") }))
      expect(new TextDecoder().decode((await run(snapshots.at("known", 1)))?.bytes)).toBe("one")
      expect(await run(snapshots.at("known", 3))).toBeUndefined()
      await run(objects.put((await keysOf("known"))[0] ?? "", bytes("torn")))
      expect(await run(snapshots.at("known", 1))).toBeUndefined()
      expect((await run(snapshots.at("known", 2)))?.version).toBe(2)
    })

    it("prunes what is older and nothing else", async () => {
      for (const version of [1, 2, 3, 4]) await run(snapshots.save("prune", { version, bytes: bytes("x") }))
      await run(snapshots.prune("prune", 3))
      expect((await keysOf("prune")).length).toBe(2)
      expect((await run(snapshots.latest("prune")))?.version).toBe(4)
    })

    it("passes over a damaged one, wherever the damage is, and counts it", async () => {
      const body = Buffer.alloc(300, "some state ")
      await run(snapshots.save("hurt", { version: 1, bytes: bytes("whole") }))
      await run(snapshots.save("hurt", { version: 2, bytes: body }))
      const key = (await keysOf("hurt")).at(-1) ?? ""
      const whole = new Uint8Array(await run(objects.get(key)))
      const hurt: Array<Uint8Array> = [0, 1, 39, whole.length - 1].map((length) => whole.slice(0, length))
      hurt.push(Buffer.concat([whole, Buffer.from([0])]))
      for (let at = 0; at < whole.length; at++) {
        const flipped = whole.slice()
        flipped[at] = (flipped[at] ?? 0) ^ 0x10
        hurt.push(flipped)
      }
      const before = await damaged()
      for (const [at, file] of hurt.entries()) {
        await run(objects.put(key, file))
        const found = await run(snapshots.latest("hurt"))
        // The four bytes between the fields of the head mean nothing but are under its checksum all the same.
        if (found?.version === 2) expect(Buffer.compare(found.bytes, body), `damage ${at}`).toBe(0)
        else expect(found?.version, `damage ${at}`).toBe(1)
      }
      expect((await damaged()) - before).toBeGreaterThan(hurt.length - 8)
      await run(objects.put(key, whole))
      expect((await run(snapshots.latest("hurt")))?.version).toBe(2)
    })

    it("takes a snapshot of another name or version for damaged", async () => {
      await run(snapshots.save("mine", { version: 5, bytes: bytes("mine") }))
      const file = await run(objects.get((await keysOf("mine"))[0] ?? ""))
      await run(objects.put(`${prefix}snapshots/mine/0000000000000006`, file))
      await run(objects.put(`${prefix}snapshots/yours/0000000000000005`, file))
      expect((await run(snapshots.latest("mine")))?.version).toBe(5)
      expect(await run(snapshots.latest("yours"))).toBeUndefined()
    })

    it("refuses names that would leave its folder", async () => {
      for (const bad of ["", "/", "a/", "/a", "a//b", "../a", "a/../b", "a b", "ä", "a/b/c/d/e"]) {
        const refused = await run(Effect.flip(snapshots.save(bad, { version: 1, bytes: bytes("x") })))
        expect(refused._tag, JSON.stringify(bad)).toBe("StoreRefused")
        expect((await run(Effect.flip(snapshots.latest(bad))))._tag).toBe("StoreRefused")
        expect((await run(Effect.flip(snapshots.prune(bad, 1))))._tag).toBe("StoreRefused")
      }
    })
  })
}
