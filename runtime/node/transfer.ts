/** A session for one command that moves files, put together from NATS and the object store. */
import { Context, Effect, Layer } from "effect"
import { layer as natsBus } from "../../adapters/nats/bus.ts"
import { inboxPrefixOf } from "../../adapters/nats/permissions.ts"
import { sessionMs } from "../../messages/limits.ts"
import type { MountMode } from "../../messages/mount-session.ts"
import type { Globals } from "../cli/globals.ts"
import { Problem } from "../cli/problem.ts"
import { client } from "../client.ts"
import { openData } from "../files/open.ts"
import { attach } from "../mount/session.ts"
import { Bus } from "../ports/bus.ts"
import { Objects } from "../ports/objects.ts"
import { commandsOf } from "../transfer/commands.ts"
import type { Transfer } from "../transfer/files.ts"
import { issue } from "./issue.ts"
import { hostName, storeOf } from "./sidecar.ts"
import { objectsAt } from "./store.ts"

/** Whatever failed, in words. */
export const inWords = (error: unknown): Problem => {
  if (error instanceof Problem) return error
  const {
    _tag = "failed",
    why,
    errno
  } = error as { readonly _tag?: string; readonly why?: string; readonly errno?: string }
  return new Problem({ code: errno ?? _tag, message: why ?? String(error) })
}

export const transferOf = Effect.fnUntraced(function* (globals: Globals, workspaceName: string, mode: MountMode) {
  const { issued, publicKey, seed } = yield* issue(globals, { workspace: workspaceName, mode })
  const { session, workspace, jwt, nats, shards } = issued
  const options = { servers: nats.split(","), credentials: { jwt, seed }, inboxPrefix: inboxPrefixOf(publicKey) }
  const bus = Context.get(yield* Layer.build(natsBus({ ...options, name: "artifacts transfer" })), Bus)
  const asking = client(bus, shards)
  const as = { client: asking, workspace: workspace.id, session: session.session }
  yield* attach(asking, { ...as, host: hostName(), directory: "", lifeMs: sessionMs })
  const store = yield* objectsAt(storeOf(workspace.storage, issued.objects))
  const objects = Context.get(yield* Layer.build(store), Objects)
  const data = yield* openData({
    objects,
    commands: commandsOf(as),
    options: { prefix: `${session.org}/${workspace.id}`, layout: workspace.layout, workspace: workspace.id }
  })
  const transfer: Transfer = { as, data }
  return transfer
}, Effect.mapError(inWords))
