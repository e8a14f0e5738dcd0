/** The bus contract where no server is needed: in memory, inside the embedded broker, and through its socket. */
import { Effect, Layer } from "effect"
import { layer as memory } from "../../adapters/memory/bus.ts"
import { broker, EmbeddedBroker, layer as embedded } from "../../adapters/nats/broker/broker.ts"
import { layer as nats } from "../../adapters/nats/bus.ts"
import { Bus } from "../../runtime/ports/bus.ts"
import { busContract } from "./bus.ts"

busContract("memory", memory)
busContract("embedded broker, within the process", embedded({ port: 0 }))

const overSocket = Layer.unwrap(Effect.map(broker({ port: 0 }), ({ url }) => nats({ servers: url, name: "contract" })))
busContract("client of the embedded broker", overSocket)

/** One broker for both sides: the node itself on one, a client on a socket on the other. */
let url = ""
const node = Layer.effect(
  Bus,
  Effect.map(EmbeddedBroker, (made) => {
    url = made.url
    return made.bus
  })
).pipe(Layer.provide(embedded({ port: 0 })))
const client = Layer.unwrap(Effect.sync(() => nats({ servers: url, name: "contract" })))
busContract("a node, and a client of its embedded broker", node, client)
