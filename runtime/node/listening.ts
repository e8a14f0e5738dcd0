/** Signs what a listener may do at the broker, or at a nats-server: hear some subjects of streams, and say nothing. */
import { userJwt } from "../../adapters/nats/credentials.ts"
import type { Nkey } from "../../adapters/nats/nkey.ts"
import { inboxPrefixOf, type Permissions } from "../../adapters/nats/permissions.ts"
import type { Listening } from "../http/streams/listeners.ts"

export const listenerSigner =
  (account: Nkey) =>
  ({ name, publicKey, subjects, issuedAt, expiresAt }: Listening) => {
    const inbox = inboxPrefixOf(publicKey)
    const permissions: Permissions = {
      publish: { deny: [">"] },
      subscribe: { allow: [`${inbox}.>`, ...subjects] }
    }
    return { jwt: userJwt(account, publicKey, { name, permissions }, { issuedAt, expiresAt }), inbox }
  }
