/** What a node stands on in a cluster: NATS servers hold the bus, the logs and the leases. */
import { Effect } from "effect"
import type { DataDir } from "./datadir.ts"
import { CannotStart } from "./fault.ts"
import type { Ground } from "./ground.ts"
import type { UpOptions } from "./options.ts"

export const clusterGround = (_options: UpOptions, _data: DataDir, url: string): Effect.Effect<Ground, CannotStart> =>
  Effect.fail(new CannotStart({ why: `${url}: this build cannot join a cluster yet` }))
