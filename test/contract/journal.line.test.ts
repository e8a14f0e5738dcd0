/** Appends into a stream whose server loses, delays and reorders: what is acknowledged is what every reader finds. */
import type { Msg, NatsConnection, PublishOptions, RequestOptions } from "@nats-io/nats-core"
import { Effect, Exit } from "effect"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Chain } from "../../adapters/jetstream/chain.ts"
import { Line } from "../../adapters/jetstream/line.ts"
import type { Position } from "../../messages/entry.ts"
import { claimOf, readFrame } from "../../runtime/journal/frame.ts"
import { entryOf, placed } from "./journal.ts"

interface Faults {
  /** Of a hundred messages on their way to the stream: lost, or late by up to so many milliseconds. */
  readonly lost: number
  readonly lateMs: number
  /** Of a hundred answers: lost, and of a hundred reads: answered by a leader that lags behind. */
  readonly deaf: number
  readonly stale: number
}

/** A stream with the fence of JetStream behind a network with faults; deterministic under its seed and fake timers. */
class FakeStream {
  readonly messages: Array<Buffer> = []
  readonly faults: Faults
  healed = false
  #state: number
  readonly #heard = new Map<string, (error: Error | null, message: Msg) => void>()

  constructor(seed: number, faults: Faults) {
    this.#state = seed | 0 || 1
    this.faults = faults
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % limit
  }

  #hits(ofHundred: number): boolean {
    return !this.healed && this.below(100) < ofHundred
  }

  #delay(): number {
    return this.healed ? 1 : 1 + this.below(this.faults.lateMs)
  }

  append(data: Buffer): number {
    return this.messages.push(Buffer.from(data))
  }

  readonly connection = {
    isClosed: () => false,
    publish: (_subject: string, data: Buffer, options: PublishOptions) => {
      if (this.#hits(this.faults.lost)) return
      setTimeout(() => this.#arrive(data, options), this.#delay())
    },
    request: async (_subject: string, body: string, _options: RequestOptions) => {
      await new Promise((resolve) => setTimeout(resolve, this.#delay()))
      if (this.#hits(this.faults.deaf)) throw new Error("timeout")
      const { seq } = JSON.parse(body) as { readonly seq: number }
      const message = this.#hits(this.faults.stale) ? undefined : this.messages[seq - 1]
      const none = { error: { code: 404, description: "no message found", err_code: 10037 } }
      const answer = message === undefined ? none : { message: { data: message.toString("base64"), seq } }
      return { data: Buffer.from(JSON.stringify(answer)) }
    },
    subscribe: (subject: string, options: { callback: (error: Error | null, message: Msg) => void }) => {
      const inbox = subject.slice(0, -2)
      this.#heard.set(inbox, options.callback)
      return { unsubscribe: () => void this.#heard.delete(inbox) }
    }
  } as unknown as NatsConnection

  #arrive(data: Buffer, { headers, reply = "" }: PublishOptions): void {
    const expected = Number(headers?.get("Nats-Expected-Last-Sequence"))
    const isNext = expected === this.messages.length
    const answer = isNext
      ? { seq: this.append(data), stream: "ART_LOG_0" }
      : { error: { code: 400, description: `wrong last sequence: ${this.messages.length}`, err_code: 10071 } }
    if (this.#hits(this.faults.deaf)) return
    setTimeout(() => {
      const message = { data: Buffer.from(JSON.stringify(answer)), subject: reply } as unknown as Msg
      this.#heard.get(reply.slice(0, reply.lastIndexOf(".")))?.(null, message)
    }, this.#delay())
  }
}

interface Sent {
  readonly owner: number
  readonly version: number
  exit: Exit.Exit<ReadonlyArray<Position>, unknown> | undefined
}

const found = (stream: FakeStream) => {
  const chain = new Chain()
  return stream.messages.flatMap((message, index) => {
    const frame = readFrame(message, index + 1)
    if ("broken" in frame) throw new Error(frame.broken)
    return chain.takes(frame) ? placed(frame.reads) : []
  })
}

/** Owners one after another, each appending on while the next one already claims. */
const live = async (stream: FakeStream, owners: number, appends: number, window: number) => {
  const sent: Array<Sent> = []
  for (let owner = 1; owner <= owners; owner++) {
    const epoch = stream.append(claimOf(`owner-${owner}`, 0, 0))
    const line = new Line({ connection: stream.connection, epoch, log: "fake", shard: 0, window })
    for (let version = 1; version <= appends; version++) {
      const one: Sent = { exit: undefined, owner, version }
      sent.push(one)
      const entry = entryOf(version, { id: `owner-${owner}` })
      void Effect.runPromise(Effect.exit(line.append([entry]))).then((exit) => {
        one.exit = exit
      })
      if (stream.below(3) === 0) await vi.advanceTimersByTimeAsync(stream.below(stream.faults.lateMs * 2))
    }
    if (owner === owners) stream.healed = true
    await vi.advanceTimersByTimeAsync(owner === owners ? 40_000 : stream.below(2) * stream.below(2_000))
  }
  return sent
}

describe("a line of appends", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("acknowledges exactly what readers find, once and in order, through all faults and owners", async () => {
    const reached = { acknowledged: 0, fenced: 0, orphans: 0 }
    const faults = fc.record({
      deaf: fc.nat({ max: 30 }),
      lateMs: fc.integer({ max: 60, min: 1 }),
      lost: fc.nat({ max: 30 }),
      stale: fc.nat({ max: 20 })
    })
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ max: 24, min: 1 }),
        fc.integer(),
        faults,
        fc.integer({ max: 4, min: 1 }),
        fc.constantFrom(1, 4, 16),
        async (appends, seed, mix, owners, window) => {
          const stream = new FakeStream(seed, mix)
          const sent = await live(stream, owners, appends, window)
          const reads = found(stream)
          for (let owner = 1; owner <= owners; owner++) {
            const own = reads.filter((read) => read.entry.id === `owner-${owner}`)
            // Once, in order, without a gap.
            expect(own.map((read) => read.entry.version)).toEqual(own.map((_, index) => index + 1))
            for (const { exit, version } of sent.filter((one) => one.owner === owner)) {
              const read = own[version - 1]
              if (exit === undefined) throw new Error(`append ${version} of owner ${owner} was never answered`)
              if (Exit.isSuccess(exit)) expect([read?.position]).toEqual(exit.value)
              else if (JSON.stringify(exit).includes("Fenced")) expect(read).toBeUndefined()
              reached[Exit.isSuccess(exit) ? "acknowledged" : "fenced"] += 1
              // The world has healed for the last owner, and nobody deposed it.
              if (owner === owners) expect(Exit.isSuccess(exit)).toBe(true)
            }
          }
          reached.orphans += stream.messages.length - owners - reads.length
        }
      ),
      { numRuns: 300 }
    )
    expect(Math.min(reached.acknowledged, reached.fenced, reached.orphans)).toBeGreaterThan(0)
  })

  it("gives up after a while when appends never arrive, although the log can be read", async () => {
    const stream = new FakeStream(1, { deaf: 0, lateMs: 2, lost: 100, stale: 0 })
    const epoch = stream.append(claimOf("one", 0, 0))
    const line = new Line({ connection: stream.connection, epoch, log: "fake", shard: 0, window: 4 })
    const answers = [1, 2].map((version) => Effect.runPromise(Effect.flip(line.append([entryOf(version)]))))
    await vi.advanceTimersByTimeAsync(25_000)
    for (const failure of await Promise.all(answers)) {
      expect(failure).toMatchObject({ _tag: "Unavailable", why: expect.stringContaining("no acknowledgement") })
    }
  })
})
