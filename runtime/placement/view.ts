/** What a node makes of the registry: who is alive, which shards are free, and how many are its share. Pure. */
import type { Record } from "../ports/registry.ts"

export interface NodeRecord {
  readonly node: string
  /** Chosen at random when a node joins: one that was declared dead comes back as another. */
  readonly incarnation: string
  readonly ttlMs: number
  readonly beat: number
  /** What the node holds as long as its process lives, and no other process beside it. */
  readonly home?: string
}

export interface ShardRecord {
  readonly node: string
  readonly incarnation: string
}

export const nodeKey = (node: string): string => `node-${node}`
export const shardKey = (shard: number): string => `shard-${shard}`

/** When this observer first saw each revision, by its own clock: nobody's clock is compared with another's. */
export class Sightings {
  private seen = new Map<string, { readonly revision: number; readonly at: number }>()
  /** When the first of the nodes seen will have stood still for too long, unless it moves before. */
  nextAt = Number.POSITIVE_INFINITY

  /** Node records that have stood still for longer than they promised. */
  expired(records: ReadonlyArray<Record>, now: number): Array<Record> {
    const nodes = records.filter((record) => record.key.startsWith("node-"))
    const seen = new Map<string, { readonly revision: number; readonly at: number }>()
    this.nextAt = Number.POSITIVE_INFINITY
    const dead = nodes.filter((record) => {
      const before = this.seen.get(record.key)
      const at = before !== undefined && before.revision === record.revision ? before.at : now
      seen.set(record.key, { revision: record.revision, at })
      const { ttlMs } = JSON.parse(record.value) as NodeRecord
      this.nextAt = Math.min(this.nextAt, at + ttlMs + 1)
      return now - at > ttlMs
    })
    this.seen = seen
    return dead
  }

  /** The registry was away: nobody could be seen, and nobody could show a sign of life. */
  forget(): void {
    this.seen = new Map()
    this.nextAt = Number.POSITIVE_INFINITY
  }
}

export interface View {
  readonly live: ReadonlyArray<NodeRecord>
  /** Shards that no living node holds, with the revision to take them at. */
  readonly free: ReadonlyArray<{ readonly shard: number; readonly revision: number }>
  /** Shards that the asking node holds, with the revision of the record that says so. */
  readonly mine: ReadonlyMap<number, number>
}

const incarnationOf = (of: { readonly node: string; readonly incarnation: string }): string =>
  `${of.node}/${of.incarnation}`

export const viewOf = (
  records: ReadonlyArray<Record>,
  shards: number,
  me: { readonly node: string; readonly incarnation: string }
): View => {
  const byKey = new Map(records.map((record) => [record.key, record]))
  const live = records
    .filter((record) => record.key.startsWith("node-"))
    .map((record) => JSON.parse(record.value) as NodeRecord)
  const alive = new Set(live.map(incarnationOf))
  const free: Array<{ shard: number; revision: number }> = []
  const mine = new Map<number, number>()
  for (let shard = 0; shard < shards; shard++) {
    const record = byKey.get(shardKey(shard))
    const holder = record === undefined ? undefined : incarnationOf(JSON.parse(record.value) as ShardRecord)
    if (holder === undefined || !alive.has(holder)) free.push({ shard, revision: record?.revision ?? 0 })
    else if (holder === incarnationOf(me)) mine.set(shard, record?.revision ?? 0)
  }
  return { live, free, mine }
}

/** The most shards that one of so many nodes should hold. */
export const shareOf = (shards: number, nodes: number): number => Math.ceil(shards / Math.max(1, nodes))
