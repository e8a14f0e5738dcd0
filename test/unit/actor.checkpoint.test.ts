/** What is written down while nobody looks: it shortens the log, lets the idle go, and keeps what is still needed. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../messages/entry.ts"
import { isTooLong } from "../../runtime/actor/checkpoint.ts"
import { type Settings, settings } from "../../runtime/actor/owned.ts"
import type { Client } from "../../runtime/client.ts"
import { StoreDown } from "../../runtime/ports/objects.ts"
import { bankLike, type Ground, host, inWorld, query, tell, until } from "./hosted.ts"

const logOf = (ground: Ground): ReadonlyArray<Entry> =>
  (ground.store.logs.get(0)?.frames ?? []).flatMap(({ reads }) =>
    reads.flatMap((read) => ("entry" in read ? [read.entry] : []))
  )

/** The log is cut whenever there is anything to cut. */
const short: Partial<Settings> = { checkpointEveryMs: 10, logEntriesMax: 0, logBytesMax: 0 }
const forgetful: Partial<Settings> = { checkpointEveryMs: 10, idleMs: 50 }

describe("the log", () => {
  it("is shortened when it is as long as it may be, and long before when there was time for it", () => {
    const tooLong = (entries: number, sinceMs: number) => isTooLong({ bytes: 0, entries }, settings, sinceMs)
    expect([tooLong(settings.logEntriesMax + 1, 0), tooLong(settings.logEntriesMax, 0)]).toEqual([true, false])
    expect([tooLong(20_001, 19_999), tooLong(20_001, 20_000), tooLong(20_000, 60_000)]).toEqual([false, true, false])
    expect(isTooLong({ bytes: settings.logBytesMax + 1, entries: 1 }, settings, 0)).toBe(true)
  })

  it("is cut behind what snapshots cover, and the next owner has all of it", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { settings: short })
            for (let n = 0; n < 50; n++) yield* tell(ground, "Deposit", { amount: 1 }, { id: `a${n % 5}` })
            yield* until(() => logOf(ground).length === 0)
          })
        )
        yield* host(ground)
        for (let n = 0; n < 5; n++) expect((yield* query(ground, "Balance", {}, { id: `a${n}` })).ok?.balance).toBe(10)
      })
    )
  })

  it("is read again by a takeover only as far as it is not covered, actors that it does not name included", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* host(ground, { settings: short })
            yield* tell(ground, "Deposit", { amount: 7 })
            yield* until(() => logOf(ground).length === 0)
          })
        )
        const { serving } = yield* host(ground)
        expect(serving().logBytes()).toBe(0)
        expect(serving().actors.cells.has("bank/a")).toBe(false)
        expect((yield* query(ground, "Balance", {})).ok?.balance).toBe(7)
      })
    )
  })

  it("keeps what an outbox still owes, and lets go of it once it is met", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let isDeaf = true
        const deaf: Client = {
          ask: (ask) =>
            Effect.gen(function* () {
              while (isDeaf) yield* Effect.sleep(10)
              return yield* ground.client.ask(ask)
            })
        }
        yield* host({ ...ground, client: deaf }, { settings: short })
        yield* tell(ground, "Deposit", { amount: 5 })
        yield* tell(ground, "Transfer", { amount: 2, to: "b" })
        for (let n = 0; n < 10; n++) yield* tell(ground, "Deposit", { amount: 1 }, { id: "c" })
        yield* Effect.sleep(500)
        expect(logOf(ground).some(({ events }) => events.includes("Sent"))).toBe(true)
        isDeaf = false
        yield* until(() => logOf(ground).length === 0)
        expect((yield* query(ground, "Balance", {}, { id: "b" })).ok?.balance).toBe(2)
      })
    )
  })

  it("keeps what could not be covered, and says that it was put off", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        let isAway = true
        const down = new StoreDown({ operation: "put", key: "k", why: "unplugged" })
        const { save } = ground.snapshots
        const snapshots = {
          ...ground.snapshots,
          save: (name: string, snapshot: Parameters<typeof save>[1]) =>
            Effect.suspend(() => (isAway ? Effect.fail(down) : save(name, snapshot)))
        }
        yield* host({ ...ground, snapshots }, { settings: short })
        yield* tell(ground, "Deposit", { amount: 5 })
        yield* Effect.sleep(300)
        expect(logOf(ground)).toHaveLength(1)
        expect(ground.logged[0]).toMatchObject({ level: "Warn" })
        expect(ground.logged[0]?.text).toContain("checkpoint of shard 0 put off")
        expect((yield* tell(ground, "Deposit", { amount: 5 })).ok?.balance).toBe(10)
        isAway = false
        yield* until(() => logOf(ground).length === 0)
      })
    )
  })

  it("keeps the part of an actor whose state cannot be saved, and lets go of the others'", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const save = (state: { readonly balance: number }) => {
          if (state.balance === 13) throw new Error("unlucky")
          return Buffer.from(JSON.stringify(state))
        }
        yield* host(ground, { kinds: [bankLike({ save })], settings: { ...short, ...forgetful } })
        yield* tell(ground, "Deposit", { amount: 1 })
        yield* tell(ground, "Deposit", { amount: 13 }, { id: "b" })
        yield* tell(ground, "Deposit", { amount: 1 })
        yield* Effect.sleep(500)
        expect(ground.logged.some(({ text }) => text.includes("bank/b") && text.includes("unlucky"))).toBe(true)
        expect(logOf(ground).some(({ id }) => id === "b")).toBe(true)
        expect((yield* query(ground, "Balance", {}, { id: "b" })).ok?.balance).toBe(13)
        // It is covered as soon as it can be.
        yield* tell(ground, "Deposit", { amount: 1 }, { id: "b" })
        yield* until(() => logOf(ground).length === 0)
      })
    )
  })
})

describe("an idle actor", () => {
  it("leaves memory, and the next command brings it back with its answers", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const { serving } = yield* host(ground, { settings: forgetful })
        yield* tell(ground, "Deposit", { amount: 5 }, { commandId: "once" })
        yield* until(() => !serving().actors.cells.has("bank/a"))
        expect((yield* tell(ground, "Deposit", { amount: 5 }, { commandId: "once" })).ok).toMatchObject({ moves: 1 })
        expect((yield* tell(ground, "Deposit", { amount: 5 })).ok).toMatchObject({ moves: 2, balance: 10 })
        yield* until(() => serving().actors.cells.size === 0)
        expect((yield* query(ground, "Balance", {})).ok).toMatchObject({ moves: 2, balance: 10 })
        expect(logOf(ground)).toHaveLength(2)
      })
    )
  })

  it("that is used does not leave", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const { serving } = yield* host(ground, { settings: forgetful })
        for (let n = 0; n < 20; n++) {
          yield* query(ground, "Balance", {})
          yield* Effect.sleep(20)
          expect(serving().actors.cells.has("bank/a")).toBe(true)
        }
      })
    )
  })

  it("that was only looked at leaves nothing behind", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const { serving } = yield* host(ground, { settings: forgetful })
        yield* query(ground, "Balance", {}, { id: "nobody" })
        yield* until(() => serving().actors.cells.size === 0)
        const found = yield* ground.snapshots.latest("actors/bank/nobody")
        expect(found).toBeUndefined()
        expect(serving().actors.dirty.size).toBe(0)
      })
    )
  })
})
