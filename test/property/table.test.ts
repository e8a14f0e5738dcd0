/** Streams that are packed while nobody uses them, against a plain map: nothing that is told of them differs. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { pack } from "../../actors/stream-partition/packed.ts"
import { Data } from "../../actors/stream-partition/payload.ts"
import type { Stream } from "../../actors/stream-partition/state.ts"
import { Table } from "../../actors/stream-partition/table.ts"

const made = (key: string, seed: number): Stream => ({
  ...{ key, contentType: seed % 3 === 0 ? "text/plain" : "application/json; é", createdAt: seed, ttlS: undefined },
  ...{ expiresAt: seed % 5 === 0 ? "2030-01-01T00:00:00Z" : undefined, expiresMs: seed % 5 === 0 ? 9e12 : undefined },
  ...{ origin: undefined, tail: 0, floor: 0, closed: seed % 7 === 0, closedBy: undefined, touchedAt: seed },
  ...{ writtenAt: seed + 1, seq: seed % 4 === 0 ? `s${seed}` : undefined, producers: undefined, data: undefined },
  ...{ pins: seed % 6 === 0 ? new Map([["p", seed]]) : undefined, hidden: seed % 11 === 0 },
  ...{ attributes: undefined, snapshot: undefined },
  proof: seed % 9 === 0 ? { digest: `d${seed}`, anchors: [], every: seed } : undefined
})

/** What both have to change alike. */
const grow = (stream: Stream, seed: number): void => {
  const text = "ü".repeat(1 + (seed % 400))
  const size = Buffer.byteLength(text)
  stream.data ??= new Data()
  stream.data.add(stream.tail, { text, size, count: 1 })
  stream.tail += size
  stream.writtenAt += seed
  if (seed % 3 !== 0) return
  stream.producers ??= new Map()
  stream.producers.set(`w${seed % 5}`, { epoch: 0, seq: seed, at: 1, ranges: [seed] })
}

const keyOf = (n: number): string => `b/stream-${n}-${n % 9 === 0 ? "ß" : "s"}`

const textOf = (stream: Stream | undefined): string => (stream === undefined ? "-" : pack(stream).toString("latin1"))

describe("a table of streams", () => {
  it("is as a map would be, whatever is packed in between, and is the same when it is loaded again", () => {
    const ops = fc.array(fc.noBias(fc.tuple(fc.nat(9), fc.nat(4000))), { minLength: 4700, maxLength: 7000 })
    let packed = 0
    fc.assert(
      fc.property(ops, (steps) => {
        let table = new Table()
        const model = new Map<string, Stream>()
        for (const [index, [what, n]] of steps.entries()) {
          const key = keyOf(n % 2500)
          if (what === 0) {
            table.delete(key)
            model.delete(key)
          } else if (what < 5) {
            table.set(key, made(key, n))
            model.set(key, made(key, n))
          } else {
            const [mine, theirs] = [table.get(key), model.get(key)]
            expect(mine === undefined).toBe(theirs === undefined)
            if (mine !== undefined) grow(mine, n)
            if (theirs !== undefined) grow(theirs, n)
          }
          packed = Math.max(packed, table.packedBytes)
          if (index % 2500 === 2499) {
            const again = new Table()
            const { records, index: found } = table.save()
            again.load(Buffer.concat(records), index % 2 === 0 ? found : undefined)
            table = again
          }
        }
        expect([...table.keys()].sort()).toEqual([...model.keys()].sort())
        expect(table.size).toBe(model.size)
        for (const [key, stream] of model) expect(textOf(table.look(key))).toBe(textOf(stream))
        for (const [key, { hotBytes, writtenAt }] of table.facts())
          expect({ hotBytes, writtenAt }).toEqual({
            hotBytes: model.get(key)?.data?.bytes ?? 0,
            writtenAt: model.get(key)?.writtenAt
          })
      }),
      // To make it smaller would take long, and tell little.
      { numRuns: 12, endOnFailure: true }
    )
    expect(packed).toBeGreaterThan(0)
  })
})
