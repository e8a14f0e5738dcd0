/** Signs what a mount session may do at the broker: its workspace in its mode, and its own life. */
import { userJwt } from "../../adapters/nats/credentials.ts"
import type { Nkey } from "../../adapters/nats/nkey.ts"
import { callerPermissions } from "../../adapters/nats/permissions.ts"
import type { Session } from "../../messages/mount-session.ts"
import { shardOf } from "../../messages/subjects.ts"

export const signer =
  (account: Nkey, shards: number) =>
  (session: Session, publicKey: string, issuedAt: number, expiresAt: number): string => {
    const caller = session.session
    const workspace = {
      kind: "workspace",
      shard: shardOf("workspace", session.workspace, shards),
      id: session.workspace,
      readOnly: session.mode === "ro",
      events: true,
      shows: true
    }
    const own = { kind: "mount-session", shard: shardOf("mount-session", caller, shards), id: caller }
    const permissions = callerPermissions(caller, publicKey, [workspace, own])
    return userJwt(account, publicKey, { name: caller, permissions }, { issuedAt, expiresAt })
  }
