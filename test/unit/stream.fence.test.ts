/** Appends under a claim: they land while it is held, and never once another worker's claim was answered. */
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import { partitionKind } from "../../messages/stream.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { type Ground, host, inWorld, type Telling, tell } from "./hosted.ts"

const at: Telling = { kind: partitionKind, id: "p0" }
const options = { kinds: [kindOf(partitionDecider)] }
const contentType = "text/plain"
const tails = [{ path: "a/x", offset: 5 }]

interface Told {
  readonly ok?: Record<string, unknown>
  readonly refused?: { readonly _tag: string; readonly index?: number }
}

const say = (ground: Ground, name: string, fields: object) =>
  Effect.map(tell(ground, name, fields, at), (told) => told as Told)

const append = (ground: Ground, token: string) =>
  say(ground, "Append", { stream: "a/x", contentType, body: { text: "x" }, fence: { subscription: "s", token } })

const claim = (ground: Ground, worker: string) =>
  say(ground, "ClaimSubscription", { id: "s", worker, wakeId: `w-${worker}`, token: `t-${worker}`, tails })

const grant = (ground: Ground, worker: string, generation: number) =>
  say(ground, "GrantFence", { id: "s", token: `t-${worker}`, wakeId: `w-${worker}`, generation, partition: "p0" })

const raise = (ground: Ground, fields: object) =>
  tell(ground, "RaiseFence", { subscription: "s", ...fields }, { ...at, caller: "node" })

const begin = Effect.fnUntraced(function* (ground: Ground) {
  yield* say(ground, "CreateStream", { stream: "a/x", contentType })
  const config = { type: "pull-wake", pattern: "a/*", streams: [], leaseMs: 1000 }
  yield* say(ground, "PutSubscription", { id: "s", config, existing: [] })
})

/** What the holder's first append sets off. */
const prove = Effect.fnUntraced(function* (ground: Ground, worker: string, generation: number) {
  const granted = yield* grant(ground, worker, generation)
  yield* raise(ground, { ...granted.ok, generation, token: `t-${worker}` })
  return granted
})

describe("appends under a claim", () => {
  it("land while it is held, and not when its lease has ended", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        yield* host(ground, options)
        yield* begin(ground)
        yield* claim(ground, "one")
        expect((yield* append(ground, "t-one")).refused?._tag).toBe("FenceUnproven")
        yield* prove(ground, "one", 1)
        expect((yield* append(ground, "t-one")).ok).toBeDefined()
        yield* Effect.sleep(800)
        const held = { id: "s", token: "t-one", wakeId: "w-one", generation: 1, tails, acks: [] }
        yield* say(ground, "AckSubscription", { ...held, done: false })
        yield* Effect.sleep(800)
        expect((yield* append(ground, "t-one")).refused?._tag).toBe("FenceUnproven")
        yield* prove(ground, "one", 1)
        expect((yield* append(ground, "t-one")).ok).toBeDefined()
        yield* Effect.sleep(1100)
        expect((yield* append(ground, "t-one")).refused?._tag).toBe("FenceUnproven")
        expect((yield* grant(ground, "one", 1)).refused?._tag).toBe("Fenced")
        expect((yield* grant(ground, "nobody", 1)).refused?._tag).toBe("TokenInvalid")
      })
    )
  })

  it("do not land behind another claim, also of a subscription that was made anew, and after a restart", () => {
    inWorld((ground) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* host(ground, { ...options, settings: { checkpointEveryMs: 50 } }).pipe(Scope.provide(scope))
        yield* begin(ground)
        yield* claim(ground, "one")
        const late = yield* prove(ground, "one", 1)
        yield* Effect.sleep(1500)
        const second = yield* claim(ground, "two")
        expect(second.ok?.["fenced"]).toMatchObject({ generation: 2, partitions: ["p0"] })
        yield* raise(ground, { ...(second.ok?.["fenced"] as object), partitions: undefined, until: 0 })
        yield* raise(ground, { ...late.ok, until: 9e12, generation: 1, token: "t-one" })
        expect((yield* append(ground, "t-one")).refused?._tag).toBe("FenceUnproven")
        yield* prove(ground, "two", 2)
        expect((yield* append(ground, "t-two")).ok).toBeDefined()
        const two = { subscription: "s", token: "t-two" }
        const operation = { stream: "a/x", contentType, body: { text: "y" } }
        const both = { operations: [operation, { ...operation, fence: { ...two, token: "t-one" } }] }
        expect((yield* say(ground, "AppendAll", both)).refused).toMatchObject({ _tag: "FailedOperation", index: 1 })
        yield* Effect.sleep(200)
        yield* Scope.close(scope, Exit.void)
        yield* host(ground, options)
        expect((yield* append(ground, "t-one")).refused?._tag).toBe("FenceUnproven")
        expect((yield* append(ground, "t-two")).ok).toBeDefined()
        yield* say(ground, "DeleteSubscription", { id: "s" })
        yield* Effect.sleep(10)
        yield* begin(ground)
        yield* claim(ground, "three")
        yield* prove(ground, "three", 1)
        expect((yield* append(ground, "t-three")).ok).toBeDefined()
        expect((yield* append(ground, "t-two")).refused?._tag).toBe("FenceUnproven")
      })
    )
  })
})
