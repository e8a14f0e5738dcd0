/** The stream-partition actor: one per shard, with all the streams that hash to it. */
import { type StreamPartition, streamPartition } from "../../messages/stream-partition.ts"
import type { Decider } from "../decider.ts"
import { decide, oblige } from "./decide.ts"
import { evolve } from "./evolve.ts"
import { load, save } from "./saved.ts"
import { initial, type State } from "./state.ts"
import { answer } from "./view.ts"

export const partitionDecider: Decider<State, StreamPartition> = {
  protocol: streamPartition,
  snapshotVersion: 1,
  initial,
  decide,
  evolve,
  answer,
  save,
  load,
  followed: true,
  mayOblige: (events) => events.includes('"origin":') || events.includes('"tell":'),
  due: ({ alarms }) => alarms[0]?.at,
  oblige
}
