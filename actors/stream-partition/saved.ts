/** A partition as a snapshot: a head in JSON, and behind it the payloads as they are in memory. */
import type { Raised } from "./fence.ts"
import { Data, type SavedData } from "./payload.ts"
import { refer } from "./segments.ts"
import { type Heard, initial, type State, type Stream, setAlarm } from "./state.ts"
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
  readonly fences?: ReadonlyArray<readonly [string, Raised]>
  readonly garbage?: ReadonlyArray<readonly [string, number]>
}

export const save = (state: State): Uint8Array => {
  const payloads: Array<Buffer> = []
  const streams = [...state.streams.values()].map(({ producers, pins, data, ...stream }): SavedStream => {
    if (data !== undefined) payloads.push(...data.buffers())
    return {
      ...stream,
      ...(producers !== undefined && { producers: [...producers] }),
      ...(pins !== undefined && { pins: [...pins] }),
      ...(data !== undefined && { data: data.save() })
    }
  })
  const head = Buffer.from(JSON.stringify(headOf(state, streams)))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(head.length)
  return Buffer.concat([size, head, ...payloads])
}

const headOf = ({ subscribers, fences, alarms, garbage }: State, streams: ReadonlyArray<SavedStream>): Head => ({
  streams,
  subscribers: [...subscribers.values()].map((each) => ({ ...each, links: [...each.links] })),
  ...(fences.size > 0 && { fences: [...fences] }),
  alarms,
  garbage: [...garbage]
})

export const load = (bytes: Uint8Array, id: string): State => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
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
  for (const saved of head.subscribers) state.subscribers.set(saved.id, loadSubscriber(saved))
  for (const [subscription, raised] of head.fences ?? []) state.fences.set(subscription, raised)
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
  snapshot: saved.snapshot
})

const loadSubscriber = (saved: SavedSubscriber): Subscriber => ({
  ...saved,
  links: new Map(saved.links),
  wake: saved.wake
})
