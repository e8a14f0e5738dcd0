/** What every bus has to do, whatever it is made of. */
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, ManagedRuntime, type Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Bus, type BusDown, type Message } from "../../runtime/ports/bus.ts"

type OneBus = typeof Bus.Service

export interface BusContract {
  /** The most that one message may hold here. */
  readonly payloadBytesMax?: number
}

const textOf = (message: Message): string => new TextDecoder().decode(message.body)
const tagOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return "answered"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? error._tag : String(error)
}

const timeoutMs = 5_000

/** Waits until the count is there, and a little longer, so that one too many shows as well. */
const settled = Effect.fnUntraced(function* (count: () => number, wanted: number) {
  for (let turn = 0; turn < 2_000 && count() < wanted; turn++) yield* Effect.sleep("5 millis")
  yield* Effect.sleep("15 millis")
  return count()
})

/** The suite on two connections to the same bus; where there is but one, it is given twice. */
export const busContract = <E, F = E>(
  name: string,
  one: Layer.Layer<Bus, E>,
  other?: Layer.Layer<Bus, F>,
  options: BusContract = {}
): void => {
  describe(`bus contract: ${name}`, () => {
    // What a failing listener leaves in the log is not read here.
    const quiet = Logger.layer([])
    const near = ManagedRuntime.make(Layer.provide(one, quiet))
    const far = other === undefined ? near : ManagedRuntime.make(Layer.provide(other, quiet))
    let a: OneBus
    let b: OneBus
    let root = 0
    beforeAll(async () => {
      a = await near.runPromise(Bus)
      b = await far.runPromise(Bus)
    })
    afterAll(async () => {
      if (other !== undefined) await far.dispose()
      await near.dispose()
    })

    /** A test with a part of the subjects for itself. */
    const test = (what: string, body: (at: string) => Effect.Effect<void, unknown, Scope.Scope>) =>
      it(what, () => Effect.runPromise(Effect.scoped(body(`t${++root}`))))

    const collect = Effect.fnUntraced(function* (bus: OneBus, subject: string, queue?: string) {
      const heard: Array<string> = []
      yield* bus.subscribe(
        subject,
        (message) => heard.push(`${message.subject}=${textOf(message)}`),
        queue === undefined ? {} : { queue }
      )
      return heard
    })

    test("hears what is published, in order, on both sides", (at) =>
      Effect.gen(function* () {
        const here = yield* collect(a, `${at}.x`)
        const there = yield* collect(b, `${at}.x`)
        for (let n = 0; n < 50; n++) a.publish(`${at}.x`, String(n))
        yield* settled(() => here.length + there.length, 100)
        const wanted = Array.from({ length: 50 }, (_, n) => `${at}.x=${n}`)
        expect(here).toEqual(wanted)
        expect(there).toEqual(wanted)
      }))

    test("never calls a listener from within publish", (at) =>
      Effect.gen(function* () {
        let inside = false
        let reentered = false
        const heard: Array<string> = []
        yield* a.subscribe(`${at}.>`, (message) => {
          reentered ||= inside
          heard.push(textOf(message))
          if (heard.length >= 3) return
          inside = true
          a.publish(`${at}.again`, "more")
          inside = false
        })
        inside = true
        a.publish(`${at}.first`, "first")
        inside = false
        expect(yield* settled(() => heard.length, 3)).toBe(3)
        expect(reentered).toBe(false)
      }))

    test("matches * and > by whole tokens", (at) =>
      Effect.gen(function* () {
        const star = yield* collect(a, `${at}.*.c`)
        const rest = yield* collect(a, `${at}.a.>`)
        const exact = yield* collect(a, `${at}.a`)
        for (const subject of ["a", "a.c", "b.c", "a.b.c", "a.b.c.d", "abc", "b.d"]) b.publish(`${at}.${subject}`, "")
        yield* settled(() => star.length + rest.length + exact.length, 6)
        const names = (heard: ReadonlyArray<string>) => heard.map((line) => line.slice(at.length + 1, -1))
        expect(names(star)).toEqual(["a.c", "b.c"])
        expect(names(rest)).toEqual(["a.c", "a.b.c", "a.b.c.d"])
        expect(names(exact)).toEqual(["a"])
      }))

    test("gives each message to one member of a queue group, and to everybody else", (at) =>
      Effect.gen(function* () {
        const members = [
          yield* collect(a, `${at}.*`, "workers"),
          yield* collect(b, `${at}.*`, "workers"),
          yield* collect(b, `${at}.job`, "workers")
        ]
        const others = yield* collect(b, `${at}.job`, "others")
        const plain = yield* collect(a, `${at}.job`)
        for (let n = 0; n < 300; n++) a.publish(`${at}.job`, String(n))
        const count = () => members.reduce((sum, heard) => sum + heard.length, 0)
        yield* settled(() => count() + others.length + plain.length, 900)
        expect(count()).toBe(300)
        expect(new Set(members.flat()).size).toBe(300)
        expect(members.every((heard) => heard.length > 0)).toBe(true)
        expect(others.length).toBe(300)
        expect(plain.length).toBe(300)
      }))

    test("answers a request, with bytes and headers both ways", (at) =>
      Effect.gen(function* () {
        const bytes = Uint8Array.from({ length: 256 }, (_, n) => n)
        const headers = { "Art-Id": "id-1", "Content-Type": "application/json; charset=utf-8", Empty: "" }
        let got: Message | undefined
        yield* b.subscribe(`${at}.ask`, (message) => {
          got = message
          message.respond(message.body, { ...message.headers, Answer: "yes: it is" })
        })
        const answer = yield* a.request(`${at}.ask`, { body: bytes, headers, timeoutMs })
        expect(got?.subject).toBe(`${at}.ask`)
        expect({ ...got?.headers }).toEqual(headers)
        expect(new Uint8Array(got?.body ?? [])).toEqual(bytes)
        expect(new Uint8Array(answer.body)).toEqual(bytes)
        expect({ ...answer.headers }).toEqual({ ...headers, Answer: "yes: it is" })
        const plain = yield* a.request(`${at}.ask`, { body: "", timeoutMs })
        expect(plain.body.length).toBe(0)
      }))

    test("keeps many requests apart, whichever is answered first", (at) =>
      Effect.gen(function* () {
        const kept: Array<Message> = []
        yield* b.subscribe(`${at}.*`, (message) => {
          kept.push(message)
          if (kept.length === 64) for (const one of kept.splice(0).reverse()) one.respond(textOf(one))
        })
        const asked = Array.from({ length: 256 }, (_, n) => n)
        const answers = yield* Effect.forEach(
          asked,
          (n) => Effect.map(a.request(`${at}.${n % 7}`, { body: `n${n}`, timeoutMs }), textOf),
          { concurrency: "unbounded" }
        )
        expect(answers).toEqual(asked.map((n) => `n${n}`))
      }))

    test("takes the first of several answers", (at) =>
      Effect.gen(function* () {
        yield* a.subscribe(`${at}.ask`, (message) => {
          message.respond("first")
          message.respond("second")
        })
        for (let n = 0; n < 5; n++) expect(textOf(yield* a.request(`${at}.ask`, { body: "", timeoutMs }))).toBe("first")
      }))

    test("says at once that nobody listens", (at) =>
      Effect.gen(function* () {
        const started = performance.now()
        expect(tagOf(yield* Effect.exit(a.request(`${at}.none`, { body: "", timeoutMs })))).toBe("NoResponders")
        expect(performance.now() - started).toBeLessThan(timeoutMs / 2)
      }))

    test("gives up on an answer that does not come, in time", (at) =>
      Effect.gen(function* () {
        yield* b.subscribe(`${at}.silent`, () => {})
        const started = performance.now()
        const exit = yield* Effect.exit(a.request(`${at}.silent`, { body: "", timeoutMs: 60 }))
        const took = performance.now() - started
        expect(tagOf(exit)).toBe("TimedOut")
        expect(took).toBeGreaterThanOrEqual(55)
        expect(took).toBeLessThan(4_000)
      }))

    test("forgets a request that was interrupted, and takes no harm from its late answer", (at) =>
      Effect.gen(function* () {
        const arrived = yield* Deferred.make<Message>()
        yield* b.subscribe(`${at}.slow`, (message) => void Deferred.doneUnsafe(arrived, Effect.succeed(message)))
        const exit = yield* Effect.exit(Effect.timeout(a.request(`${at}.slow`, { body: "", timeoutMs }), "100 millis"))
        expect(Exit.isFailure(exit)).toBe(true)
        const message = yield* Deferred.await(arrived)
        message.respond("too late")
        message.respond("and again")
        yield* b.subscribe(`${at}.quick`, (quick) => quick.respond("in time"))
        expect(textOf(yield* a.request(`${at}.quick`, { body: "", timeoutMs }))).toBe("in time")
      }))

    test("does nothing on respond when nobody waits", (at) =>
      Effect.gen(function* () {
        const heard: Array<Message> = []
        yield* a.subscribe(`${at}.x`, (message) => {
          heard.push(message)
          message.respond("to nobody", { A: "b" })
        })
        b.publish(`${at}.x`, "one way")
        expect(yield* settled(() => heard.length, 1)).toBe(1)
      }))

    test("stops listening when the scope closes", (at) =>
      Effect.gen(function* () {
        const heard: Array<string> = []
        const listening = Effect.gen(function* () {
          yield* b.subscribe(`${at}.x`, (message) => {
            heard.push(textOf(message))
            message.respond("here")
          })
          yield* a.request(`${at}.x`, { body: "while", timeoutMs })
        })
        yield* Effect.scoped(listening)
        // The server hears of it a moment later; until then a request may still be handed to a listener that is gone.
        let after: unknown
        for (let turn = 0; turn < 100 && after !== "NoResponders"; turn++)
          after = tagOf(yield* Effect.exit(a.request(`${at}.x`, { body: "after", timeoutMs: 100 })))
        expect(after).toBe("NoResponders")
        expect(heard).toEqual(["while"])
        yield* Effect.scoped(listening)
        expect(heard).toEqual(["while", "while"])
      }))

    test("leaves nobody waiting for a listener that ended", (at) =>
      Effect.gen(function* () {
        const ends: Array<unknown> = []
        const asking = Effect.gen(function* () {
          while (!ends.includes("NoResponders"))
            ends.push(tagOf(yield* Effect.exit(a.request(`${at}.x`, { body: "", timeoutMs }))))
        })
        const lines = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* b.subscribe(`${at}.x`, (message) => message.respond("here"))
            const all = Array.from({ length: 64 }, () => asking)
            const started = yield* Effect.forkDetach(Effect.all(all, { concurrency: "unbounded", discard: true }))
            yield* settled(() => ends.length, 256)
            return started
          })
        )
        yield* Fiber.await(lines)
        expect(new Set(ends)).toEqual(new Set(["answered", "NoResponders"]))
      }))

    test("goes on after a listener that throws", (at) =>
      Effect.gen(function* () {
        yield* b.subscribe(`${at}.x`, (message) => {
          if (textOf(message) === "bad") throw new Error("a defect of this test")
          message.respond("good")
        })
        a.publish(`${at}.x`, "bad")
        expect(textOf(yield* a.request(`${at}.x`, { body: "fine", timeoutMs }))).toBe("good")
      }))

    test("names what is wrong with a subject", (at) =>
      Effect.gen(function* () {
        for (const bad of ["", "a b", `${at}.`, `.${at}`, `${at}..b`, `${at}.*`, `${at}.>`, `${at}\r\n`, "a\tb"]) {
          expect(() => a.publish(bad, ""), bad).toThrow(JSON.stringify(bad))
          const exit = yield* Effect.exit(a.request(bad, { body: "", timeoutMs }))
          expect(String(tagOf(exit)), bad).toContain(JSON.stringify(bad))
        }
        for (const bad of ["", "a b", `${at}.`, `${at}..b`, `${at}.>.b`]) {
          const exit = yield* Effect.exit(a.subscribe(bad, () => {}))
          expect(String(tagOf(exit)), bad).toContain(JSON.stringify(bad))
        }
      }))

    test("carries a message of the largest size, and refuses a larger one", (at) =>
      Effect.gen(function* () {
        const bytesMax = options.payloadBytesMax ?? 1024 * 1024
        yield* b.subscribe(`${at}.size`, (message) => message.respond(String(message.body.length)))
        const largest = new Uint8Array(bytesMax)
        expect(textOf(yield* a.request(`${at}.size`, { body: largest, timeoutMs }))).toBe(String(bytesMax))
        const larger = new Uint8Array(bytesMax + 1)
        const error: unknown = yield* Effect.flip(a.request(`${at}.size`, { body: larger, timeoutMs }))
        expect((error as BusDown)._tag).toBe("BusDown")
        expect(() => a.publish(`${at}.size`, larger)).toThrow()
        expect(textOf(yield* a.request(`${at}.size`, { body: "small", timeoutMs }))).toBe("5")
      }))

    test("survives an answer that is too large: the asker waits in vain, nobody falls", (at) =>
      Effect.gen(function* () {
        yield* b.subscribe(`${at}.x`, (message) => {
          if (textOf(message) === "much") message.respond(new Uint8Array((options.payloadBytesMax ?? 1024 * 1024) + 1))
          else message.respond("little")
        })
        const much = yield* Effect.exit(a.request(`${at}.x`, { body: "much", timeoutMs: 100 }))
        expect(tagOf(much)).toBe("TimedOut")
        expect(textOf(yield* a.request(`${at}.x`, { body: "", timeoutMs }))).toBe("little")
      }))
  })
}
