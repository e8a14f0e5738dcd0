/** Frames: what goes in comes out, and no damage is ever read as something else. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry, Placed } from "../../messages/entry.ts"
import { batchBytesMax, batchEntriesMax } from "../../messages/limits.ts"
import { claimOf, countOf, entryBytes, framesOf, moved, positionOf, readFrame } from "../../runtime/journal/frame.ts"

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.array(fc.integer({ max: 0xffff, min: 0 }), { maxLength: 10 }).map((units) => String.fromCharCode(...units))
)
const entry: fc.Arbitrary<Entry> = fc.record({
  kind: text,
  id: text,
  version: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  cause: text,
  caller: text,
  at: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  due: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  events: text,
  reply: text
})
const entries = fc.array(entry, { maxLength: 12, minLength: 1 })

const plain = (version: number, events = "[]"): Entry => ({
  kind: "account",
  id: `org-${version}`,
  version,
  cause: "c",
  caller: "me",
  at: 1,
  due: 0,
  events,
  reply: "{}"
})

const placedOf = (frame: Buffer, sequence: number): ReadonlyArray<Placed> => {
  const read = readFrame(frame, sequence)
  if ("broken" in read) throw new Error(read.broken)
  return read.reads.map((one) => {
    if ("damaged" in one) throw new Error(one.damaged.why)
    return one
  })
}

describe("frames", () => {
  it("come back as they went in, whatever the characters", () => {
    fc.assert(
      fc.property(entries, fc.nat({ max: 0xffff_ffff }), fc.integer({ max: 2 ** 40, min: 1 }), (all, epoch, first) => {
        const frames = framesOf(all, { epoch: epoch, ordinal: 1, sequence: first })
        const back = frames.flatMap((frame, index) => placedOf(frame, first + index))
        expect(back.map((one) => one.entry)).toEqual(all)
        expect(back.map((one) => one.position)).toEqual(all.map((_, index) => positionOf(first, index)))
      }),
      { numRuns: 300 }
    )
  })

  it("say exactly how many bytes an entry takes", () => {
    fc.assert(
      fc.property(entries, entry, (all, more) => {
        const bytes = (some: ReadonlyArray<Entry>) =>
          (framesOf(some, { epoch: 1, ordinal: 1, sequence: 1 })[0] as Buffer).byteLength
        expect(bytes([...all, more]) - bytes(all)).toBe(entryBytes(more))
      }),
      { numRuns: 100 }
    )
  })

  it("notice every single flipped bit: the log is broken, or the one actor is named, and the rest stays right", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4, minLength: 1 }), (all) => {
        const frame = framesOf(all, { epoch: 7, ordinal: 1, sequence: 3 })[0] as Buffer
        for (let bit = 0; bit < frame.byteLength * 8; bit++) {
          frame[bit >>> 3] = (frame[bit >>> 3] as number) ^ (1 << (bit & 7))
          const read = readFrame(frame, 3)
          frame[bit >>> 3] = (frame[bit >>> 3] as number) ^ (1 << (bit & 7))
          if ("broken" in read) continue
          const damaged = read.reads.filter((one) => "damaged" in one)
          expect(damaged).toHaveLength(1)
          read.reads.forEach((one, index) => {
            const own = all[index] as Entry
            if ("entry" in one) expect(one.entry).toEqual(own)
            else expect(one.damaged).toMatchObject({ id: own.id, kind: own.kind, version: own.version })
          })
        }
      }),
      { numRuns: 8 }
    )
  })

  it("are broken when cut at any byte, or followed by more", () => {
    fc.assert(
      fc.property(entries, (all) => {
        const frame = framesOf(all, { epoch: 7, ordinal: 1, sequence: 3 })[0] as Buffer
        for (let end = 0; end < frame.byteLength; end++)
          expect(readFrame(frame.subarray(0, end), 3)).toHaveProperty("broken")
        expect(readFrame(Buffer.concat([frame, Buffer.alloc(1)]), 3)).toHaveProperty("broken")
      }),
      { numRuns: 10 }
    )
  })

  it("never throw on bytes that nobody wrote", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(readFrame(bytes, 1)).toHaveProperty("broken")
      })
    )
  })

  it("carry a claim with its owner, and notice its damage", () => {
    const claim = claimOf("node-ä", 9, 4)
    expect(readFrame(claim, 4)).toEqual({ epoch: 9, owner: "node-ä", ordinal: 0, reads: [] })
    expect(readFrame(claimOf("n", 0, 0), 17)).toEqual({ epoch: 17, owner: "n", ordinal: 0, reads: [] })
    for (let bit = 0; bit < claim.byteLength * 8; bit++) {
      const bad = Buffer.from(claim)
      bad[bit >>> 3] = (bad[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(readFrame(bad, 4)).toHaveProperty("broken")
    }
  })

  it("are broken in another place of the log than their own", () => {
    expect(readFrame(framesOf([plain(1)], { epoch: 1, ordinal: 1, sequence: 5 })[0] as Buffer, 6)).toHaveProperty(
      "broken"
    )
  })

  it("can be moved to another place, and keep their ordinal", () => {
    const frame = framesOf([plain(1)], { epoch: 7, ordinal: 1, sequence: 5 })[0] as Buffer
    expect(readFrame(frame, 5)).toMatchObject({ epoch: 7, ordinal: 1 })
    const elsewhere = moved(frame, 9)
    expect(readFrame(elsewhere, 9)).toMatchObject({ epoch: 7, ordinal: 1 })
    expect(placedOf(elsewhere, 9).map((one) => one.entry)).toEqual([plain(1)])
  })

  it("split by count", () => {
    const all = Array.from({ length: batchEntriesMax * 2 + 1 }, (_, index) => plain(index + 1))
    const frames = framesOf(all, { epoch: 1, ordinal: 1, sequence: 10 })
    expect(frames.map(countOf)).toEqual([batchEntriesMax, batchEntriesMax, 1])
    expect(frames.flatMap((frame, index) => placedOf(frame, 10 + index)).map((one) => one.entry)).toEqual(all)
  })

  it("split by size, and stay below the limit of a message", () => {
    const all = Array.from({ length: 40 }, (_, index) => plain(index + 1, JSON.stringify(["ü".repeat(45_000)])))
    const frames = framesOf(all, { epoch: 1, ordinal: 1, sequence: 1 })
    expect(frames.length).toBeGreaterThan(2)
    for (const frame of frames) expect(frame.byteLength).toBeLessThanOrEqual(batchBytesMax)
    expect(frames.flatMap((frame, index) => placedOf(frame, 1 + index)).map((one) => one.entry)).toEqual(all)
  })

  it("refuse an entry above the limit, by its name", () => {
    expect(() => framesOf([plain(7, "x".repeat(1024 * 1024))], { epoch: 1, ordinal: 1, sequence: 1 })).toThrow(
      "entry 7 of account/org-7"
    )
  })
})
