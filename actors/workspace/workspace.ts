/** The workspace actor: one tree of files, with the slices that they are made of. */
import { type Workspace, workspace } from "../../messages/workspace.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import type { Decider, Obligation } from "../decider.ts"
import { answer } from "./answer.ts"
import { decide } from "./decide/decide.ts"
import { due } from "./decide/sessions.ts"
import { evolve } from "./evolve/evolve.ts"
import { load, loading } from "./snapshot/load.ts"
import { save, saving } from "./snapshot/save.ts"
import { initial, type Tree } from "./tree/tree.ts"

/** Whether a host that keeps a directory still lives, its session knows. */
const oblige = (event: WorkspaceEvent): ReadonlyArray<Obligation> =>
  event._tag === "Doubted"
    ? [{ kind: "mount-session", id: event.session, command: { _tag: "Doubt" } as Obligation["command"] }]
    : []

export const workspaceDecider: Decider<Tree, Workspace> = {
  protocol: workspace,
  snapshotVersion: 1,
  initial,
  decide,
  evolve,
  answer,
  save,
  load,
  saving,
  loading,
  followed: true,
  mayOblige: (events) => events.includes('"Doubted"'),
  oblige,
  due
}
