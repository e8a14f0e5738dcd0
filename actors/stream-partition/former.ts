/** Snapshots of partitions as they were written at first, with all streams in one JSON text: they are read on. */
import { setAlarm } from "./alarms.ts"
import { Data, type SavedData } from "./payload.ts"
import { refer } from "./segments.ts"
import { type Heard, initial, type State, type Stream } from "./state.ts"
import type { Subscriber } from "./subscriber.ts"

type SavedStream = Omit<Stream, "producers" | "data" | "pins"> & {
  readonly producers?: ReadonlyArray<readonly [string, Heard]>
  readonly pins?: ReadonlyArray<readonly [string, number]>
  readonly data?: SavedData
}

type SavedSubscriber = Omit<Subscriber, "links"> & {
  readonly links: ReadonlyArray<readonly [string, { readonly link: "glob" | "explicit"; readonly acked: number }]>
}

interface Head {
  readonly streams: ReadonlyArray<SavedStream>
  readonly subscribers: ReadonlyArray<SavedSubscriber>
  readonly alarms: State["alarms"]
  readonly garbage?: ReadonlyArray<readonly [string, number]>
}

export const loadFormer = (buffer: Buffer, id: string): State => {
  let at = 4 + buffer.readUInt32LE(0)
  const head = JSON.parse(buffer.toString("utf8", 4, at)) as Head
  const take = (size: number): Buffer => {
    at += size
    return buffer.subarray(at - size, at)
  }
  const state = initial(id)
  for (const saved of head.streams) {
    const stream = loadStream(saved, take)
    state.streams.set(stream.key, stream)
    state.hotBytes += stream.data?.bytes ?? 0
    for (const object of stream.data?.objects() ?? []) refer(state, object)
    if (stream.snapshot !== undefined) refer(state, stream.snapshot.object)
  }
  for (const saved of head.subscribers) state.subscribers.set(saved.id, { ...saved, links: new Map(saved.links) })
  for (const [object, since] of head.garbage ?? []) state.garbage.set(object, since)
  for (const alarm of head.alarms) setAlarm(state, alarm.at, alarm.key)
  return state
}

/** JSON leaves out what is undefined; here it is put back, so that all records have one shape. */
const loadStream = (saved: SavedStream, take: (size: number) => Buffer): Stream => ({
  ...{ key: saved.key, contentType: saved.contentType, createdAt: saved.createdAt, ttlS: saved.ttlS },
  ...{ expiresAt: saved.expiresAt, expiresMs: saved.expiresMs, origin: saved.origin, attributes: saved.attributes },
  ...{ tail: saved.tail, floor: saved.floor, closed: saved.closed, closedBy: saved.closedBy },
  ...{ touchedAt: saved.touchedAt, writtenAt: saved.writtenAt, seq: saved.seq, hidden: saved.hidden },
  producers: saved.producers === undefined ? undefined : new Map(saved.producers),
  data: saved.data === undefined ? undefined : Data.load(saved.data, take),
  pins: saved.pins === undefined ? undefined : new Map(saved.pins),
  snapshot: saved.snapshot,
  proof: undefined
})
