/** What the actor runtime counts, by the names under which it is scraped. */
import { Context, Metric } from "effect"

const none = Context.empty()

const counter = (name: string, description: string, attributes?: Record<string, string>) =>
  Metric.counter(name, { description, incremental: true, ...(attributes === undefined ? {} : { attributes }) })

const commits = counter("artifacts_entries_total", "Entries committed to the journal")
const appends = counter("artifacts_appends_total", "Appends to the journal; each holds one or more entries")
const replayed = counter("artifacts_replayed_entries_total", "Entries read back when a shard was taken over")
const snapshots = counter("artifacts_snapshots_total", "Snapshots stored")
const snapshotBytes = counter("artifacts_snapshot_bytes_total", "Bytes of snapshots stored")
const defects = counter("artifacts_defects_total", "Actors that fell and were read again")
const lost = counter("artifacts_shards_lost_total", "Shards whose claim was lost while they were served")
const owed = counter("artifacts_obligations_total", "Commands sent from outboxes")
const latency = Metric.histogram("artifacts_append_milliseconds", {
  description: "From the first decision of a batch to its acknowledgement",
  boundaries: [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 512, 2048, 8192]
})
const batch = Metric.histogram("artifacts_batch_entries", {
  description: "Entries in one append",
  boundaries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]
})

const refusals = new Map<string, ReturnType<typeof counter>>()

export const meters = {
  committed: (entries: number, milliseconds: number): void => {
    commits.updateUnsafe(entries, none)
    appends.updateUnsafe(1, none)
    batch.updateUnsafe(entries, none)
    latency.updateUnsafe(milliseconds, none)
  },
  refused: (kind: string, reason: string): void => {
    const name = `${kind}/${reason}`
    let metric = refusals.get(name)
    if (metric === undefined) {
      metric = counter("artifacts_refusals_total", "Commands and queries that were refused or failed", { kind, reason })
      refusals.set(name, metric)
    }
    metric.updateUnsafe(1, none)
  },
  replayed: (entries: number): void => replayed.updateUnsafe(entries, none),
  snapshots: (bytes: number): void => {
    snapshots.updateUnsafe(1, none)
    snapshotBytes.updateUnsafe(bytes, none)
  },
  defect: (): void => defects.updateUnsafe(1, none),
  lost: (): void => lost.updateUnsafe(1, none),
  owed: (commands: number): void => owed.updateUnsafe(commands, none)
}
