/** The JetStream journal keeps the promises of the port on real servers, one alone and three in a cluster. */
import { Effect } from "effect"
import { layer } from "../../adapters/jetstream/journal.ts"
import { type Bench, journalContract } from "../contract/journal.ts"
import { have, nats, natsCluster } from "./servers.ts"

const here = have("test/real/journal.test.ts", "nats")

if (here) {
  journalContract("jetstream, one server", {
    loses: false,
    make: Effect.map(
      nats(),
      (server): Bench => ({ layer: layer({ connection: { servers: [server.url] }, replicas: 1 }) })
    ),
    patience: 60
  })
}
