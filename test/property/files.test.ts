/** The bytes of files under random work, faults and kills, beside plain arrays of bytes. */
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { make as makeObjects } from "../../adapters/memory/objects.ts"
import { makeShelf, makeTape } from "../../adapters/memory/scratch.ts"
import { Prng } from "../../adapters/world/prng.ts"
import type { Data } from "../../runtime/files/data.ts"
import { keysOf } from "../../runtime/files/keys.ts"
import { openData } from "../../runtime/files/open.ts"
import { type Objects, StoreDown } from "../../runtime/ports/objects.ts"
import { Bytespace } from "../sim/bytespace.ts"
import { World } from "../sim/world.ts"

const place = { prefix: "org/space", layout: "slices", workspace: "space" } as const
const who = { uid: 1000, gid: 1000 }
const inos = [2, 3]
const kib = 1024

/** Small enough that many fit in a run, and large enough to fill blocks and chunks at times. */
const size = fc.oneof(
  { weight: 16, arbitrary: fc.integer({ min: 1, max: 150 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 64 * kib }) },
  { weight: 1, arbitrary: fc.constantFrom(4096 * kib - 1, 4096 * kib, 5000 * kib) }
)
const offset = fc.oneof(
  // Close together, so that they overlap in every way.
  { weight: 40, arbitrary: fc.integer({ min: 0, max: 600 }) },
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 9000 * kib }) },
  { weight: 1, arbitrary: fc.constantFrom(65536 * kib - 100, 4096 * kib - 50) }
)
const ino = fc.constantFrom(...inos)
const step = fc.oneof(
  { weight: 14, arbitrary: fc.record({ do: fc.constant("write" as const), ino, offset, size }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("append" as const), ino, size }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("read" as const), ino, offset, size }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("stream" as const), ino, count: fc.integer({ min: 1, max: 28 }) })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("flush" as const), ino }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("flush and go on" as const), ino, ms: fc.nat(120) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("truncate" as const), ino, size: offset }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 8000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const), ms: fc.integer({ min: 0, max: 150 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("outage" as const), ms: fc.integer({ min: 1, max: 20_000 }) }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const plan = fc.record({
  seed: fc.integer(),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
  lossy: fc.constantFrom(0, 0.05, 0.3),
  damaged: fc.constantFrom(0, 0.1),
  bufferBytes: fc.constantFrom(300 * 1024 * kib, 9 * 1024 * kib),
  stageBytes: fc.constantFrom(4096 * 1024 * kib, 24 * 1024 * kib),
  memoryBytes: fc.constantFrom(0, 8 * 1024 * kib),
  shelved: fc.boolean()
})
type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never

/** What the file holds, grown as it is written. */
class Model {
  bytes = Buffer.alloc(0)

  private room = Buffer.alloc(1024)

  resize(to: number): void {
    if (to > this.room.length) {
      const next = Buffer.alloc(to * 2)
      this.bytes.copy(next)
      this.room = next
    } else this.room.fill(0, Math.min(to, this.bytes.length), this.bytes.length)
    this.bytes = this.room.subarray(0, to)
  }

  write(at: number, data: Uint8Array): void {
    if (at + data.length > this.bytes.length) this.resize(at + data.length)
    this.bytes.set(data, at)
  }
}

/** A store that fails, forgets to answer and damages what it gives, as the seed has it. */
const faulty = (
  inner: Objects["Service"],
  prng: Prng,
  { damaged, isAway, lossy }: { readonly damaged: number; readonly isAway: () => boolean; readonly lossy: () => number }
): Objects["Service"] => {
  const far = <A, E>(operation: string, key: string, act: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      yield* Effect.sleep(prng.below(30))
      const down = (why: string) => new StoreDown({ operation, key, why })
      if (isAway() || prng.chance(lossy())) return yield* down("the request was lost")
      const done = yield* act
      yield* Effect.sleep(prng.below(30))
      if (prng.chance(lossy())) return yield* down("the answer was lost")
      return done
    })
  const last = new Map<string, boolean>()
  return {
    ...inner,
    put: (key, bytes) => far("put", key, inner.put(key, bytes)),
    get: (key, range) =>
      Effect.map(far("get", key, inner.get(key, range)), (bytes) => {
        // Never twice in a row: that would be damage at rest, which is an error and not a fault to survive.
        const hurt = last.get(key) !== true && prng.chance(damaged)
        last.set(key, hurt)
        const at = prng.below(bytes.length)
        if (hurt) bytes[at] = (bytes[at] ?? 0) ^ 1
        return bytes
      })
  }
}

const pattern = (length: number, seed: number): Uint8Array => {
  const words = new Int32Array(Math.ceil(length / 4))
  let state = seed | 1
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    words[at] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** Runs a plan in a world of its own and throws at the first byte that is not as it should be. */
const runPlan = (given: Plan): Record<string, number> => {
  const world = new World(given.seed)
  const prng = new Prng(given.seed).fork("files")
  const inner = makeObjects()
  const keys = new Set<string>()
  const watched = {
    ...inner,
    put: (key: string, bytes: Uint8Array) => Effect.tap(inner.put(key, bytes), () => Effect.sync(() => keys.add(key)))
  }
  let awayUntil = 0
  let lossy = given.lossy
  const objects = faulty(watched, prng.fork("objects"), {
    damaged: given.damaged,
    isAway: () => world.now < awayUntil,
    lossy: () => lossy
  })
  const space = new Bytespace(keysOf(place), (key) => keys.has(key))
  const chooser = prng.fork("commands")
  const delayMs = () => chooser.below(20)
  const never = () => false
  const commands = {
    ...space.commands({ lost: () => chooser.chance(lossy), lostAnswer: () => chooser.chance(lossy), delayMs }),
    // A plan that is not answered is an error of the read, which whoever asked may repeat; here it would be all we see.
    readPlan: space.commands({ lost: never, lostAnswer: never, delayMs }).readPlan
  }
  const tape = makeTape()
  const shelf = makeShelf()
  const models = new Map(inos.map((one) => [one, new Model()]))
  const model = (one: number) => models.get(one) as Model
  const reached: Record<string, number> = {}
  const reach = (what: string, times = 1) => {
    reached[what] = (reached[what] ?? 0) + times
  }

  const open = (scope: Scope.Closeable) =>
    Scope.provide(
      openData({
        objects,
        commands,
        shelf: given.shelved ? shelf : undefined,
        tape,
        options: {
          ...place,
          bufferBytes: given.bufferBytes,
          stageBytes: given.stageBytes,
          flushMs: 5_000,
          memoryBytes: given.memoryBytes
        }
      }),
      scope
    )
  const check = (data: Data, one: number, at: number, length: number, why: string) =>
    Effect.map(data.read({ ino: one, offset: at, length, handle: one }), (pieces) => {
      const got = Buffer.concat(pieces)
      const wanted = model(one).bytes.subarray(at, at + length)
      if (got.equals(wanted)) return
      let first = 0
      while (first < got.length && got[first] === wanted[first]) first++
      throw new Error(
        `${why}: inode ${one} from ${at}: ${got.length} of ${wanted.length} bytes, the first other one at ${at + first}`
      )
    })
  const act = (data: Data, one: Step, index: number) =>
    Effect.gen(function* () {
      if (one.do === "write" || one.do === "append") {
        const bytes = pattern(one.size, given.seed + index)
        const at = one.do === "append" ? model(one.ino).bytes.length : one.offset
        yield* data.write({ ino: one.ino, offset: at, data: bytes, who, append: one.do === "append" })
        model(one.ino).write(at, bytes)
      } else if (one.do === "stream") {
        const bytes = pattern(1024 * kib, given.seed + index)
        for (let part = 0; part < one.count; part++) {
          const at = part * bytes.length
          yield* data.write({ ino: one.ino, offset: at, data: bytes, who })
          model(one.ino).write(at, bytes)
        }
      } else if (one.do === "read") yield* check(data, one.ino, one.offset, one.size, "a read")
      else if (one.do === "flush") {
        const done = yield* Effect.exit(data.flush(one.ino))
        reach(Exit.isSuccess(done) ? "flushes" : "late flushes")
      } else if (one.do === "flush and go on") {
        yield* Effect.forkDetach(Effect.ignore(data.flush(one.ino)))
        yield* Effect.sleep(one.ms)
      } else if (one.do === "truncate") {
        const done = yield* Effect.exit(
          data.ordered(
            one.ino,
            Effect.sync(() => space.truncate(one.ino, one.size))
          )
        )
        if (Exit.isSuccess(done)) model(one.ino).resize(one.size)
      } else if (one.do === "outage") awayUntil = world.now + one.ms
      else if (one.do === "wait") yield* Effect.sleep(one.ms)
    })

  const count = ({ meters }: Data) => {
    reach("waits", meters.waits)
    reach("mismatches", meters.digestMismatches)
    reach("failed uploads", meters.uploadFailures)
    reach("failed commits", meters.commitFailures)
  }

  world.run(
    Effect.gen(function* () {
      let scope = Scope.makeUnsafe()
      let data = yield* open(scope)
      for (const [index, one] of given.steps.entries()) {
        if (one.do === "kill") {
          // In the midst of storing and committing, at some moment of it.
          if (one.ms > 0) yield* Effect.timeoutOption(Effect.exit(data.flushAll), one.ms)
          count(data)
          yield* Scope.close(scope, Exit.void)
          scope = Scope.makeUnsafe()
          data = yield* open(scope)
          reach("kills")
          reach("recovered bytes", data.meters.recoveredBytes)
        } else yield* act(data, one, index)
        const { meters } = data
        if (meters.stagedBytes > given.stageBytes + 2 * 1024 * kib)
          throw new Error(`${meters.stagedBytes} bytes are staged`)
      }
      // The world heals, and everything that was accepted is there, for another host too.
      lossy = 0
      awayUntil = 0
      yield* Effect.sleep(10_000)
      yield* data.flushAll
      for (const one of inos) yield* check(data, one, 0, 100 * 1024 * kib, "at the end")
      count(data)
      if (data.meters.dirtyFiles !== 0) throw new Error(`${data.meters.dirtyFiles} files are not forgotten`)
      if (data.meters.dirtyBytes !== 0) throw new Error(`${data.meters.dirtyBytes} dirty bytes are left`)
      yield* Scope.close(scope, Exit.void)
      const elsewhere = Scope.makeUnsafe()
      const other = yield* Scope.provide(openData({ objects, commands, options: place }), elsewhere)
      for (const one of inos) yield* check(other, one, 0, 100 * 1024 * kib, "elsewhere")
      count(other)
      yield* Scope.close(elsewhere, Exit.void)
    }).pipe(Effect.orDie)
  )
  return reached
}

/** What is left of a stage is the word that all of it was sent and is over: it takes no room from what comes then. */
const leftOver: Plan = {
  ...{ seed: 0, lossy: 0, damaged: 0, bufferBytes: 9 << 20, stageBytes: 24 << 20, memoryBytes: 0, shelved: true },
  steps: [
    { do: "stream", ino: 2, count: 1 },
    { do: "stream", ino: 3, count: 1 },
    { do: "wait", ms: 872 },
    { do: "read", ino: 2, offset: 0, size: 56 },
    { do: "flush", ino: 2 },
    { do: "write", ino: 3, offset: 49, size: 26 },
    { do: "write", ino: 2, offset: 484, size: 69 },
    { do: "flush", ino: 2 },
    { do: "outage", ms: 19_415 },
    { do: "kill", ms: 115 },
    { do: "read", ino: 3, offset: 200, size: 28 },
    { do: "kill", ms: 114 },
    { do: "stream", ino: 3, count: 25 }
  ]
}

describe("files' bytes", () => {
  it("are what was written, whatever fails and whoever is killed", () => {
    const reached: Record<string, number> = {}
    fc.assert(
      fc.property(plan, (given) => {
        for (const [what, times] of Object.entries(runPlan(given))) reached[what] = (reached[what] ?? 0) + times
      }),
      { numRuns: Number(process.env["FILES_RUNS"] ?? 100), examples: [[leftOver]] }
    )
    for (const what of [
      "kills",
      "recovered bytes",
      "flushes",
      "late flushes",
      "waits",
      "mismatches",
      "failed uploads",
      "failed commits"
    ])
      expect(reached[what], what).toBeGreaterThan(0)
  }, 300_000)
})
