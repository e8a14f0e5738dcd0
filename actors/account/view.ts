/** What an account tells of itself: queries, and the views that decisions share with them. */
import type { Account } from "../../messages/account.ts"
import type { OrgId } from "../../messages/ids.ts"
import type { QueryOf, RefusalOf } from "../../messages/protocol.ts"
import { bar } from "./access.ts"
import type { State } from "./state.ts"

type Refusal = RefusalOf<Account>
type Answered = { readonly reply: unknown } | { readonly refused: Refusal }

/** A page that fits into one message also when every workspace has the longest names. */
const pageMax = 500

export const organisation = (state: State) => ({
  org: state.org as OrgId,
  title: state.founded?.title ?? "",
  foundedAt: state.founded?.at ?? 0,
  workspaces: state.workspaces.size,
  keys: state.keys.size
})

export const answer = (
  state: State,
  query: QueryOf<Account>,
  context: { readonly caller: string; readonly at: number }
): Answered => {
  if (state.founded === undefined) return { refused: { _tag: "NotFounded", org: state.org } }
  const barred = bar(state, context)
  if (barred !== undefined) return { refused: barred }
  switch (query._tag) {
    case "ShowOrganisation":
      return { reply: { organisation: organisation(state) } }
    case "ListKeys": {
      const { items, more } = pageOf(
        [...state.keys.values()].map((key) => key.info),
        (key) => key.key,
        query
      )
      return { reply: { keys: items, more } }
    }
    case "KeyVerifier":
      return verifierOf(state, query.key, context.caller)
    case "ListWorkspaces": {
      const from = query.deleted === true ? state.deleted : state.workspaces
      const { items, more } = pageOf(
        [...from.values()],
        (each) => (query.deleted === true ? each.id : each.name),
        query
      )
      return { reply: { workspaces: items, more } }
    }
    case "ShowWorkspace": {
      const workspace = state.workspaces.get(query.name)
      return workspace === undefined
        ? { refused: { _tag: "NoSuchWorkspace", name: query.name } }
        : { reply: { workspace } }
    }
  }
}

const verifierOf = (state: State, id: string, caller: string): Answered => {
  if (caller !== "node") return { refused: { _tag: "NotAllowed", caller, why: "verifiers are for nodes alone" } }
  const key = state.keys.get(id)
  return key === undefined
    ? { refused: { _tag: "NoSuchKey", key: id } }
    : { reply: { info: key.info, verifier: key.verifier } }
}

const pageOf = <T>(
  all: ReadonlyArray<T>,
  nameOf: (item: T) => string,
  { after, limit }: { readonly after?: string; readonly limit?: number }
) => {
  const sorted = all.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  const rest = after === undefined ? sorted : sorted.filter((item) => nameOf(item) > after)
  const size = Math.min(Math.max(limit ?? pageMax, 1), pageMax)
  return { items: rest.slice(0, size), more: rest.length > size }
}
