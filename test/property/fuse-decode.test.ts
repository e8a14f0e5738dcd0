/** Whatever bytes a request has: it is read within its own length, or refused aloud. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decode, forgotten, incoming } from "../../adapters/fuse/decode.ts"
import { opcodes } from "../../adapters/fuse/protocol.ts"

const canary = 0x5a

/** A request whose body is any bytes, in a buffer in which a sign that it was left stands behind its end. */
const requests = fc
  .record({
    opcode: fc.constantFrom(...Object.values(opcodes)),
    body: fc.uint8Array({ maxLength: 200 }),
    unique: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  })
  .map(({ body, opcode, unique }) => {
    const from = incoming(new ArrayBuffer(4096))
    from.bytes.fill(canary)
    from.bytes.fill(0, 0, 40)
    from.bytes.set(body, 40)
    from.bytes.writeUInt32LE(40 + body.length, 0)
    from.bytes.writeUInt32LE(opcode, 4)
    from.bytes.writeBigUInt64LE(unique, 8)
    return { from, body, opcode, unique }
  })

const tried = <A>(once: () => A): A | undefined => {
  try {
    return once()
  } catch (error) {
    expect((error as Error).message).toMatch(/has no end|no lock of type/)
    return undefined
  }
}

describe("requests of any bytes", () => {
  it("are read or refused, and names end within them", () => {
    fc.assert(
      fc.property(requests, fc.boolean(), ({ body, from, unique }, setxattrExtended) => {
        const request = tried(() => decode(from, { setxattrExtended }))
        if (request === undefined) return
        expect(request.resent).toBe(unique >= 2n ** 63n)
        for (const field of ["name", "toName", "target"] as const) {
          if (!(field in request)) continue
          const name = String(request[field as keyof typeof request])
          expect(name.length).toBeLessThanOrEqual(body.length)
          expect(name).not.toContain("\0")
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("let go of as many nodes as they say", () => {
    const nodes = fc.array(fc.tuple(fc.integer({ min: 1 }), fc.integer({ min: 1, max: 1000 })), { maxLength: 20 })
    fc.assert(
      fc.property(nodes, (list) => {
        const from = incoming(new ArrayBuffer(4096))
        from.bytes.writeUInt32LE(opcodes.batchForget, 4)
        from.bytes.writeUInt32LE(list.length, 40)
        list.forEach(([node, count], index) => {
          from.bytes.writeBigUInt64LE(BigInt(node), 48 + index * 16)
          from.bytes.writeBigUInt64LE(BigInt(count), 56 + index * 16)
        })
        expect([...forgotten(from)]).toEqual(list)
      })
    )
  })
})
