/** What an account knows, and how it is written down in a snapshot. */
import type { KeyInfo, Verifier, Workspace } from "../../messages/account.ts"

export interface Key {
  readonly info: KeyInfo
  readonly verifier: Verifier
}

export interface State {
  readonly org: string
  founded: { readonly title: string; readonly at: number } | undefined
  /** How many workspaces there ever were: the next one's id is made of it, so an id is never used again. */
  created: number
  readonly keys: Map<string, Key>
  /** Living workspaces by name. */
  readonly workspaces: Map<string, Workspace>
  /** Tombstones by id, in the order of deletion. */
  readonly deleted: Map<string, Workspace>
}

export const initial = (org: string): State => ({
  org,
  founded: undefined,
  created: 0,
  keys: new Map(),
  workspaces: new Map(),
  deleted: new Map()
})

export const save = (state: State): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      founded: state.founded ?? null,
      created: state.created,
      keys: [...state.keys.values()],
      workspaces: [...state.workspaces.values()],
      deleted: [...state.deleted.values()]
    })
  )

export const load = (bytes: Uint8Array, org: string): State => {
  const saved = JSON.parse(Buffer.from(bytes).toString()) as {
    readonly founded: State["founded"] | null
    readonly created: number
    readonly keys: ReadonlyArray<Key>
    readonly workspaces: ReadonlyArray<Workspace>
    readonly deleted: ReadonlyArray<Workspace>
  }
  return {
    org,
    founded: saved.founded ?? undefined,
    created: saved.created,
    keys: new Map(saved.keys.map((key) => [key.info.key, key])),
    workspaces: new Map(saved.workspaces.map((workspace) => [workspace.name, workspace])),
    deleted: new Map(saved.deleted.map((workspace) => [workspace.id, workspace]))
  }
}
