/** How an account changes: total over its events, and in place. */
import type { Account } from "../../messages/account.ts"
import type { Millis } from "../../messages/ids.ts"
import type { EventOf } from "../../messages/protocol.ts"
import type { State } from "./state.ts"

export const evolve = (state: State, event: EventOf<Account>, at: Millis): State => {
  switch (event._tag) {
    case "OrganisationFounded":
      state.founded = { title: event.title, at }
      break
    case "KeyIssued": {
      const { _tag, verifier, by, ...named } = event
      state.keys.set(event.key, { info: { ...named, issuedAt: at, issuedBy: by }, verifier })
      break
    }
    case "KeyRevoked": {
      const key = state.keys.get(event.key)
      if (key !== undefined) state.keys.set(event.key, { ...key, info: { ...key.info, revokedAt: at } })
      break
    }
    case "WorkspaceCreated": {
      const { _tag, by, ...made } = event
      state.created += 1
      state.workspaces.set(event.name, { ...made, createdAt: at, createdBy: by })
      break
    }
    case "WorkspaceDeleted": {
      const workspace = state.workspaces.get(event.name)
      state.workspaces.delete(event.name)
      if (workspace !== undefined) state.deleted.set(workspace.id, { ...workspace, deletedAt: at, deletedBy: event.by })
      break
    }
  }
  return state
}
