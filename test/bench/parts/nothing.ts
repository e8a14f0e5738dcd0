/** A server with our HTTP and nothing behind it: the most appends that a client could ever have answered over HTTP. */
import { Effect } from "effect"
import { router } from "../../../runtime/http/router.ts"
import { httpServer } from "../../../runtime/http/server.ts"
import { reply } from "../../../runtime/http/streams/reply.ts"

const none = { gone: () => {} }

const serving = Effect.gen(function* () {
  const answer = (status: number) => (exchange: Parameters<typeof reply>[0]) => {
    reply(exchange, status, { "stream-next-offset": "0000000000000000_0000000000000000", "stream-durability": "none" })
    return none
  }
  const route = router([{ path: "/v1/stream/*path", methods: { PUT: answer(201), POST: answer(204) } }])
  const { url } = yield* httpServer({ host: "127.0.0.1", port: 0 }, route)
  console.log(`at ${url}`)
  return yield* Effect.never
})

Effect.runFork(Effect.scoped(serving))
