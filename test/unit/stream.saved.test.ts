/** Snapshots of partitions in every form in which they were ever written: all of them are read. */
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import type { State } from "../../actors/stream-partition/state.ts"

const frame = (numbers: ReadonlyArray<number>, head: object, ...rest: ReadonlyArray<Uint8Array>): Buffer => {
  const text = Buffer.from(JSON.stringify(head))
  const sizes = Buffer.alloc(4 * (numbers.length + 1))
  for (const [at, number] of [...numbers, text.length].entries()) sizes.writeUInt32LE(number, 4 * at)
  return Buffer.concat([sizes, text, ...rest])
}

const bytesOf = (state: State, key: string): string => {
  const { data, tail = 0 } = state.streams.look(key) ?? {}
  return Buffer.concat((data?.parts(0, tail) ?? []).filter((part) => Buffer.isBuffer(part))).toString()
}

describe("a snapshot of a partition", () => {
  it("is read as it was at first, with all streams in one text and the payloads behind it", () => {
    const stream = {
      ...{ key: "a/ü", contentType: "text/plain", createdAt: 5, tail: 5, floor: 0, closed: true, touchedAt: 7 },
      ...{ writtenAt: 6, hidden: false, producers: [["w", { epoch: 1, seq: 2, at: 3, ranges: [2, 0, 5] }]] },
      data: { begin: 0, ends: [2, 5], blocks: [{ from: 0, used: 5 }] }
    }
    const other = { ...stream, key: "a/z", data: undefined, producers: undefined, tail: 0, pins: [["k", 0]] }
    const head = { streams: [stream, other], subscribers: [], alarms: [{ at: 9, key: "a/z" }], garbage: [["o", 4]] }
    const state = partitionDecider.load(frame([], head, Buffer.from("hello")), "p0")
    expect(bytesOf(state, "a/ü")).toBe("hello")
    expect(state.streams.get("a/ü")).toMatchObject({ closed: true, tail: 5, writtenAt: 6, touchedAt: 7 })
    expect(state.streams.get("a/ü")?.producers?.get("w")?.seq).toBe(2)
    expect(state.streams.get("a/z")?.pins?.get("k")).toBe(0)
    expect([state.hotBytes, state.alarms.length, [...state.garbage]]).toEqual([5, 1, [["o", 4]]])
    // And written as they are now, and read again.
    const again = partitionDecider.load(partitionDecider.save(state), "p0")
    expect([bytesOf(again, "a/ü"), again.streams.size, again.hotBytes]).toEqual(["hello", 2, 5])
  })

  it("is read without the index that it has now, and wherever its bytes begin", () => {
    const made = partitionDecider.initial("p0")
    for (let each = 0; each < 50; each++) {
      const event = { _tag: "StreamCreated", stream: `a/${each}`, contentType: "text/plain", by: "open" }
      partitionDecider.evolve(made, event as never, each + 1)
    }
    const whole = Buffer.from(partitionDecider.save(made))
    const size = whole.readUInt32LE(4)
    const { index, ...head } = JSON.parse(whole.toString("utf8", 8, 8 + size))
    const records = Buffer.concat([...made.streams.save().records])
    const bare = partitionDecider.load(frame([0], head, records), "p0")
    // One byte further, no number of four bytes lies where it can be read in place.
    const shifted = Buffer.concat([Buffer.alloc(1), whole]).subarray(1)
    for (const state of [bare, partitionDecider.load(shifted, "p0")]) {
      expect(state.streams.size).toBe(index.count)
      for (let each = 0; each < 50; each++) expect(state.streams.get(`a/${each}`)?.createdAt).toBe(each + 1)
      expect(state.streams.get("a/50")).toBeUndefined()
    }
  })

  it("is of the moment at which it was begun, whatever happens while its pieces are written", () => {
    const evolve = (state: State, event: object, at: number): State =>
      partitionDecider.evolve(state, event as never, at)
    const append = (state: State, each: number): State => {
      const { tail = 0 } = state.streams.look(`a/${each}`) ?? {}
      const wire = { text: `<${each}>`.repeat(9), size: `<${each}>`.length * 9, count: 1 }
      return evolve(state, { _tag: "Appended", stream: `a/${each}`, from: tail, wire }, 2)
    }
    let state = partitionDecider.initial("p0")
    for (let each = 0; each < 1500; each++) {
      state = evolve(state, { _tag: "StreamCreated", stream: `a/${each}`, contentType: "text/plain", by: "open" }, 1)
      state = append(state, each)
    }
    // Some lie as a snapshot brought them, others were packed since, and the last ones are in use.
    state = partitionDecider.load(partitionDecider.save(state), "p0")
    for (let each = 0; each < 1200; each++) state = append(state, each)
    const whole = Buffer.from(partitionDecider.save(state))
    const pieces = partitionDecider.saving?.(state).next().value as ReadonlyArray<Uint8Array>
    for (let each = 0; each < 1500; each++) state = append(state, 1499 - each)
    for (let each = 0; each < 700; each++)
      state = evolve(state, { _tag: "StreamRemoved", stream: `a/${each}`, pins: [] }, 3)
    expect(Buffer.concat(pieces).equals(whole)).toBe(true)
  })

  it("gives its memory back when it leaves: what was taken out is whole, and nobody is misled afterwards", () => {
    const wire = { text: "x".repeat(100), size: 100, count: 1 }
    let state = partitionDecider.initial("p0")
    for (let each = 0; each < 1500; each++) {
      const stream = `a/${each}`
      const events = [
        { _tag: "StreamCreated", stream, contentType: "text/plain", by: "open" },
        { _tag: "Appended", stream, from: 0, wire }
      ]
      for (const event of events) state = partitionDecider.evolve(state, event as never, 1)
    }
    state = partitionDecider.load(partitionDecider.save(state), "p0")
    const taken = state.streams.get("a/7")
    partitionDecider.leave?.(state)
    expect(Buffer.concat((taken?.data?.parts(0, 100) ?? []) as Array<Buffer>).toString()).toBe(wire.text)
    expect(() => state.streams.look("a/8")).toThrow()
    expect(() => partitionDecider.save(state)).toThrow()
  })
})
