/** A client whose server dies between its greeting and its consent comes back to the next one soon. */
import { createServer } from "node:net"
import { Context, Effect, Exit, Layer, References, Scope } from "effect"
import { expect, it } from "vitest"
import { broker } from "../../adapters/nats/broker/broker.ts"
import { layer } from "../../adapters/nats/bus.ts"
import { Bus } from "../../runtime/ports/bus.ts"

/** What the client waits for a consent, and some time for the rest. */
const soonMs = 3_500

/** Greets one client as a server does, and is gone as soon as that one introduces itself. */
const dying = (port: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const server = createServer((socket) => {
      const info = { server_id: "x", version: "2.10.0", proto: 1, headers: true, max_payload: 1_048_576 }
      socket.on("error", () => {})
      socket.write(`INFO ${JSON.stringify(info)}\r\n`)
      socket.once("data", () => {
        socket.destroy()
        server.close(() => resume(Effect.void))
      })
    })
    server.listen(port, "127.0.0.1")
  })

const answering = Effect.fnUntraced(function* (port: number, scope: Scope.Scope) {
  const made = yield* broker({ port }).pipe(Scope.provide(scope))
  yield* made.bus.subscribe("echo", (message) => message.respond(message.body)).pipe(Scope.provide(scope))
  return made.port
})

it("comes back past a server that died while it greeted", () =>
  Effect.gen(function* () {
    const first = yield* Scope.make()
    const port = yield* answering(0, first)
    const client = Context.get(yield* Layer.build(layer({ servers: `nats://127.0.0.1:${port}` })), Bus)
    const ask = client.request("echo", { body: "", timeoutMs: 1_000 })
    yield* ask
    yield* Scope.close(first, Exit.void)
    yield* dying(port)
    const since = performance.now()
    yield* answering(port, yield* Effect.scope)
    let isAnswered = false
    while (!isAnswered && performance.now() - since < 3 * soonMs) {
      isAnswered = Exit.isSuccess(yield* Effect.exit(ask))
      yield* Effect.sleep(20)
    }
    expect(performance.now() - since).toBeLessThan(soonMs)
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "Error"), Effect.runPromise))
