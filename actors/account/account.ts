/** The account actor: one per organisation. */
import { type Account, account } from "../../messages/account.ts"
import type { EventOf } from "../../messages/protocol.ts"
import type { Decider, Obligation } from "../decider.ts"
import { decide } from "./decide.ts"
import { evolve } from "./evolve.ts"
import { initial, load, type State, save } from "./state.ts"
import { answer } from "./view.ts"

/** A workspace is told of its layout; one that is not told has the usual one. */
const oblige = (event: EventOf<Account>): ReadonlyArray<Obligation> => {
  if (event._tag !== "WorkspaceCreated" || event.layout === "slices") return []
  const command = { _tag: "Configure", layout: event.layout }
  return [{ kind: "workspace", id: event.id, command }]
}

export const accountDecider: Decider<State, Account> = {
  protocol: account,
  snapshotVersion: 1,
  initial,
  decide,
  evolve,
  answer,
  save,
  load,
  oblige
}
