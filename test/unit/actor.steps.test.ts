/** A state that takes long to be written down or handed out: others have their turn, and it is of one moment. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Settings } from "../../runtime/actor/owned.ts"
import { type Fold, follow } from "../../runtime/follow.ts"
import { joining, packing, unpacking } from "../../runtime/packed.ts"
import type { Balance } from "../sim/bank.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const short: Partial<Settings> = { checkpointEveryMs: 10, logEntriesMax: 0, logBytesMax: 0 }
const steps = 200

/** A bank that is saved and loaded in many steps, and counts how often. */
const slow = (counts: { saved: number; given: number }) =>
  bankLike({
    saving: function* (state: Balance) {
      counts.saved += 1
      const bytes = Buffer.from(JSON.stringify(state))
      try {
        for (let step = 0; step < steps; step++) yield
      } finally {
        counts.given += 1
      }
      return [bytes.subarray(0, 3), bytes.subarray(3)]
    },
    loading: function* (bytes: Uint8Array) {
      for (let step = 0; step < steps; step++) yield
      return JSON.parse(Buffer.from(bytes).toString()) as Balance
    }
  })

const deposits = Effect.fnUntraced(function* (ground: Ground, count: number) {
  for (let n = 0; n < count; n++) {
    yield* tell(ground, "Deposit", { amount: 1 })
    yield* Effect.sleep(1)
  }
})

describe("a snapshot in steps", () => {
  it("is of its first step: what is committed meanwhile stays in the log, and nothing of it is lost", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const counts = { saved: 0, given: 0 }
        const kinds = [slow(counts)]
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { settings: short, kinds })
            yield* deposits(ground, 100)
            expect(counts.saved).toBeGreaterThan(0)
          })
        )
        // The one that was under way when the shard was given up has cleaned up.
        expect(counts.given).toBe(counts.saved)
        yield* host(ground, { kinds })
        expect((yield* query(ground, "Balance", {})).ok).toMatchObject({ balance: 100, moves: 100 })
      })
    )
  })

  it("that fails leaves its part of the log, and is said", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const failing = bankLike({
          // biome-ignore lint/correctness/useYield: it fails before it has anything to yield.
          saving: function* (): Generator<void, ReadonlyArray<Uint8Array>> {
            throw new Error("told to fail")
          }
        })
        yield* host(ground, { settings: short, kinds: [failing] })
        yield* deposits(ground, 3)
        yield* until(() => ground.logged.some(({ text }) => text.includes("cannot be saved")))
        expect((yield* query(ground, "Balance", {})).ok?.balance).toBe(3)
      })
    )
  })
})

class Mirror implements Fold {
  balance = 0
  version = 0
  loads = 0

  load(bytes: Uint8Array, version: number): void {
    this.balance = (JSON.parse(Buffer.from(bytes).toString()) as Balance).balance
    this.version = version
    this.loads += 1
  }

  apply(entries: ReadonlyArray<{ readonly version: number; readonly events: ReadonlyArray<unknown> }>): void {
    for (const { version, events } of entries) {
      for (const event of events as ReadonlyArray<{ readonly amount: number }>) this.balance += event.amount
      this.version = version
    }
  }
}

describe("a state that is handed out in steps", () => {
  it("is made once for all who ask meanwhile, and they miss nothing of what is committed meanwhile", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const counts = { saved: 0, given: 0 }
        yield* host(ground, { kinds: [slow(counts)] })
        yield* deposits(ground, 5)
        const target = { kind: "bank", id: "a", caller: "c", shards: 1 }
        const mirrors = [new Mirror(), new Mirror(), new Mirror()]
        const following = mirrors.map((mirror) => follow(ground.bus, ground.client, target, mirror))
        yield* Effect.all([Effect.all(following, { concurrency: "unbounded" }), deposits(ground, 40)], {
          concurrency: "unbounded"
        })
        yield* until(() => mirrors.every(({ balance }) => balance === 45))
        expect(counts.saved).toBe(1)
        const late = new Mirror()
        yield* follow(ground.bus, ground.client, target, late)
        yield* until(() => late.balance === 45)
        // What came behind it could still be told.
        expect(counts.saved).toBe(1)
        expect(mirrors.map(({ loads }) => loads)).toEqual([1, 1, 1])
      })
    )
  })

  it("is answered by nobody when the shard is given up, and by the next owner then", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const counts = { saved: 0, given: 0 }
        const kinds = [slow(counts)]
        const mirror = new Mirror()
        const target = { kind: "bank", id: "a", caller: "c", shards: 1 }
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { kinds })
            yield* deposits(ground, 5)
            yield* Effect.forkIn(follow(ground.bus, ground.client, target, mirror), yield* Effect.scope)
            yield* until(() => counts.saved === 1)
          })
        )
        expect(counts.given).toBe(1)
        yield* host(ground, { kinds })
        yield* follow(ground.bus, ground.client, target, mirror)
        expect(mirror.balance).toBe(5)
      })
    )
  })
})

describe("packed bytes", () => {
  const mixed = Buffer.alloc(2_500_000, "repeat ")
  for (let at = 0; at < 1_200_000; at++) mixed[at] = Math.imul(at, 2654435761) >>> 13
  const atOnce = <A>(work: Generator<void, A>): A => {
    for (;;) {
      const step = work.next()
      if (step.done === true) return step.value
    }
  }

  it.each([0, 1, 1_048_576, 2_500_000])("of %i come back, in whatever pieces they were given", (size) => {
    const bytes = mixed.subarray(0, size)
    for (const cut of [1_000_000, 7_777]) {
      const pieces = Array.from({ length: Math.ceil(size / cut) }, (_, at) => bytes.subarray(at * cut, (at + 1) * cut))
      const packed = atOnce(packing(pieces))
      const file = Buffer.from(atOnce(joining(packed.parts)))
      const found = atOnce(unpacking(file, 0, packed))
      expect("damage" in found ? found : Buffer.compare(found, bytes)).toBe(0)
    }
  })

  it("are known as damaged wherever a bit of them is another", () => {
    const packed = atOnce(packing([mixed.subarray(0, 1_500_000)]))
    const file = Buffer.from(atOnce(joining(packed.parts)))
    for (const at of [0, 5, 9, 40, 900_000, file.length - 1]) {
      const other = Buffer.from(file)
      other[at] = (other[at] as number) ^ 4
      const found = atOnce(unpacking(other, 0, packed))
      // There are bits of which nothing depends.
      expect("damage" in found || Buffer.compare(found, mixed.subarray(0, 1_500_000)) === 0).toBe(true)
    }
    expect(atOnce(unpacking(file.subarray(0, -1), 0, packed))).toHaveProperty("damage")
    expect(atOnce(unpacking(file, 0, { ...packed, size: packed.size + 1 }))).toHaveProperty("damage")
    expect(atOnce(unpacking(file, 0, { blocks: 1e9, size: 1e15 }))).toHaveProperty("damage")
  })
})
