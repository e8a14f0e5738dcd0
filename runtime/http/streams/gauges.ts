/** What the streams of a node are counted by, for its metrics. */
import type { Live } from "../../streams/live.ts"
import type { Gauge } from "../metrics.ts"

export const streamGauges = (live: Live): ReadonlyArray<Gauge> => [
  {
    name: "artifacts_stream_appends_total",
    help: "Appends to streams that were committed on this node",
    type: "counter",
    value: live.counted.appends
  },
  {
    name: "artifacts_stream_bytes_total",
    help: "Bytes of these appends",
    type: "counter",
    value: live.counted.bytes
  },
  {
    name: "artifacts_stream_listeners",
    help: "Long-polls and event streams that wait for something to be appended",
    type: "gauge",
    value: live.listeners
  }
]
