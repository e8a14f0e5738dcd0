/** The stream-partition actor: one per shard, with all the streams that hash to it. */
import { type StreamPartition, streamPartition } from "../../messages/stream-partition.ts"
import type { Decider } from "../decider.ts"
import { decide, oblige } from "./decide.ts"
import { evolve } from "./evolve.ts"
import { load, save, saving } from "./saved.ts"
import { initial, type State } from "./state.ts"
import { answer } from "./view.ts"

/**
 * What has ended is refused from its moment on, whether it was swept or not: so a sweep may wait for others that end at
 * about the same time, and thousands of streams that do are not as many entries.
 */
const sweepDelayMs = 200

export const partitionDecider: Decider<State, StreamPartition> = {
  protocol: streamPartition,
  snapshotVersion: 1,
  initial,
  decide,
  evolve,
  answer,
  save,
  saving,
  load,
  leave: ({ streams }) => streams.release(),
  followed: true,
  mayOblige: (events) => events.includes('"origin":') || events.includes('"tell":'),
  due: ({ alarms: [next] }) => (next === undefined ? undefined : next.at + sweepDelayMs),
  oblige
}
