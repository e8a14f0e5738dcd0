/** Objects of a partition: who may speak of them, which may be committed, and that none is left behind or lost. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import { partitionHotBytesMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import { partitionKind } from "../../messages/stream.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"
import { kindOf } from "../../runtime/actor/kind.ts"
import { type Ground, host, inWorld, tell } from "./hosted.ts"

type Command = CommandOf<StreamPartition>
type Event = EventOf<StreamPartition>

/** One partition by itself, at a time that the test says. */
class Partition {
  state: State = partitionDecider.initial("p0")
  at = 1_000_000
  version = 0

  do(command: Command | { readonly _tag: "Tick" }, caller = "node"): string | Record<string, unknown> {
    const context = { id: "p0", caller, commandId: "c", at: this.at, version: this.version + 1 }
    const decided = partitionDecider.decide(this.state, command, context)
    if ("refused" in decided) return (decided.refused as { readonly _tag: string })._tag
    for (const event of decided.events as ReadonlyArray<Event>)
      this.state = partitionDecider.evolve(this.state, event, this.at)
    this.version += 1
    return decided.reply as Record<string, unknown>
  }

  /** As its timer does, for as long as it has something to be woken for within this time. */
  pass(ms: number): void {
    const end = this.at + ms
    for (let due = this.due(); due <= end; due = this.due()) {
      this.at = Math.max(this.at, due)
      this.do({ _tag: "Tick" }, "timer")
    }
    this.at = end
  }

  due(): number {
    return partitionDecider.due?.(this.state) ?? Number.POSITIVE_INFINITY
  }

  create(stream: string, more: object = {}): void {
    this.do({ _tag: "CreateStream", stream, contentType: "text/plain", ...more } as Command)
  }

  append(stream: string, text: string): string | Record<string, unknown> {
    return this.do({ _tag: "Append", stream, contentType: "text/plain", body: { text } })
  }

  plan(name: string): string {
    const object = `streams/p0/${name}`
    this.do({ _tag: "PlanObjects", objects: [object], forMs: 1000 })
    return object
  }

  /** All that a stream has in memory moves into an object. */
  seal(stream: string, name: string): string {
    const object = this.plan(name)
    const { createdAt = 0, tail = 0, data } = this.state.streams.get(stream) ?? {}
    const from = data?.runs()[0]?.from ?? 0
    const section = { stream, createdAt, from, to: tail, index: 8, indexBytes: 40, ends: [tail] }
    expect(this.do({ _tag: "Seal", object, sections: [section] })).toEqual({ sealed: 1 })
    return object
  }
}

const large = (key: string): Command => ({
  ...{ _tag: "Append", stream: "a/x", contentType: "text/plain" },
  body: { object: { key, size: 200_000, count: 1 } }
})

describe("commands that only nodes give", () => {
  const section = { stream: "a/x", from: 0, to: 3, index: 8, indexBytes: 40, ends: [3], createdAt: 0 }
  const object = "streams/p0/o"
  const commands: ReadonlyArray<Command> = [
    { _tag: "Seal", object, sections: [section] },
    { _tag: "Merge", object, sections: [section] },
    { _tag: "PlanObjects", objects: [object], forMs: 1000 },
    { _tag: "ForgetObjects", objects: [object] },
    { _tag: "WakeSubscription", id: "s", wakeId: "w", token: "t", tails: [] },
    { _tag: "FailDelivery", id: "s", generation: 1, retryMs: 10 },
    { _tag: "ConfirmPin", stream: "a/x", pin: "k" },
    { _tag: "UnpinStream", stream: "a/x", pin: "k" }
  ]

  it("are refused for every other caller, whatever the partition holds", () => {
    const partition = new Partition()
    partition.create("a/x")
    partition.append("a/x", "abc")
    partition.plan("o")
    for (const caller of ["admin", "open", "key-c61e3cadf2d25c14", "local_1-7f", "tester"])
      for (const command of commands) expect(partition.do(command, caller), command._tag).toBe("NotAllowed")
    for (const command of commands.slice(0, 4)) expect(partition.do(command), command._tag).not.toBe("NotAllowed")
  })

  it("are refused on the bus, and change nothing", () => {
    const options = { kinds: [kindOf(partitionDecider)] }
    inWorld((ground: Ground) =>
      Effect.gen(function* () {
        const hosted = yield* host(ground, options)
        const say = (name: string, body: object, caller: string) =>
          tell(ground, name, body, { kind: partitionKind, id: "p0", caller })
        yield* say("CreateStream", { stream: "a/x", contentType: "text/plain", body: { text: "abc" } }, "admin")
        yield* say("PlanObjects", { objects: [object], forMs: 10_000 }, "node")
        for (const { _tag, ...body } of commands)
          expect((yield* say(_tag, body, "admin")).refused?._tag, _tag).toBe("NotAllowed")
        const state = hosted.serving().actors.cells.get(`${partitionKind}/p0`)?.state as State
        expect([...state.planned.keys(), ...state.objects.keys(), ...state.garbage.keys()]).toEqual([object])
      })
    )
  })
})

describe("an object", () => {
  it("is committed when it was announced, and by nobody who makes up a name", () => {
    const partition = new Partition()
    partition.create("a/x")
    expect(partition.do(large("workspaces/1/chunks/7"), "open")).toBe("ObjectUnplanned")
    expect(partition.do({ _tag: "PlanObjects", objects: ["streams/p1/o"], forMs: 1000 })).toBe("ObjectUnplanned")
    const object = partition.plan("o")
    expect(partition.do(large(object), "open")).toMatchObject({ tail: 200_000 })
    expect([...partition.state.objects]).toEqual([[object, 1]])
    expect(partition.state.planned.size).toBe(0)
  })

  it("that is announced and never committed is garbage after its time, and cannot be committed then", () => {
    const partition = new Partition()
    partition.create("a/x")
    const object = partition.plan("o")
    partition.pass(999)
    expect([...partition.state.garbage.keys()]).toEqual([])
    partition.pass(1000)
    expect([...partition.state.garbage.keys()]).toEqual([object])
    expect(partition.do(large(object), "open")).toBe("ObjectUnplanned")
    // Whoever deletes it is woken when it is time, and again while that is not done.
    const woken = partition.due()
    expect(woken).toBeGreaterThanOrEqual(partition.at + 590_000)
    partition.pass(700_000)
    expect(partition.due()).toBeLessThan(partition.at + 61_000)
    partition.do({ _tag: "ForgetObjects", objects: [object] })
    partition.pass(120_000)
    expect(partition.due()).toBe(Number.POSITIVE_INFINITY)
  })

  it("that a refused append leaves is not lost from sight, through a snapshot and a replay", () => {
    const partition = new Partition()
    partition.create("a/x")
    partition.do({ _tag: "Append", stream: "a/x", close: true })
    const object = partition.plan("o")
    expect(partition.do(large(object), "open")).toBe("StreamClosed")
    partition.state = partitionDecider.load(partitionDecider.save(partition.state), "p0")
    partition.pass(2000)
    expect([...partition.state.garbage.keys()]).toEqual([object])
  })
})

describe("segments of streams that end", () => {
  it("are garbage when the stream expires, by the partition's own timer", () => {
    const partition = new Partition()
    partition.create("a/x", { ttlS: 30 })
    partition.append("a/x", "abc")
    const object = partition.seal("a/x", "s1")
    partition.pass(29_000)
    expect(partition.state.garbage.size).toBe(0)
    partition.pass(2_000)
    expect([...partition.state.garbage.keys()]).toEqual([object])
    expect(partition.state.streams.size).toBe(0)
  })

  it("stay for forks of a stream that is deleted, and go with the last of them", () => {
    const partition = new Partition()
    partition.create("a/x")
    partition.append("a/x", "abc")
    const object = partition.seal("a/x", "s1")
    partition.do({ _tag: "PinStream", stream: "a/x", pin: "k" })
    partition.do({ _tag: "ConfirmPin", stream: "a/x", pin: "k" })
    partition.do({ _tag: "Append", stream: "a/x", close: true })
    partition.do({ _tag: "DeleteStream", stream: "a/x" })
    partition.pass(10_000_000)
    expect([...partition.state.objects.keys()]).toEqual([object])
    expect(partition.state.garbage.size).toBe(0)
    partition.do({ _tag: "UnpinStream", stream: "a/x", pin: "k" })
    expect([...partition.state.garbage.keys()]).toEqual([object])
  })
})

describe("a partition that may not move anything", () => {
  it("refuses appends at its bound and says so, takes closes, and takes appends again when there is room", () => {
    const partition = new Partition()
    partition.create("a/x")
    partition.create("a/y")
    const text = "x".repeat(8 * 1024 * 1024)
    for (let bytes = 0; bytes < partitionHotBytesMax; bytes += text.length) partition.append("a/x", text)
    expect(partition.append("a/y", "one more")).toBe("Full")
    expect(partition.do({ _tag: "Append", stream: "a/y", close: true })).toMatchObject({ closed: true })
    partition.do({ _tag: "RetainFrom", stream: "a/x", offset: text.length })
    partition.create("a/z")
    expect(partition.append("a/z", "room")).toMatchObject({ tail: 4 })
  })
})
