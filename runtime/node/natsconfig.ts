/** The configuration of a NATS server that trusts this installation: the same credentials are good there. */
import { join } from "node:path"
import { Effect } from "effect"
import { accountJwt, operatorJwt, systemAccountJwt } from "../../adapters/nats/credentials.ts"
import { type DataDir, openDataDir, readDataDir } from "./datadir.ts"
import { nodeCreds } from "./secrets.ts"

export interface ServerPlace {
  readonly name: string
  readonly store: string
  readonly listen: string
  /** Of an installation that is made by this. */
  readonly shards?: number
  readonly cluster?: { readonly listen: string; readonly routes: ReadonlyArray<string> }
}

const clusterText = ({ listen, routes }: NonNullable<ServerPlace["cluster"]>): string => `
cluster {
  name: artifacts
  listen: "${listen}"
  routes: [${routes.map((route) => `"nats://${route}"`).join(", ")}]
}
`

const noCluster = `
# For a cluster of three, give each server a name and add such a section (or use --cluster and --routes):
# cluster { name: artifacts, listen: "0.0.0.0:6222", routes: ["nats://nats-2:6222", "nats://nats-3:6222"] }
`

const text = ({ path, secrets }: DataDir, { name, store, listen, cluster }: ServerPlace): string => {
  const { operator, account, system } = secrets
  const validity = { issuedAt: Date.now() / 1000 }
  return `# A NATS server for artifacts. Its nodes come in with ${join(path, nodeCreds)}.
server_name: "${name}"
listen: "${listen}"

jetstream {
  store_dir: "${store}"
  # Without this, a power cut loses what was acknowledged in the last minute.
  sync_interval: always
}
${cluster === undefined ? noCluster : clusterText(cluster)}
operator: ${operatorJwt(operator, "artifacts", validity)}
system_account: ${system.publicKey}
resolver: MEMORY
resolver_preload: {
  ${account.publicKey}: ${accountJwt(operator, account.publicKey, "artifacts", validity)}
  ${system.publicKey}: ${systemAccountJwt(operator, system.publicKey, "system", validity)}
}
`
}

/** The installation is made when there is none yet. */
export const natsConfigFor = Effect.fnUntraced(function* (data: string, program: string, place: ServerPlace) {
  const there = place.shards === undefined ? yield* readDataDir(data, program) : undefined
  return text(there ?? (yield* openDataDir(data, program, place.shards)), place)
}, Effect.scoped)
