/** A partition in the real runtime, in a world of its own time: snapshots, forks, expiry and subscriptions. */
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import { partitionKind } from "../../messages/stream.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { type Ground, type Hosted, host, inWorld, query, type Telling, tell, until } from "./hosted.ts"

const id = "p0"
const at: Telling = { kind: partitionKind, id }
const options = { kinds: [kindOf(partitionDecider)] }

interface Told {
  readonly ok?: Record<string, unknown>
  readonly refused?: { readonly _tag: string }
}

const say = (ground: Ground, name: string, fields: object) =>
  Effect.map(tell(ground, name, fields, at), (told) => told as Told)
const asNode = (ground: Ground, name: string, fields: object) =>
  Effect.map(tell(ground, name, fields, { ...at, caller: "node" }), (told) => told as Told)
const ask = (ground: Ground, name: string, fields: object) =>
  Effect.map(query(ground, name, fields, at), (told) => told as Told)

const create = (ground: Ground, stream: string, more: object = {}) =>
  say(ground, "CreateStream", { stream, contentType: "text/plain", ...more })
const append = (ground: Ground, stream: string, text: string, more: object = {}) =>
  say(ground, "Append", { stream, contentType: "text/plain", body: { text }, ...more })

const stateOf = (hosted: Hosted): State => hosted.serving().actors.cells.get(`${partitionKind}/${id}`)?.state as State

const textOf = Effect.fnUntraced(function* (ground: Ground, stream: string) {
  const read = yield* ask(ground, "ReadStream", { stream, from: 0 })
  const wires = (read.ok?.["wires"] ?? []) as ReadonlyArray<{ readonly text: string }>
  return wires.map(({ text }) => text).join("")
})

describe("a partition", () => {
  it("keeps what was appended when its log has been cut behind a snapshot", () => {
    const found = inWorld((ground) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const settings = { checkpointEveryMs: 50, logEntriesMax: 10 }
        const first = yield* host(ground, { ...options, settings }).pipe(Scope.provide(scope))
        yield* create(ground, "a/x")
        for (let index = 0; index < 40; index++) yield* append(ground, "a/x", `${index};`)
        yield* Effect.sleep(500)
        const left = first.serving().logBytes()
        yield* Scope.close(scope, Exit.void)
        yield* host(ground, options)
        return { left, text: yield* textOf(ground, "a/x") }
      })
    )
    expect(found.text).toBe(Array.from({ length: 40 }, (_, index) => `${index};`).join(""))
    expect(found.left).toBeLessThan(3000)
  })

  it("takes a hidden source away with its last fork, by what each owes the other", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, options)
        yield* create(ground, "a/source")
        yield* append(ground, "a/source", "shared")
        yield* say(ground, "PinStream", { stream: "a/source", pin: "k1" })
        const origin = { source: "a/source", partition: id, pin: "k1", offset: 6, sub: 0 }
        yield* create(ground, "a/fork", { origin })
        yield* until(() => stateOf(hosted).streams.get("a/source")?.pins?.get("k1") === 0)
        yield* say(ground, "DeleteStream", { stream: "a/source" })
        expect((yield* ask(ground, "ShowStream", { stream: "a/source" })).refused?._tag).toBe("StreamGone")
        expect((yield* create(ground, "a/source")).refused?._tag).toBe("StreamExists")
        yield* say(ground, "DeleteStream", { stream: "a/fork" })
        yield* until(() => !stateOf(hosted).streams.has("a/source"))
        expect((yield* create(ground, "a/source")).ok?.["created"]).toBe(true)
      })
    )
  })

  it("lets go of a pin whose fork never came to be", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, options)
        yield* create(ground, "a/source")
        yield* say(ground, "PinStream", { stream: "a/source", pin: "k1" })
        expect(stateOf(hosted).streams.get("a/source")?.pins?.size).toBe(1)
        yield* Effect.sleep(90_000)
        expect(stateOf(hosted).streams.get("a/source")?.pins).toBeUndefined()
      })
    )
  })

  it("ends a stream when its time is over, and a reader gives it more", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, options)
        yield* create(ground, "a/x", { ttlS: 10 })
        yield* Effect.sleep(8000)
        yield* say(ground, "TouchStream", { stream: "a/x" })
        yield* Effect.sleep(8000)
        expect((yield* ask(ground, "ShowStream", { stream: "a/x" })).ok).toBeDefined()
        yield* Effect.sleep(2500)
        expect((yield* ask(ground, "ShowStream", { stream: "a/x" })).refused?._tag).toBe("NoSuchStream")
        yield* Effect.sleep(5000)
        expect(stateOf(hosted).streams.size).toBe(0)
      })
    )
  })

  it("wakes, claims, renews and lapses: one worker at a time, and stale ones are fenced", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, options)
        yield* create(ground, "wake/pool", { contentType: "application/json" })
        const config = { type: "pull-wake", pattern: "a/*", streams: [], wakeStream: "wake/pool", leaseMs: 1000 }
        yield* say(ground, "PutSubscription", { id: "s", config, existing: [] })
        const tails = [{ path: "a/x", offset: 5 }]
        const wakes = { wakeKey: "wake/pool", wakePartition: id }
        const wake = { id: "s", wakeId: "w1", token: "t1", tails, ...wakes }
        expect((yield* asNode(ground, "WakeSubscription", wake)).ok).toEqual({ woken: true })
        expect((yield* asNode(ground, "WakeSubscription", { ...wake, wakeId: "w2" })).ok).toEqual({ woken: false })
        yield* Effect.sleep(100)
        expect(yield* textOf(ground, "wake/pool")).toContain('"generation":1')
        const claim = { id: "s", wakeId: "w3", token: "t3", tails }
        const claimed = yield* say(ground, "ClaimSubscription", { ...claim, worker: "one" })
        expect(claimed.ok?.["wake"]).toMatchObject({ wakeId: "w1", generation: 1, holder: "one" })
        const second = { ...claim, worker: "two", token: "t4" }
        expect((yield* say(ground, "ClaimSubscription", second)).refused?._tag).toBe("AlreadyClaimed")
        const held = { id: "s", token: "t3", wakeId: "w1", generation: 1, tails }
        yield* Effect.sleep(800)
        expect((yield* say(ground, "AckSubscription", { ...held, acks: [], done: false })).ok).toBeDefined()
        yield* Effect.sleep(800)
        expect((yield* say(ground, "ClaimSubscription", second)).refused?._tag).toBe("AlreadyClaimed")
        yield* Effect.sleep(1500)
        const taken = yield* say(ground, "ClaimSubscription", second)
        expect(taken.ok?.["wake"]).toMatchObject({ generation: 2, holder: "two" })
        const late = { ...held, acks: [{ path: "a/x", offset: 5 }], done: true }
        expect((yield* say(ground, "AckSubscription", late)).refused?._tag).toBe("Fenced")
        expect((yield* say(ground, "AckSubscription", { ...late, token: "?" })).refused?._tag).toBe("TokenInvalid")
        const { wakeId } = (taken.ok?.["wake"] ?? {}) as { readonly wakeId?: string }
        const mine = { ...late, token: "t4", wakeId, generation: 2 }
        const beyond = { ...mine, acks: [{ path: "a/x", offset: 6 }] }
        expect((yield* say(ground, "AckSubscription", beyond)).refused?._tag).toBe("InvalidOffset")
        expect((yield* say(ground, "AckSubscription", mine)).ok).toEqual({ nextWake: false })
        expect((yield* say(ground, "ClaimSubscription", second)).refused?._tag).toBe("NoPendingWork")
      })
    )
  })
})
