/** What moves into segments and when, and what a partition says that may not move anything. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { StoredPart } from "../../actors/stream-partition/payload.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import { make as memoryObjects } from "../../adapters/memory/objects.ts"
import { partitionHotBytesMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { worded } from "../../runtime/http/streams/reply.ts"
import { Cold } from "../../runtime/streams/cold.ts"
import { choose, sealingDefaults } from "../../runtime/streams/sealer.ts"
import { writeSegment } from "../../runtime/streams/segment.ts"

type Event = EventOf<StreamPartition>

const contentType = "application/octet-stream"

const perform = (state: State, at: number, command: CommandOf<StreamPartition>) => {
  const context = { id: "p0", caller: "tester", commandId: "c", at, version: 1 }
  const decision = partitionDecider.decide(state, command, context)
  if ("refused" in decision) return decision.refused
  for (const event of decision.events as ReadonlyArray<Event>) partitionDecider.evolve(state, event, at)
  return undefined
}

const filled = (streams: ReadonlyArray<readonly [key: string, at: number, bytes: number]>): State => {
  const state = partitionDecider.initial("p0")
  for (const [key, at, bytes] of streams) {
    perform(state, at, { _tag: "CreateStream", stream: key, contentType })
    for (let left = bytes; left > 0; left -= 1000)
      perform(state, at, { _tag: "Append", stream: key, contentType, body: { text: "x".repeat(Math.min(1000, left)) } })
  }
  return state
}

const sealing = { ...sealingDefaults, hotBytes: 40_000 }

describe("what is moved into a segment", () => {
  it("is nothing while there is room and nobody is silent for long", () => {
    const state = filled([["a/x", 1_000, 30_000]])
    expect(choose({ state, now: 60_000, sealing })).toEqual([])
    expect(choose({ state, now: 1_000 + sealing.idleMs, sealing })).toMatchObject([{ from: 0, to: 30_000 }])
  })

  it("is what was silent for longest, until half of the room is free", () => {
    const state = filled([
      ["a/new", 3_000, 20_000],
      ["a/old", 1_000, 20_000],
      ["a/middle", 2_000, 20_000]
    ])
    const chosen = choose({ state, now: 60_000, sealing })
    expect(chosen.map(({ stream, from, to }) => [stream.key, from, to])).toEqual([
      ["a/old", 0, 20_000],
      ["a/middle", 0, 20_000]
    ])
  })

  it("ends at an append, and leaves the tail of a stream that is being written", () => {
    const state = filled([["a/x", 50_000, 60_000]])
    expect(choose({ state, now: 50_001, sealing })).toMatchObject([{ from: 0, to: 50_000 }])
  })
})

describe("a partition without room", () => {
  it("refuses an append, and says what is full", () => {
    const state = filled([["a/x", 1, 1000]])
    state.hotBytes = partitionHotBytesMax
    const refused = perform(state, 2, { _tag: "Append", stream: "a/x", contentType, body: { text: "more" } })
    if (refused === undefined) throw new Error("it was accepted")
    expect(refused).toMatchObject({ _tag: "Full", max: partitionHotBytesMax })
    expect(worded(refused)).toMatchObject({ status: 503, text: expect.stringContaining("partition in memory") })
  })
})

describe("reads of a segment", () => {
  const bytes = Buffer.alloc(300_000, "abcdefghij")
  const ends = Array.from({ length: 300 }, (_, index) => (index + 1) * 1000)
  const { object, sections } = writeSegment([{ key: "a/x", createdAt: 1, from: 0, bytes: [bytes], ends }])
  const { index = 0, indexBytes = 0 } = sections[0] ?? {}
  const part = (
    skip: number,
    size: number
  ): StoredPart & { readonly segment: { from: 0; index: number; indexBytes: number } } => ({
    ...{ object: "s", skip, size },
    segment: { from: 0, index, indexBytes }
  })

  it("fetch once for all who read at the same time, and ahead for who reads on", () => {
    const objects = memoryObjects()
    const cold = new Cold(objects)
    const all = Effect.gen(function* () {
      yield* objects.put("s", object)
      const read = Effect.all(
        Array.from({ length: 20 }, () => cold.read(part(0, 70_000))),
        { concurrency: "unbounded" }
      )
      for (const each of yield* read) expect(each.equals(bytes.subarray(0, 70_000))).toBe(true)
      expect((yield* cold.read(part(70_000, 200_000))).equals(bytes.subarray(70_000, 270_000))).toBe(true)
    })
    return Effect.runPromise(all).then(() => expect(cold.counted.gets).toBeLessThanOrEqual(22))
  })

  it("refuse what was changed, and tell where no append begins", async () => {
    const objects = memoryObjects()
    const damaged = Buffer.from(object)
    damaged[100] = 0
    await Effect.runPromise(objects.put("s", damaged))
    const cold = new Cold(objects)
    const fault = await Effect.runPromise(Effect.flip(cold.read(part(0, 1000))))
    expect(fault).toMatchObject({ _tag: "SegmentDamaged", object: "s" })
    await Effect.runPromise(objects.put("s", object))
    const { segment } = part(0, 0)
    expect(await Effect.runPromise(cold.unit("s", segment, 1001))).toBe(undefined)
    expect((await Effect.runPromise(cold.unit("s", segment, 1000)))?.length).toBe(1000)
  })
})
