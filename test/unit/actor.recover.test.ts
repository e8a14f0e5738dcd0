/** What a new owner reads of its shard, and what it makes of a checkpoint that is old, damaged or absent. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { damage } from "../../adapters/memory/journal.ts"
import type { Entry } from "../../messages/entry.ts"
import { recover } from "../../runtime/actor/recover.ts"
import { bankLike, type Ground, inWorld } from "./hosted.ts"

const entry = (id: string, version: number, due = 0): Entry => ({
  kind: "bank",
  id,
  version,
  cause: `${id}-${version}`,
  caller: "c",
  at: 1,
  due,
  events: '[{"_tag":"Deposited","amount":1}]',
  reply: "{}"
})

const write = Effect.fnUntraced(function* (ground: Ground, ...entries: ReadonlyArray<Entry>) {
  const log = yield* ground.journal.claim(0, "before")
  return yield* Effect.flatten(log.append(entries))
})

const recovered = Effect.fnUntraced(function* (ground: Ground) {
  const log = yield* ground.journal.claim(0, "now")
  const { journal, snapshots } = ground
  return yield* recover(0, log, { journal, snapshots, kinds: new Map([["bank", bankLike()]]) })
})

const checkpoint = (ground: Ground, version: number, dues: ReadonlyArray<readonly [string, number]>) =>
  ground.snapshots.save("shards/0", { version, bytes: Buffer.from(JSON.stringify({ dues })) })

describe("recovery", () => {
  it("of an empty log finds nothing", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const { tails, dirty, dues, size, obliging } = yield* recovered(ground)
        expect([tails.size, dirty.size, dues.size, size.entries, obliging.length]).toEqual([0, 0, 0, 0, 0])
      })
    )
  })

  it("keeps each actor's entries apart, with the place of its first", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const positions = yield* write(ground, entry("a", 1), entry("b", 1), entry("a", 2))
        damage(ground.store, 0, positions[1] ?? 0, "torn")
        const { tails, dirty, size, obliging } = yield* recovered(ground)
        expect([...dirty]).toEqual([
          ["bank/a", positions[0]],
          ["bank/b", positions[1]]
        ])
        expect(tails.get("bank/a")?.map(({ position }) => position)).toEqual([positions[0], positions[2]])
        expect(tails.get("bank/b")).toMatchObject([{ damaged: { id: "b", why: "torn" } }])
        expect(size.entries).toBe(2)
        expect(obliging).toHaveLength(2)
      })
    )
  })

  it("takes what is due from the checkpoint, and from the log what was said since", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const positions = yield* write(ground, entry("a", 1, 11), entry("b", 1, 12), entry("c", 1, 13))
        // As of the second entry; the third is behind it.
        const dues = [["bank/a", 0] as const, ["bank/b", 22] as const, ["bank/gone", 44] as const]
        yield* checkpoint(ground, positions[1] ?? 0, dues.slice(1))
        const since = yield* write(ground, entry("b", 2, 0))
        expect(since).toHaveLength(1)
        const { dues: found } = yield* recovered(ground)
        expect(found.entries().toSorted()).toEqual([
          ["bank/c", 13],
          ["bank/gone", 44]
        ])
      })
    )
  })

  it("says so when the newest checkpoint is damaged, and takes the one before it", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* checkpoint(ground, 1, [["bank/a", 5]])
        yield* checkpoint(ground, 2, [["bank/a", 6]])
        const key = "snapshots/shards/0/0000000000000002"
        yield* ground.objects.put(key, (yield* ground.objects.get(key)).slice(0, -1))
        const { dues } = yield* recovered(ground)
        expect(dues.entries()).toEqual([["bank/a", 5]])
        const errors = ground.logged.filter(({ level }) => level === "Error")
        expect(errors).toMatchObject([{ text: expect.stringContaining("shard 0 at position 2 is damaged") }])
      })
    )
  })
})
