/** The hash chain of a stream: the same however it is kept, and redone from every place that it names. */
import { createHash, hash } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { partitionDecider } from "../../actors/stream-partition/partition.ts"
import { linkOf, originOf } from "../../actors/stream-partition/proof.ts"
import { sha256 } from "../../actors/stream-partition/sha256.ts"
import type { State } from "../../actors/stream-partition/state.ts"
import type { CommandOf, EventOf } from "../../messages/protocol.ts"
import type { StreamPartition } from "../../messages/stream-partition.ts"

type Command = CommandOf<StreamPartition>

const stream = "a/x"
const contentType = "application/octet-stream"

class Running {
  state: State = partitionDecider.initial("p0")
  readonly log: Array<EventOf<StreamPartition>> = []

  do(command: Command): object {
    const context = { id: "p0", caller: "node", commandId: "c", at: 1000, version: 1 }
    const decision = partitionDecider.decide(this.state, command, context)
    if ("refused" in decision) return decision
    for (const event of decision.events) {
      this.log.push(event)
      this.state = partitionDecider.evolve(this.state, event, 1000)
    }
    return decision.reply as object
  }
}

const proofOf = (state: State) => state.streams.look(stream)?.proof

describe("the proof of a stream", () => {
  it("is made of SHA-256", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sha256(bytes).equals(createHash("sha256").update(bytes).digest())).toBe(true)
      })
    )
    const large = Buffer.alloc(1_000_000, 7)
    expect(sha256(large).toString("hex")).toBe(hash("sha256", large))
  })

  it("is redone from the bytes and from each anchor, also of what is large, and behind a floor", () => {
    const body = fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 2000 }) },
      { weight: 1, arbitrary: fc.nat(255).map((byte) => Buffer.alloc(100_000, byte)) }
    )
    fc.assert(
      fc.property(fc.array(body, { minLength: 1, maxLength: 40 }), fc.nat(39), fc.boolean(), (bodies, cut, stored) => {
        const running = new Running()
        running.do({ _tag: "CreateStream", stream, contentType, proof: "sha-256" })
        const digests = new Map([[0, originOf(stream, 1000, 0)]])
        const ends = [0]
        for (const [index, bytes] of bodies.entries()) {
          const from = ends.at(-1) as number
          const isLarge = stored && bytes.length === 100_000
          const object = { key: `streams/p0/o${index}`, size: bytes.length, count: 1, sha256: hash("sha256", bytes) }
          if (isLarge) running.do({ _tag: "PlanObjects", objects: [object.key], forMs: 60_000 })
          const payload = isLarge ? { object } : { base64: Buffer.from(bytes).toString("base64") }
          expect(running.do({ _tag: "Append", stream, contentType, body: payload })).not.toHaveProperty("refused")
          if (index % 7 === 3) running.state = partitionDecider.load(partitionDecider.save(running.state), "p0")
          digests.set(
            from + bytes.length,
            linkOf(digests.get(from) as string, from, createHash("sha256").update(bytes).digest())
          )
          ends.push(from + bytes.length)
        }
        expect(proofOf(running.state)?.digest).toBe(digests.get(ends.at(-1) as number))
        const floor = ends[cut % ends.length] as number
        running.do({ _tag: "RetainFrom", stream, offset: floor })
        const told = proofOf(running.state)
        for (const { offset, digest } of told?.anchors ?? []) expect(digests.get(offset)).toBe(digest)
        expect(told?.anchors.every(({ offset }) => offset >= floor)).toBe(true)
        let replayed = partitionDecider.initial("p0")
        for (const event of running.log) replayed = partitionDecider.evolve(replayed, event, 1000)
        expect(proofOf(replayed)).toEqual(told)
      }),
      { numRuns: 60 }
    )
  })

  it("keeps a few anchors of a long stream, and takes nothing stored without its digest", () => {
    const running = new Running()
    running.do({ _tag: "CreateStream", stream, contentType, proof: "sha-256" })
    const base64 = Buffer.alloc(60_000).toString("base64")
    for (let index = 0; index < 200; index++) running.do({ _tag: "Append", stream, contentType, body: { base64 } })
    expect(proofOf(running.state)?.anchors.length).toBeLessThanOrEqual(33)
    expect(proofOf(running.state)?.anchors.length).toBeGreaterThan(15)
    running.do({ _tag: "PlanObjects", objects: ["streams/p0/o"], forMs: 60_000 })
    const object = { key: "streams/p0/o", size: 9, count: 1 }
    expect(running.do({ _tag: "Append", stream, contentType, body: { object } })).toMatchObject({
      refused: { _tag: "NoProof" }
    })
  })
})
