/** What is written to a socket is what was said, in order and unharmed, however slowly the socket takes it. */
import type { Socket } from "node:net"
import { Writable } from "node:stream"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Outbox } from "../../adapters/nats/broker/outbox.ts"

/** Takes a write at once or only later, as told; the bytes are read when it is taken, as a kernel would. */
class Slow extends Writable {
  readonly taken: Array<Buffer> = []
  readonly #delays: ReadonlyArray<number>
  #writes = 0

  constructor(delays: ReadonlyArray<number>) {
    super({ highWaterMark: 16 * 1024 })
    this.#delays = delays
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    const delay = this.#delays[this.#writes++ % this.#delays.length] ?? 0
    const take = () => {
      this.taken.push(Buffer.from(chunk))
      done()
    }
    if (delay === 0) take()
    else if (delay === 1) process.nextTick(take)
    else setImmediate(take)
  }
}

const size = fc.oneof(fc.nat(300), fc.nat(10_000), fc.integer({ min: 30_000, max: 140_000 }))
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ size }) },
  { weight: 2, arbitrary: fc.record({ text: fc.constantFrom("PING\r\n", "-ERR 'é'\r\n", "+OK\r\n") }) },
  { weight: 2, arbitrary: fc.record({ wait: fc.constantFrom("tick", "turn") }) }
)
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const tick = () => new Promise<void>((resolve) => process.nextTick(resolve))

describe("the outbox", () => {
  it("writes everything in order, whatever the socket's pace", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60, size: "max" }),
        fc.array(fc.constantFrom(0, 0, 0, 1, 2), { minLength: 1, maxLength: 8 }),
        async (steps, delays) => {
          const socket = new Slow(delays)
          const outbox = new Outbox(socket as unknown as Socket, 1e9, () => {})
          const wanted: Array<Buffer> = []
          let number = 0
          for (const one of steps) {
            if ("text" in one) {
              outbox.text(one.text)
              wanted.push(Buffer.from(one.text))
            } else if ("size" in one) {
              const line = `MSG é.${number} 1 ${one.size}\r\n`
              const data = Buffer.alloc(one.size + 7, ++number)
              outbox.message(line, data, 3, one.size + 3)
              wanted.push(Buffer.from(line), data.subarray(3, one.size + 3), Buffer.from("\r\n"))
            } else await (one.wait === "tick" ? tick() : turn())
          }
          const finished = new Promise<void>((resolve) => socket.once("finish", resolve))
          outbox.end("END\r\n")
          await finished
          const given = Buffer.concat(socket.taken)
          expect(given.equals(Buffer.concat([...wanted, Buffer.from("END\r\n")]))).toBe(true)
        }
      ),
      { numRuns: 200 }
    )
  })

  it("says that too much waits, once it does, and keeps whole messages in what went out", async () => {
    let overflows = 0
    const socket = new Slow([2])
    const outbox = new Outbox(socket as unknown as Socket, 100_000, () => {
      overflows++
      outbox.cut("-ERR 'Slow Consumer'\r\n")
    })
    for (let n = 0; n < 1000; n++) {
      outbox.message("MSG x 1 1000\r\n", Buffer.alloc(1000), 0, 1000)
      expect(outbox.pendingBytes).toBeLessThan(110_000)
      if (n % 10 === 0) await tick()
    }
    expect(overflows).toBe(1)
    await new Promise<void>((resolve) => socket.once("finish", resolve))
    const given = Buffer.concat(socket.taken)
    const error = "-ERR 'Slow Consumer'\r\n"
    expect(given.subarray(-error.length).toString()).toBe(error)
    expect((given.length - error.length) % ("MSG x 1 1000\r\n".length + 1002)).toBe(0)
  })
})
