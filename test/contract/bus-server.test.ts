/** The server contract on the embedded broker. */
import { Effect } from "effect"
import { broker } from "../../adapters/nats/broker/broker.ts"
import { makeKeys, pendingBytesMax, serverContract } from "./bus-server.ts"

const keys = makeKeys()
const limits = { pendingBytesMax }

serverContract(
  "embedded broker",
  keys,
  Effect.gen(function* () {
    const open = yield* broker({ port: 0, limits })
    const guarded = yield* broker({ port: 0, limits, authority: { issuers: [keys.account.publicKey] } })
    return { open: open.url, guarded: guarded.url }
  })
)
