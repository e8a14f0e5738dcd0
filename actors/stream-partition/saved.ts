/** A partition as a snapshot: a head in JSON, and behind it its streams as packed records. */
import type { Raised } from "./fence.ts"
import { loadFormer } from "./former.ts"
import { initial, type State } from "./state.ts"
import type { Subscriber } from "./subscriber.ts"

type SavedSubscriber = Omit<Subscriber, "links"> & {
  readonly links: ReadonlyArray<readonly [string, { readonly link: "glob" | "explicit"; readonly acked: number }]>
}

interface Head {
  readonly subscribers: ReadonlyArray<SavedSubscriber>
  readonly alarms: State["alarms"]
  readonly hotBytes: number
  readonly objects: ReadonlyArray<readonly [string, number]>
  readonly garbage: ReadonlyArray<readonly [string, number]>
  readonly planned?: ReadonlyArray<readonly [string, number]>
  readonly fences?: ReadonlyArray<readonly [string, Raised]>
}

/** Where the form before this one has the length of its head, which is never zero. */
const mark = 0

export const save = (state: State): Uint8Array => {
  const head = Buffer.from(JSON.stringify(headOf(state)))
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32LE(mark, 0)
  sizes.writeUInt32LE(head.length, 4)
  return Buffer.concat([sizes, head, ...state.streams.save()])
}

const headOf = ({ subscribers, alarms, hotBytes, objects, garbage, planned, fences }: State): Head => ({
  subscribers: [...subscribers.values()].map((each) => ({ ...each, links: [...each.links] })),
  ...{ alarms, hotBytes },
  objects: [...objects],
  garbage: [...garbage],
  planned: [...planned],
  fences: [...fences]
})

export const load = (bytes: Uint8Array, id: string): State => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.readUInt32LE(0) !== mark) return loadFormer(buffer, id)
  const end = 8 + buffer.readUInt32LE(4)
  const head = JSON.parse(buffer.toString("utf8", 8, end)) as Head
  const state = initial(id)
  state.streams.load(buffer.subarray(end))
  state.hotBytes = head.hotBytes
  for (const [object, count] of head.objects) state.objects.set(object, count)
  for (const saved of head.subscribers) state.subscribers.set(saved.id, { ...saved, links: new Map(saved.links) })
  for (const [object, since] of head.garbage) state.garbage.set(object, since)
  for (const [object, until] of head.planned ?? []) state.planned.set(object, until)
  for (const [subscription, raised] of head.fences ?? []) state.fences.set(subscription, raised)
  // It was a heap, and is one.
  for (const alarm of head.alarms) state.alarms.push(alarm)
  return state
}
