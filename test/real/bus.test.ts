/** The bus and the server contract on a real nats-server: what the embedded broker is held to holds there too. */
import { randomBytes } from "node:crypto"
import { jetstreamManager } from "@nats-io/jetstream"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { layer as bus } from "../../adapters/nats/bus.ts"
import { connection } from "../../adapters/nats/connection.ts"
import { accountJwt, operatorJwt, systemAccountJwt, userJwt } from "../../adapters/nats/credentials.ts"
import { nkeyOf } from "../../adapters/nats/nkey.ts"
import { busContract } from "../contract/bus.ts"
import { makeKeys, pendingBytesMax, serverContract } from "../contract/bus-server.ts"
import { have, nats } from "./servers.ts"

const keys = makeKeys()
const config = `max_pending: ${pendingBytesMax}`

const system = nkeyOf("account", randomBytes(32))
const validity = { issuedAt: Math.floor(Date.now() / 1000) }

const guardedConfig = (): string => {
  const account = keys.account.publicKey
  return [
    config,
    `operator: "${operatorJwt(keys.operator, "test", validity)}"`,
    `system_account: ${system.publicKey}`,
    "resolver: MEMORY",
    "resolver_preload: {",
    `  ${account}: "${accountJwt(keys.operator, account, "nodes", validity)}"`,
    `  ${system.publicKey}: "${systemAccountJwt(keys.operator, system.publicKey, "system", validity)}"`,
    "}"
  ].join("\n")
}

describe.skipIf(!have("test/real/bus.test.ts", "nats"))("a real nats-server", () => {
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

  describe("an account with JetStream", () => {
    it("keeps a stream for a user that came in by its credentials", () =>
      Effect.gen(function* () {
        const { url } = yield* nats({ config: guardedConfig() })
        const node = nkeyOf("user", randomBytes(32))
        const jwt = userJwt(keys.account, node.publicKey, { name: "node", permissions: {} }, validity)
        const made = yield* connection({ servers: url, name: "node", credentials: { jwt, seed: node.seed } })
        const names = yield* Effect.promise(async () => {
          const manager = await jetstreamManager(made)
          await manager.streams.add({ name: "LOG", subjects: ["art.v1.log.0"] })
          return manager.streams.names().next()
        })
        expect(names).toEqual(["LOG"])
      }).pipe(Effect.scoped, Effect.runPromise))
  })
})
