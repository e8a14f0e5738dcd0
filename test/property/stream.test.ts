/** Streams against a model that is only bytes: whatever is done, with snapshots and replays between. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { firstOf, runOf } from "../../actors/stream-partition/json.ts"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import { offsetText, parseOffset, partitionIds, partitionKind } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { shardOf } from "../../messages/subjects.ts"
import { kindOf } from "../../runtime/actor/kind.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>

const kind = kindOf(partitionDecider)

/** One partition as the runtime runs it: decided, evolved, and kept as the JSON that the journal would hold. */
class Running {
  state: State = partitionDecider.initial("p0")
  log: Array<{ readonly at: number; readonly events: string }> = []
  at = 1_000_000

  do(command: Command): Record<string, unknown> {
    const context = { id: "p0", caller: "node", commandId: "c", at: this.at, version: this.log.length + 1 }
    const decision = partitionDecider.decide(this.state, command, context)
    if ("refused" in decision) return { refused: (decision.refused as { readonly _tag: string })._tag }
    const events = JSON.stringify(decision.events)
    for (const event of decision.events as ReadonlyArray<Event>)
      this.state = partitionDecider.evolve(this.state, event, this.at)
    this.log.push({ at: this.at, events })
    return decision.reply as Record<string, unknown>
  }

  snapshot(): void {
    this.state = partitionDecider.load(partitionDecider.save(this.state), "p0")
  }

  replay(): State {
    let state = partitionDecider.initial("p0")
    for (const { at, events } of this.log)
      for (const event of kind.readEvents(events)) state = partitionDecider.evolve(state, event, at)
    return state
  }
}

const bytesOf = (state: State, key: string): Buffer => {
  const stream = state.streams.get(key)
  const parts = stream?.data?.parts(stream.origin?.offset ?? 0, stream.tail) ?? []
  const own = Buffer.concat(parts as ReadonlyArray<Buffer>)
  if (stream?.origin === undefined) return own
  return Buffer.concat([bytesOf(state, stream.origin.source).subarray(0, stream.origin.offset), own])
}

const keys = ["a/x", "a/y", "b/z"]
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      key: fc.nat(5),
      body: fc.uint8Array({ minLength: 1, maxLength: 40 })
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("create" as const), key: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fork" as const), key: fc.nat(2), unit: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("snapshot" as const) }) }
)

describe("a partition of streams", () => {
  it("holds the bytes that were appended, through snapshots, forks and replays", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const running = new Running()
        const model = new Map<string, Buffer>()
        const units = new Map<string, Array<number>>()
        const all = [...keys, ...keys.map((key) => `${key}-fork`)]
        for (const [index, each] of steps.entries()) {
          running.at += 1
          if (each.kind === "snapshot") {
            running.snapshot()
            continue
          }
          const key = all[each.key] as string
          if (each.kind === "create") {
            const reply = running.do({ _tag: "CreateStream", stream: key, contentType: "application/octet-stream" })
            if (reply["created"] === true) {
              model.set(key, Buffer.alloc(0))
              units.set(key, [0])
            }
          } else if (each.kind === "append") {
            const body = { base64: Buffer.from(each.body).toString("base64") }
            const contentType = "application/octet-stream"
            const reply = running.do({ _tag: "Append", stream: key, contentType, body })
            const known = model.get(key)
            expect(reply["refused"] === undefined).toBe(known !== undefined)
            if (known === undefined) continue
            model.set(key, Buffer.concat([known, each.body]))
            units.get(key)?.push(known.length + each.body.length)
          } else if (each.kind === "delete") {
            const reply = running.do({ _tag: "DeleteStream", stream: key })
            expect(reply["refused"] === undefined).toBe(model.has(key))
            model.delete(key)
          } else {
            const boundaries = units.get(key) ?? [0]
            const offset = boundaries[each.unit % boundaries.length] as number
            const pin = `pin-${index}`
            const pinned = running.do({ _tag: "PinStream", stream: key, pin, offset })
            expect(pinned["refused"] === undefined).toBe(model.has(key))
            if (pinned["refused"] !== undefined) continue
            const origin = { source: key, partition: "p0", pin, offset, sub: 0 }
            const fork = `${key}-fork`
            const made = running.do({
              _tag: "CreateStream",
              stream: fork,
              contentType: "application/octet-stream",
              origin
            })
            if (made["created"] !== true) {
              running.do({ _tag: "UnpinStream", stream: key, pin })
              continue
            }
            running.do({ _tag: "ConfirmPin", stream: key, pin })
            model.set(fork, (model.get(key) as Buffer).subarray(0, offset))
            units.set(fork, [offset])
          }
        }
        const replayed = running.replay()
        for (const [key, bytes] of model) {
          expect(bytesOf(running.state, key).equals(bytes)).toBe(true)
          expect(bytesOf(replayed, key).equals(bytes)).toBe(true)
          expect(replayed.streams.get(key)?.tail).toBe(running.state.streams.get(key)?.tail)
        }
        expect(replayed.hotBytes).toBe(running.state.hotBytes)
      }),
      { numRuns: 300 }
    )
  })

  it("takes each append of a producer once, whatever is repeated, and gives the first offsets again", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 60 }), (pauses) => {
        const running = new Running()
        running.do({ _tag: "CreateStream", stream: "a/x", contentType: "text/plain" })
        const told: Array<number> = []
        for (const back of pauses) {
          const seq = Math.max(0, told.length - back)
          const producer = { id: "p", epoch: 1, seq }
          const body = { text: `${seq};` }
          const reply = running.do({ _tag: "Append", stream: "a/x", contentType: "text/plain", body, producer })
          expect(reply["duplicate"]).toBe(seq < told.length)
          if (seq < told.length) expect(reply["tail"]).toBe(told[seq])
          else told.push(reply["tail"] as number)
        }
        expect(bytesOf(running.state, "a/x").toString()).toBe(told.map((_, seq) => `${seq};`).join(""))
      })
    )
  })
})

describe("bodies of JSON streams", () => {
  it("are read as the array of their messages", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 4 }), { minLength: 1 }),
        fc.nat(2),
        (bodies, space) => {
          const runs = bodies.map((body) => runOf(JSON.stringify(body, null, space)))
          const text = runs.map((run) => ("text" in run ? run.text : "")).join("")
          expect(JSON.parse(`[${text.slice(0, -1)}]`)).toEqual(JSON.parse(JSON.stringify(bodies.flat(1))))
        }
      )
    )
  })

  it("are cut between messages", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 8 }), fc.nat(9), (messages, count) => {
        const run = runOf(JSON.stringify(messages))
        const first = "text" in run ? firstOf(run.text, count + 1) : undefined
        if (count + 1 > messages.length) expect(first).toBeUndefined()
        else
          expect(JSON.parse(`[${first?.slice(0, -1)}]`)).toEqual(
            JSON.parse(JSON.stringify(messages.slice(0, count + 1)))
          )
      })
    )
  })
})

describe("offsets", () => {
  it("sort as texts like the places that they name", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        expect(parseOffset(offsetText(a))).toBe(a)
        expect(offsetText(a) < offsetText(b)).toBe(a < b)
      })
    )
  })
})

describe("partitions", () => {
  it("are one for each shard", () => {
    for (const shards of [1, 3, 16, 64])
      expect(partitionIds(shards).map((id) => shardOf(partitionKind, id, shards))).toEqual([...Array(shards).keys()])
  })
})
