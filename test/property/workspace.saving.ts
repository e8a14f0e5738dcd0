/** A snapshot that is taken while the tree goes on changing: a few steps of it between any two events. */
import { evolve } from "../../actors/workspace/evolve/evolve.ts"
import { load } from "../../actors/workspace/snapshot/load.ts"
import { saving } from "../../actors/workspace/snapshot/save.ts"
import { initial } from "../../actors/workspace/tree/tree.ts"
import type { WorkspaceEvent } from "../../messages/workspace-events.ts"
import { dump } from "./workspace.dump.ts"

export interface Logged {
  readonly event: WorkspaceEvent
  readonly at: number
}

/** The tree after `begin` events, and the snapshot that was begun there and ended when the other events had gone by. */
export const savedMeanwhile = (log: ReadonlyArray<Logged>, begin: number) => {
  const tree = initial("acme_1")
  for (const { event, at } of log.slice(0, begin)) evolve(tree, event, at)
  const then = dump(tree)
  // Chunks of three rows: even a small tree has many of them.
  const steps = saving(tree, 3)
  let step = steps.next()
  for (const [index, { event, at }] of log.slice(begin).entries()) {
    evolve(tree, event, at)
    if (index % 8 === 7 && step.done !== true) step = steps.next()
  }
  while (step.done !== true) step = steps.next()
  return { then, saved: dump(load(Buffer.concat(step.value), "acme_1")) }
}
