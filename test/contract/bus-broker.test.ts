/** What only the embedded broker promises: its limits, its tokens, how it ends, and what garbage on its socket does. */
import { randomBytes } from "node:crypto"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schedule, Scope } from "effect"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import type { Admitted } from "../../adapters/nats/broker/admission.ts"
import { type Broker, type BrokerOptions, broker } from "../../adapters/nats/broker/broker.ts"
import { layer as busLayer } from "../../adapters/nats/bus.ts"
import type { ConnectOptions } from "../../adapters/nats/connection.ts"
import { type Creds, userJwt } from "../../adapters/nats/credentials.ts"
import { nkeyOf } from "../../adapters/nats/nkey.ts"
import type { Permissions } from "../../adapters/nats/permissions.ts"
import { Bus } from "../../runtime/ports/bus.ts"
import { plainConnect, wire } from "./bus-wire.ts"

const quiet = Logger.layer([])
let scope = Scope.makeUnsafe()
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  scope = Scope.makeUnsafe()
})

const started = (options: Partial<BrokerOptions> = {}): Promise<Broker> =>
  Effect.runPromise(broker({ port: 0, ...options }).pipe(Scope.provide(scope), Effect.provide(quiet)))

/** A bus over the socket, for as long as the test lasts. */
const joined = (options: ConnectOptions): Promise<Bus["Service"]> =>
  Effect.runPromise(
    Layer.buildWithScope(Layer.provide(busLayer(options), quiet), scope).pipe(
      Effect.flatMap((context) => Effect.provide(Bus, context))
    )
  )

const account = nkeyOf("account", randomBytes(32))
const authority = { issuers: [account.publicKey] }
const user = (permissions: Permissions): Creds & { readonly publicKey: string } => {
  const own = nkeyOf("user", randomBytes(32))
  const issuedAt = Math.floor(Date.now() / 1000)
  return {
    jwt: userJwt(account, own.publicKey, { name: "u", permissions }, { issuedAt }),
    seed: own.seed,
    publicKey: own.publicKey
  }
}

const soon = (holds: () => boolean) =>
  Effect.runPromise(
    Effect.retry(
      Effect.suspend(() => (holds() ? Effect.void : Effect.fail("not yet"))),
      Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 400 }))
    )
  )
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe("the embedded broker", () => {
  it("names the address when another listens there already", async () => {
    const { port } = await started()
    const error = await Effect.runPromise(Effect.flip(Effect.scoped(broker({ port }))))
    expect(error).toMatchObject({ _tag: "CannotListen", address: `127.0.0.1:${port}` })
    expect(error.why).toMatch(/another process/)
  })

  it("lets go of who does not say who it is, of who is gone, and of one too many", async () => {
    const made = await started({
      limits: { authTimeoutMs: 400, pingIntervalMs: 150, pingsOutMax: 2, connectionsMax: 2, subscriptionsMax: 2 }
    })
    const silent = await wire(made.url, "")
    await silent.until("-ERR 'Authentication Timeout'\r\n")
    await silent.closed
    const gone = await wire(made.url)
    await gone.until("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n")
    await gone.closed
    expect(made.counters().staleConnections).toBe(1)
    const alive = await wire(made.url)
    for (let n = 0; n < 5; n++) {
      await alive.until("PING\r\n")
      alive.send("PONG\r\n")
    }
    alive.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
    await alive.until("-ERR 'Maximum Subscriptions Exceeded'\r\n")
    alive.send("PING\r\n")
    await alive.until("PONG\r\n")
    const second = await wire(made.url)
    await expect(wire(made.url, "")).resolves.toMatchObject({})
    await soon(() => made.counters().connections === 2)
    second.close()
    alive.close()
    await soon(() => made.counters().connections === 0)
  })

  it("asks the node about a token, and reads what came meanwhile only then", async () => {
    const gate = Deferred.makeUnsafe<void>()
    const asked: Array<string> = []
    const token = (given: string): Effect.Effect<Admitted | undefined> => {
      asked.push(given)
      if (given === "broken") return Effect.die(new Error("a defect of this test"))
      const admitted = { user: "token-1", permissions: { publish: { allow: ["mine.>"] } } }
      return Effect.as(Deferred.await(gate), given === "right" ? admitted : undefined)
    }
    const made = await started({ authority: { issuers: [], token } })
    const heard: Array<string> = []
    await Effect.runPromise(
      Scope.provide(
        made.bus.subscribe(">", (message) => void heard.push(message.subject)),
        scope
      )
    )
    const pipelined = (given: string) =>
      `CONNECT {"verbose":false,"auth_token":"${given}"}\r\nPUB mine.x 2\r\nhi\r\nPUB other 0\r\n\r\nPING\r\n`
    const right = await wire(made.url, pipelined("right"))
    const wrong = await wire(made.url, pipelined("wrong"))
    const broken = await wire(made.url, pipelined("broken"))
    await broken.until("-ERR 'Authorization Violation'\r\n")
    await soon(() => asked.length === 3)
    expect(heard).toEqual([])
    Deferred.doneUnsafe(gate, Effect.void)
    expect(await right.until("PONG\r\n")).toBe(`-ERR 'Permissions Violation for Publish to "other"'\r\nPONG\r\n`)
    await wrong.until("-ERR 'Authorization Violation'\r\n")
    await wrong.closed
    expect(heard).toEqual(["mine.x"])
    expect(made.connections().map((one) => one.user)).toEqual(["token-1"])
  })

  it("drops the connections of one user, and keeps out who was revoked", async () => {
    const revoked = new Set<string>()
    const made = await started({ authority: { ...authority, isRevoked: (one) => revoked.has(one) } })
    const [ann, bob] = [user({}), user({})]
    const annBus = await joined({ servers: made.url, credentials: ann, name: "ann" })
    const bobBus = await joined({ servers: made.url, credentials: bob, name: "bob" })
    const answering = (bus: Bus["Service"], subject: string) =>
      Effect.runPromise(
        Scope.provide(
          bus.subscribe(subject, (message) => message.respond("here")),
          scope
        )
      )
    await answering(annBus, "ann")
    await answering(bobBus, "bob")
    revoked.add(ann.publicKey)
    expect(made.drop(ann.publicKey)).toBe(1)
    const ask = (subject: string) => Effect.runPromiseExit(made.bus.request(subject, { body: "", timeoutMs: 3_000 }))
    expect(Exit.isSuccess(await ask("bob"))).toBe(true)
    expect(Exit.isFailure(await ask("ann"))).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 700))
    // One that has not been let in has no name yet.
    const inside = () => made.connections().flatMap(({ name }) => (name === "" ? [] : [name]))
    expect(inside()).toEqual(["bob"])
    revoked.clear()
    await soon(() => inside().length === 2 && made.counters().subscriptions === 5)
    expect(Exit.isSuccess(await ask("ann"))).toBe(true)
  })

  it("tells a slow consumer why, forgets what waited for it, and counts it", async () => {
    const made = await started({ limits: { pendingBytesMax: 256 * 1024 } })
    const slow = await wire(made.url)
    slow.send("SUB x 1\r\nPING\r\n")
    await slow.until("PONG\r\n")
    slow.socket.pause()
    const piece = new Uint8Array(16 * 1024)
    let sent = 0
    for (; sent < 4096 && made.counters().slowConsumers === 0; sent++) {
      made.bus.publish("x", piece)
      if (sent % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(made.counters()).toMatchObject({ slowConsumers: 1, connections: 0 })
    slow.socket.resume()
    const all = await slow.until("-ERR 'Slow Consumer'\r\n")
    await slow.closed
    // What was written before the error is whole messages.
    const length = "MSG x 1 16384\r\n".length + piece.length + 2
    expect((all.length - "-ERR 'Slow Consumer'\r\n".length) % length).toBe(0)
  })

  it("leaves room for sockets while the node talks to itself without a pause", async () => {
    const made = await started()
    let isOver = false
    await Effect.runPromise(
      Scope.provide(
        made.bus.subscribe("ball", () => {
          if (!isOver) made.bus.publish("ball", "")
        }),
        scope
      )
    )
    made.bus.publish("ball", "")
    const client = await wire(made.url)
    client.send("PING\r\n")
    await client.until("PONG\r\n")
    isOver = true
  })

  it("says that it is about to stop, writes what waits, and ends in time", async () => {
    const own = Scope.makeUnsafe()
    const made = await Effect.runPromise(Scope.provide(broker({ port: 0 }), own))
    const client = await wire(made.url)
    client.send("SUB x 1\r\nPING\r\n")
    await client.until("PONG\r\n")
    for (let n = 0; n < 100; n++) made.bus.publish("x", "y".repeat(1000))
    const from = performance.now()
    const closing = Effect.runPromise(Scope.close(own, Exit.void))
    const said = await client.until('"ldm":true}\r\n')
    expect(said.match(/^MSG x 1 1000\r$/gm)?.length).toBe(100)
    await client.closed
    await closing
    expect(performance.now() - from).toBeLessThan(4_000)
    const after = await Effect.runPromise(Effect.flip(made.bus.request("x", { body: "", timeoutMs: 100 })))
    expect(after._tag).toBe("BusDown")
    made.bus.publish("x", "to nobody")
  })

  it("does not answer to where the asker only pretends to wait", async () => {
    const made = await started({ authority })
    const heard: Array<string> = []
    await Effect.runPromise(
      Effect.all([
        made.bus.subscribe("service", (message) => message.respond("answer")),
        made.bus.subscribe("private.>", (message) => void heard.push(text(message.body)))
      ]).pipe(Scope.provide(scope))
    )
    const creds = user({ publish: { allow: ["service"] } })
    const bus = await joined({ servers: made.url, credentials: creds })
    expect(text((await Effect.runPromise(bus.request("service", { body: "", timeoutMs: 3_000 }))).body)).toBe("answer")
    const open = await started()
    await Effect.runPromise(
      Scope.provide(
        open.bus.subscribe("service", (m) => m.respond("answer")),
        scope
      )
    )
    await Effect.runPromise(
      Scope.provide(
        open.bus.subscribe("private.x", (m) => void heard.push(text(m.body))),
        scope
      )
    )
    const sly = await wire(open.url)
    sly.send("PUB service private.x 0\r\n\r\nPING\r\n")
    await sly.until("PONG\r\n")
    expect(heard).toEqual([])
  })
})

describe("garbage on the broker's socket", () => {
  it("is answered with an error and the end of that connection, and harms nobody else", async () => {
    const made = await started({ limits: { farewellMs: 200 } })
    const neighbour = await wire(made.url)
    neighbour.send("SUB steady 1\r\n")
    const garbage = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.concat([bytes, Buffer.from("\r\n")])),
      fc
        .constantFrom(
          "PUB x 99999999999999999999\r\n",
          "PUB x -5\r\nabc\r\n",
          "HPUB x 10 5\r\n",
          `SUB ${"a.".repeat(4000)}b 1\r\n`,
          "CONNECT {\r\n",
          "UNSUB 1 99999999999\r\n",
          "PUB a\0b 0\r\n\r\n",
          "SUB a\x1b[2J 1\r\n"
        )
        .map((line) => Buffer.from(line))
    )
    await fc.assert(
      fc.asyncProperty(garbage, fc.boolean(), async (bytes, hello) => {
        const vandal = await wire(made.url, hello ? plainConnect : "")
        vandal.send(bytes)
        vandal.socket.end()
        await vandal.closed
        expect(vandal.rest()).toMatch(/^(-ERR '[A-Za-z ]+'\r\n|PONG\r\n)*$/)
        neighbour.send("PUB steady 2\r\nok\r\nPING\r\n")
        expect(await neighbour.until("PONG\r\n")).toBe("MSG steady 1 2\r\nok\r\nPONG\r\n")
      }),
      { numRuns: 60 }
    )
    await soon(() => made.counters().connections === 1)
    // The neighbour's, and the node's own inbox.
    expect(made.counters().subscriptions).toBe(2)
  })
})

describe("a client's bus", () => {
  it("says which server it cannot reach, and no secret with it", async () => {
    const failed = await Effect.runPromise(
      Effect.flip(Effect.scoped(Layer.build(busLayer({ servers: "nats://me:hunter2@127.0.0.1:1" }))))
    )
    expect(failed.why).toContain("nats://127.0.0.1:1")
    expect(failed.why).not.toContain("hunter2")
    const { url } = await started({ authority })
    const refused = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(busLayer({ servers: url })))))
    expect(refused.why).toMatch(new RegExp(`${url}.*authorization violation`, "i"))
  })

  it("hears at once that it may not publish or listen there", async () => {
    const made = await started({ authority })
    const creds = user({ publish: { allow: ["a"] }, subscribe: { allow: ["_INBOX.me.>"] } })
    const bus = await joined({ servers: made.url, credentials: creds, inboxPrefix: "_INBOX.me" })
    const from = performance.now()
    const published = await Effect.runPromise(Effect.flip(bus.request("b", { body: "", timeoutMs: 5_000 })))
    expect(published).toMatchObject({ _tag: "BusDown", why: "not permitted to publish to b" })
    const heard = await Effect.runPromise(Effect.flip(Effect.scoped(bus.subscribe("c", () => {}))))
    expect(heard).toMatchObject({ _tag: "BusDown" })
    expect(heard.why).toMatch(/not permitted to listen to c/)
    const nobody = await Effect.runPromise(Effect.flip(bus.request("a", { body: "", timeoutMs: 5_000 })))
    expect(nobody._tag).toBe("NoResponders")
    expect(performance.now() - from).toBeLessThan(4_500)
    const elsewhere = Layer.build(busLayer({ servers: made.url, credentials: creds }))
    const inbox = await Effect.runPromise(Effect.flip(Effect.scoped(Effect.provide(elsewhere, quiet))))
    expect(inbox.why).toMatch(/not permitted to listen to _INBOX\./)
  })

  it("lets requests fail while the server is away, and comes back with what it listened to", async () => {
    const first = Scope.makeUnsafe()
    const { port, url } = await Effect.runPromise(Scope.provide(broker({ port: 0 }), first))
    const bus = await joined({ servers: url })
    const heard: Array<string> = []
    await Effect.runPromise(
      Scope.provide(
        bus.subscribe("x", (m) => void heard.push(text(m.body))),
        scope
      )
    )
    await Effect.runPromise(
      Scope.provide(
        bus.subscribe("silent", () => {}),
        scope
      )
    )
    const waiting = Effect.runFork(Effect.flip(bus.request("silent", { body: "", timeoutMs: 20_000 })))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await Effect.runPromise(Scope.close(first, Exit.void))
    expect((await Effect.runPromise(Fiber.join(waiting)))._tag).toBe("BusDown")
    const away = await Effect.runPromise(Effect.flip(bus.request("x", { body: "", timeoutMs: 5_000 })))
    expect(away._tag).toBe("BusDown")
    bus.publish("x", "lost")
    const again = await started({ port })
    await soon(() => again.counters().connections === 1)
    await soon(() => {
      again.bus.publish("x", "found")
      return heard.length > 0
    })
    expect(new Set(heard)).toEqual(new Set(["found"]))
  })
})
