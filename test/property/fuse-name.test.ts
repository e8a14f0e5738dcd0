/** Names between bytes and strings: nothing is lost on the way, and it is the way of the rest of the system. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { nameEnd, nameRoom, readName, writeName } from "../../adapters/fuse/name.ts"
import { decodeName, encodeName } from "../../messages/names.ts"

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 300 }),
  fc.string({ unit: "binary", minLength: 1 }).map((text) => new TextEncoder().encode(text)),
  fc
    .array(fc.oneof(fc.constant(0xed), fc.constant(0xf0), fc.integer({ min: 0x7e, max: 0xc4 }), fc.constant(0xff)))
    .map((list) => Uint8Array.from(list))
)

describe("names", () => {
  it("come back as the bytes that they were", () => {
    fc.assert(
      fc.property(bytes, (given) => {
        const name = readName(Buffer.from(given), 0, given.length)
        const room = Buffer.alloc(nameRoom(name) + 8, 0xee)
        const length = writeName(room, 4, name)
        expect(room.subarray(4, 4 + length)).toEqual(Buffer.from(given))
        expect([room[3], room[4 + length]]).toEqual([0xee, 0xee])
      })
    )
  })

  it("are the strings that messages have", () => {
    fc.assert(
      fc.property(bytes, (given) => {
        const name = readName(Buffer.from(given), 0, given.length)
        expect(name).toBe(decodeName(given))
        expect(Buffer.from(encodeName(name))).toEqual(Buffer.from(given))
      })
    )
  })

  it("end at their first NUL, within their request", () => {
    const buffer = Buffer.from("ab\0cd\0")
    expect([nameEnd(buffer, 0, 6), nameEnd(buffer, 3, 6)]).toEqual([2, 5])
    expect(() => nameEnd(buffer, 3, 5)).toThrow("has no end")
  })
})
