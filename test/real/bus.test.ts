/** The bus and the server contract on a real nats-server: what the embedded broker is held to holds there too. */
import { Effect, Layer } from "effect"
import { layer as bus } from "../../adapters/nats/bus.ts"
import { accountJwt, operatorJwt } from "../../adapters/nats/credentials.ts"
import { busContract } from "../contract/bus.ts"
import { makeKeys, pendingBytesMax, serverContract } from "../contract/bus-server.ts"
import { have, nats } from "./servers.ts"

const keys = makeKeys()
const config = `max_pending: ${pendingBytesMax}`

const guardedConfig = (): string => {
  const validity = { issuedAt: Math.floor(Date.now() / 1000) }
  const account = keys.account.publicKey
  return [
    config,
    `operator: "${operatorJwt(keys.operator, "test", validity)}"`,
    "resolver: MEMORY",
    `resolver_preload: { ${account}: "${accountJwt(keys.operator, account, "nodes", validity)}" }`
  ].join("\n")
}

if (have("test/real/bus.test.ts", "nats")) {
  const over = Layer.unwrap(
    Effect.map(nats({ jetstream: false }), ({ url }) => bus({ servers: url, name: "contract" }))
  )
  busContract("client of a nats-server", over)
  serverContract(
    "nats-server",
    keys,
    Effect.gen(function* () {
      const open = yield* nats({ jetstream: false, config })
      const guarded = yield* nats({ jetstream: false, config: guardedConfig() })
      return { open: open.url, guarded: guarded.url }
    })
  )
}
