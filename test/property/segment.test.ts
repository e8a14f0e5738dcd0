/** Streams that move into segments, against a model that is only bytes: at any page size, no reader can tell. */
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { Part } from "../../actors/stream-partition/payload.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import { make as memoryObjects } from "../../adapters/memory/objects.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { fragments, gathered } from "../../runtime/streams/merge.ts"
import { choose, sealingDefaults } from "../../runtime/streams/sealer.ts"
import { blockBytes, readIndex, readTrailer, trailerBytes, writeSegment } from "../../runtime/streams/segment.ts"
import { Store } from "../../runtime/streams/store.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>

const kind = kindOf(partitionDecider)
const contentType = "application/octet-stream"

/** A partition with its objects, and the segments that a background would write for it. */
class Running {
  state: State = partitionDecider.initial("p0")
  readonly log: Array<{ readonly at: number; readonly events: string }> = []
  readonly objects = memoryObjects()
  store = new Store(this.objects)
  at = 1_000_000
  private count = 0
  merged = 0

  do(command: Command): Record<string, unknown> {
    this.at += 1
    const context = { id: "p0", caller: "node", commandId: "c", at: this.at, version: this.log.length + 1 }
    const decision = partitionDecider.decide(this.state, command, context)
    if ("refused" in decision) return { refused: (decision.refused as { readonly _tag: string })._tag }
    for (const event of decision.events as ReadonlyArray<Event>)
      this.state = partitionDecider.evolve(this.state, event, this.at)
    this.log.push({ at: this.at, events: JSON.stringify(decision.events) })
    return decision.reply as Record<string, unknown>
  }

  /** Between the object and its commit there may be anything. */
  seal(hotBytes: number, meanwhile: () => void): void {
    const sealing = { ...sealingDefaults, hotBytes, idleMs: 1 }
    const chosen = choose({ state: this.state, now: this.at + 20_000, sealing })
    if (chosen.length === 0) return
    const sections = chosen.map(({ stream, from, to }) => ({
      ...{ key: stream.key, createdAt: stream.createdAt, from },
      bytes: (stream.data?.parts(from, to) ?? []) as ReadonlyArray<Buffer>,
      ends: (stream.data?.marks(from, to) ?? []) as ReadonlyArray<number>
    }))
    const { object: bytes, sections: placed } = writeSegment(sections)
    const object = this.put(bytes)
    meanwhile()
    this.do({
      _tag: "Seal",
      object,
      sections: chosen.map(({ stream, from, to }, each) => {
        const { index = 0, indexBytes = 0, ends = [] } = placed[each] ?? {}
        return { stream: stream.key, createdAt: stream.createdAt, from, to, index, indexBytes, ends }
      })
    })
  }

  merge(meanwhile: () => void): void {
    const chosen = fragments(this.state, 2)
    if (chosen.length === 0) return
    const sections = chosen.map((each) => Effect.runSync(gathered(this.store.cold, each)))
    const { object: bytes, sections: placed } = writeSegment(sections)
    const object = this.put(bytes)
    meanwhile()
    this.do({
      _tag: "Merge",
      object,
      sections: chosen.map(({ stream, from, to }, each) => {
        const { index = 0, indexBytes = 0, ends = [] } = placed[each] ?? {}
        return { stream: stream.key, createdAt: stream.createdAt, from, to, index, indexBytes, ends }
      })
    })
    this.merged += chosen.length
  }

  private put(bytes: Buffer): string {
    const object = `streams/p0/segments/${this.count++}`
    this.do({ _tag: "PlanObjects", objects: [object], forMs: 1_000_000 })
    Effect.runSync(this.objects.put(object, bytes))
    return object
  }

  sweep(): void {
    const objects = [...this.state.garbage.keys()]
    Effect.runSync(this.objects.remove(objects))
    this.do({ _tag: "ForgetObjects", objects })
  }

  restart(): void {
    this.state = partitionDecider.load(partitionDecider.save(this.state), "p0")
    this.store = new Store(this.objects)
  }

  replay(): State {
    let state = partitionDecider.initial("p0")
    for (const { at, events } of this.log)
      for (const event of kind.readEvents(events)) state = partitionDecider.evolve(state, event, at)
    return state
  }

  /** Page by page from an offset, as readers do. */
  read(key: string, offset: number, pageBytes: number, state = this.state): Buffer {
    const pages: Array<Buffer> = []
    const stream = state.streams.get(key)
    if (stream === undefined) throw new Error(`no ${key}`)
    const base = stream.origin?.offset ?? 0
    let at = offset
    if (stream.origin !== undefined && at < base) {
      pages.push(this.read(stream.origin.source, at, pageBytes, state).subarray(0, base - at))
      at = base
    }
    while (at < stream.tail) {
      const next = stream.data?.endWithin(at, pageBytes) ?? at
      if (next <= at) throw new Error(`${key} cannot be read behind ${at}`)
      pages.push(this.bytesOf(stream.data?.parts(at, next) ?? []))
      at = next
    }
    return Buffer.concat(pages)
  }

  bytesOf(parts: ReadonlyArray<Part>): Buffer {
    return Buffer.concat(Effect.runSync(this.store.bytesOf(parts)))
  }
}

interface Model {
  bytes: Buffer
  ends: Array<number>
  floor: number
}

const keys = ["a/x", "a/y", "a/z", "a/x-fork", "a/y-fork", "a/z-fork"]
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("append"), key: fc.nat(5), size: fc.integer({ min: 1, max: 900 }) })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("append"), key: fc.nat(5), size: fc.nat(100_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("create"), key: fc.nat(2), size: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("seal"), key: fc.nat(5), size: fc.nat(5_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("seal-race"), key: fc.nat(5), size: fc.nat(5_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete"), key: fc.nat(5), size: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fork"), key: fc.nat(2), size: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("retain"), key: fc.nat(5), size: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("merge"), key: fc.nat(5), size: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("merge-race"), key: fc.nat(5), size: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep"), key: fc.nat(5), size: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart"), key: fc.nat(5), size: fc.nat(9) }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const payload = (size: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(Math.max(1, size))
  for (let at = 0; at < bytes.length; at++) bytes[at] = (seed * 31 + at * 7 + (at >> 8)) & 255
  return bytes
}

/** What one step does to both; they have to agree on whether it may be done. */
const perform = (running: Running, model: Map<string, Model>, each: Step, seed: number): void => {
  const key = keys[each.key] as string
  const known = model.get(key)
  const boundary = [known?.floor ?? 0, ...(known?.ends ?? [])].filter((end) => end >= (known?.floor ?? 0))
  const offset = boundary[each.size % boundary.length] ?? 0
  const remove = (): void => {
    expect(running.do({ _tag: "DeleteStream", stream: key })["refused"] === undefined).toBe(known !== undefined)
    model.delete(key)
  }
  switch (each.do) {
    case "append": {
      const bytes = payload(each.size, seed)
      const body = { base64: bytes.toString("base64") }
      const reply = running.do({ _tag: "Append", stream: key, contentType, body })
      expect(reply["refused"] === undefined).toBe(known !== undefined)
      if (known === undefined) return
      known.bytes = Buffer.concat([known.bytes, bytes])
      known.ends.push(known.bytes.length)
      return
    }
    case "create": {
      const reply = running.do({ _tag: "CreateStream", stream: key, contentType })
      if (reply["created"] === true) model.set(key, { bytes: Buffer.alloc(0), ends: [0], floor: 0 })
      return
    }
    case "seal":
      return running.seal(each.size, () => {})
    case "seal-race":
      return running.seal(each.size, remove)
    case "merge":
      return running.merge(() => {})
    case "merge-race":
      return running.merge(remove)
    case "delete":
      return remove()
    case "fork": {
      const pin = `pin-${seed}`
      if (running.do({ _tag: "PinStream", stream: key, pin, offset })["refused"] !== undefined || known === undefined)
        return expect(known).toBe(undefined)
      const floor = known.floor > 0 ? { floor: known.floor } : {}
      const origin = { source: key, partition: "p0", pin, offset, sub: 0, ...floor }
      const made = running.do({ _tag: "CreateStream", stream: `${key}-fork`, contentType, origin })
      if (made["created"] !== true) return void running.do({ _tag: "UnpinStream", stream: key, pin })
      running.do({ _tag: "ConfirmPin", stream: key, pin })
      const ends = known.ends.filter((end) => end <= offset)
      model.set(`${key}-fork`, { bytes: known.bytes.subarray(0, offset), ends, floor: known.floor })
      return
    }
    case "retain": {
      if (known === undefined || running.do({ _tag: "RetainFrom", stream: key, offset })["refused"] !== undefined)
        return
      known.floor = offset
      return
    }
    case "sweep":
      return running.sweep()
    default:
      running.restart()
  }
}

describe("segments", () => {
  it("change nothing that a reader sees, whatever is done between", () => {
    let sealed = 0
    let merged = 0
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 90, size: "max" }),
        fc.integer({ min: 1, max: 200_000 }),
        (steps, pageBytes) => {
          const running = new Running()
          const model = new Map<string, Model>()
          for (const [seed, each] of steps.entries()) perform(running, model, each, seed)
          running.sweep()
          for (const [key, { bytes, ends, floor }] of model) {
            expect(running.read(key, floor, pageBytes).equals(bytes.subarray(floor))).toBe(true)
            const from = ends.filter((end) => end >= floor)[Math.floor(ends.length / 2)] ?? floor
            expect(running.read(key, from, pageBytes).equals(bytes.subarray(from))).toBe(true)
            sealed += running.state.streams.get(key)?.data?.sealedTo ?? 0
          }
          expect(partitionDecider.save(running.replay()).length).toBe(partitionDecider.save(running.state).length)
          merged += running.merged
          // What is in the store is needed, or is known to be garbage: nothing is left behind.
          const stored = Effect.runSync(Stream.runCollect(running.objects.list(""))).flat()
          const { objects, garbage } = running.state
          expect(stored.map(({ key }) => key).sort()).toEqual([...objects.keys(), ...garbage.keys()].sort())
          expect([...running.replay().objects]).toEqual([...running.state.objects])
        }
      ),
      { numRuns: 250 }
    )
    expect(sealed).toBeGreaterThan(0)
    expect(merged).toBeGreaterThan(0)
  })

  it("are found and checked by whoever has the object alone", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 9 }), {
          minLength: 1,
          maxLength: 5
        }),
        (streams) => {
          const sections = streams.map((sizes, each) => {
            let end = each * 10
            const ends = sizes.map((size) => {
              end += size
              return end
            })
            return { key: `b/${each}`, createdAt: each, from: each * 10, bytes: [payload(end - each * 10, each)], ends }
          })
          const { object, sections: placed } = writeSegment(sections)
          const trailer = readTrailer(object.subarray(-trailerBytes))
          expect(trailer).toEqual({ index: placed[0]?.index, sections: sections.length })
          for (const [each, { key, ends, from, bytes }] of sections.entries()) {
            const { index = 0, indexBytes = 0 } = placed[each] ?? {}
            const read = readIndex(object.subarray(index, index + indexBytes))
            if (typeof read === "string") throw new Error(read)
            expect(read).toMatchObject({ key, from, to: ends.at(-1), ends })
            const all = read.blocks.map(({ at, size }) => object.subarray(at, at + size))
            expect(Buffer.concat(all).equals(bytes[0] as Buffer)).toBe(true)
            expect(read.blocks.every(({ size }) => size <= blockBytes || all.length > 0)).toBe(true)
            object[index + 8] = (object[index + 8] as number) ^ 1
            expect(typeof readIndex(object.subarray(index, index + indexBytes))).toBe("string")
          }
        }
      ),
      { numRuns: 40 }
    )
  })
})
