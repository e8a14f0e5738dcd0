/** Which commands an account accepts, and what comes of them. */
import type { Account, KeyInfo, Workspace } from "../../messages/account.ts"
import type { ActorId, Caller } from "../../messages/ids.ts"
import { accountKeysMax, accountWorkspacesMax } from "../../messages/limits.ts"
import type { CommandOf, EventOf, RefusalOf } from "../../messages/protocol.ts"
import type { Context, Decision, Tick } from "../decider.ts"
import { bar, keyOf, mayManageKeys } from "./access.ts"
import type { State } from "./state.ts"
import { organisation } from "./view.ts"

type Command = CommandOf<Account>
type Outcome = Decision<unknown, RefusalOf<Account>, EventOf<Account>>
type Of<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

export const decide = (state: State, command: Command | Tick, context: Context): Outcome => {
  if (command._tag === "Tick") return { events: [], reply: {} }
  if (command._tag === "FoundOrganisation") return found(state, command, context)
  if (state.founded === undefined) return { refused: { _tag: "NotFounded", org: state.org } }
  const barred = bar(state, context)
  if (barred !== undefined) return { refused: barred }
  switch (command._tag) {
    case "IssueKey":
      return issueKey(state, command, context)
    case "RevokeKey":
      return revokeKey(state, command, context)
    case "CreateWorkspace":
      return createWorkspace(state, command, context)
    case "DeleteWorkspace":
      return deleteWorkspace(state, command, context)
  }
}

const found = (state: State, command: Of<"FoundOrganisation">, context: Context): Outcome => {
  if (state.founded !== undefined) return { refused: { _tag: "AlreadyFounded", org: state.org } }
  if (keyOf(context.caller) !== undefined)
    return { refused: { _tag: "NotAllowed", caller: context.caller, why: "a key cannot found an organisation" } }
  const title = command.title ?? state.org
  return {
    events: [{ _tag: "OrganisationFounded", title }],
    reply: { organisation: { ...organisation(state), title, foundedAt: context.at } }
  }
}

const issueKey = (state: State, command: Of<"IssueKey">, context: Context): Outcome => {
  const refused = mayManageKeys(state, context.caller)
  if (refused !== undefined) return { refused }
  if (state.keys.has(command.key)) return { refused: { _tag: "KeyTaken", key: command.key } }
  if (state.keys.size >= accountKeysMax) return { refused: { _tag: "TooMany", what: "keys", max: accountKeysMax } }
  const { _tag, verifier, ...named } = command
  const by = context.caller as Caller
  const key: KeyInfo = { ...named, issuedAt: context.at, issuedBy: by }
  return { events: [{ _tag: "KeyIssued", ...named, verifier, by }], reply: { key } }
}

const revokeKey = (state: State, command: Of<"RevokeKey">, context: Context): Outcome => {
  const refused = mayManageKeys(state, context.caller)
  if (refused !== undefined) return { refused }
  const key = state.keys.get(command.key)
  if (key === undefined) return { refused: { _tag: "NoSuchKey", key: command.key } }
  if (key.info.revokedAt !== undefined) return { events: [], reply: { key: key.info } }
  return {
    events: [{ _tag: "KeyRevoked", key: command.key }],
    reply: { key: { ...key.info, revokedAt: context.at } }
  }
}

const createWorkspace = (state: State, command: Of<"CreateWorkspace">, context: Context): Outcome => {
  const existing = state.workspaces.get(command.name)
  if (existing !== undefined) return { refused: { _tag: "NameTaken", name: command.name, existing } }
  if (state.workspaces.size >= accountWorkspacesMax)
    return { refused: { _tag: "TooMany", what: "workspaces", max: accountWorkspacesMax } }
  const by = context.caller as Caller
  const made = {
    id: `${state.org}_${state.created + 1}` as ActorId,
    name: command.name,
    layout: command.layout ?? "slices",
    storage: command.storage ?? { _tag: "Managed" as const }
  }
  const workspace: Workspace = { ...made, createdAt: context.at, createdBy: by }
  return { events: [{ _tag: "WorkspaceCreated", ...made, by }], reply: { workspace } }
}

const deleteWorkspace = (state: State, command: Of<"DeleteWorkspace">, context: Context): Outcome => {
  const workspace = state.workspaces.get(command.name)
  if (workspace === undefined) return { refused: { _tag: "NoSuchWorkspace", name: command.name } }
  const by = context.caller as Caller
  return {
    events: [{ _tag: "WorkspaceDeleted", name: command.name, by }],
    reply: { workspace: { ...workspace, deletedAt: context.at, deletedBy: by } }
  }
}
