/** The account actor: one per organisation. */
import { type Account, account } from "../../messages/account.ts"
import type { Decider } from "../decider.ts"
import { decide } from "./decide.ts"
import { evolve } from "./evolve.ts"
import { initial, load, type State, save } from "./state.ts"
import { answer } from "./view.ts"

export const accountDecider: Decider<State, Account> = {
  protocol: account,
  snapshotVersion: 1,
  initial,
  decide,
  evolve,
  answer,
  save,
  load
}
