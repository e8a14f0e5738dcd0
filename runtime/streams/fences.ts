/**
 * Appends under a subscription's claim: what a partition has not heard of the claim is proven to it, and what a claim
 * ends is told to every partition that knows of it, before anybody works on.
 */
import type { Fenced } from "../../messages/fence.ts"
import type { Append } from "../../messages/stream-partition.ts"
import type { Command, Outcome, Partitions, Refusal } from "./partitions.ts"

/** What the holder of a claim was given, and shows. */
export interface Claim {
  readonly id: string
  readonly wakeId: string
  readonly generation: number
  readonly token: string
}

export interface Fencing {
  readonly partition: number
  readonly claim: Claim
  readonly caller: string
}

type Appending = Extract<Command, { readonly _tag: "Append" | "AppendAll" }>
type Done = (outcome: Outcome) => void

export const subscriptionPartition = (partitions: Partitions, id: string): number => partitions.of(`__ds/${id}`)

const fencedBy = ({ id, token }: Claim, command: Appending): Appending => {
  const fence = { subscription: id, token }
  if (command._tag === "Append") return { ...command, fence }
  return { ...command, operations: command.operations.map((each: Append): Append => ({ ...each, fence })) }
}

const innermost = (refused: Refusal): Refusal =>
  refused._tag === "FailedOperation" ? (refused.refused as Refusal) : refused

const isUnproven = (outcome: Outcome): boolean =>
  "refused" in outcome && innermost(outcome.refused)._tag === "FenceUnproven"

/** Appends while the claim is held: usually by one command, and by three when its partition knows nothing of it. */
export const tellFenced = (partitions: Partitions, fencing: Fencing, command: Appending, done: Done): void => {
  const { partition, claim, caller } = fencing
  const fenced = fencedBy(claim, command)
  partitions.tell(partition, fenced, caller, (outcome) => {
    if (!isUnproven(outcome)) return done(outcome)
    prove(partitions, fencing, (proven) => {
      if ("ok" in proven) partitions.tell(partition, fenced, caller, done)
      else done(proven)
    })
  })
}

/** The subscription notes whom it has vouched to before it does: a later claim reaches all of them. */
const prove = (partitions: Partitions, { partition, claim, caller }: Fencing, done: Done): void => {
  const { id, token, wakeId, generation } = claim
  const toldTo = partitions.ids[partition] as never
  const grant: Command = { _tag: "GrantFence", id, token, wakeId, generation, partition: toldTo }
  partitions.tell(subscriptionPartition(partitions, id), grant, caller, (granted) => {
    if (!("ok" in granted)) return done(granted)
    const { since, until } = granted.ok as { readonly since: number; readonly until: number }
    const raise: Command = { _tag: "RaiseFence", subscription: id, since, generation, token, until }
    partitions.tell(partition, raise, "node", done)
  })
}

/** Earlier rounds are over everywhere when it calls back without an outcome; with one, that is not known. */
export const endEarlier = (
  partitions: Partitions,
  { id, fenced }: { readonly id: string; readonly fenced: Fenced | undefined },
  done: (failed?: Exclude<Outcome, { readonly ok: unknown }>) => void
): void => {
  if (fenced === undefined) return done()
  const { since, generation } = fenced
  const raise: Command = { _tag: "RaiseFence", subscription: id, since, generation, until: 0 }
  let left = fenced.partitions.length
  let failed: Exclude<Outcome, { readonly ok: unknown }> | undefined
  for (const partition of fenced.partitions)
    partitions.tell(partitions.ids.indexOf(partition), raise, "node", (outcome) => {
      if (!("ok" in outcome)) failed = outcome
      left -= 1
      if (left === 0) done(failed)
    })
}
