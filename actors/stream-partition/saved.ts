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
  /** How many streams there are in the index behind the records, and where that begins. */
  readonly index?: { readonly count: number; readonly at: number }
}

/** Where the form before this one has the length of its head, which is never zero. */
const mark = 0

/** Numbers of four bytes are read in place where they lie so. */
const alignment = 8

const padding = (length: number): number => (alignment - (length % alignment)) % alignment

export const save = (state: State): Uint8Array => Buffer.concat(pieces(state))

/** Of one moment: nothing of what they refer to is changed later. */
// biome-ignore lint/correctness/useYield: it is one step.
export function* saving(state: State): Generator<void, ReadonlyArray<Uint8Array>> {
  return pieces(state)
}

const pieces = (state: State): ReadonlyArray<Uint8Array> => {
  const { records, index } = state.streams.save()
  const size = records.reduce((sum, { length }) => sum + length, 0)
  const at = size + padding(size)
  const head = Buffer.from(JSON.stringify({ ...headOf(state), index: { count: records.length, at } } satisfies Head))
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32LE(mark, 0)
  // JSON may end in spaces.
  sizes.writeUInt32LE(head.length + padding(head.length), 4)
  const numbers = [index.hashes, index.places].map((each) => Buffer.from(each.buffer))
  const blank = Buffer.alloc(padding(head.length), " ")
  return [sizes, head, blank, ...records, Buffer.alloc(padding(size)), ...numbers]
}

/** In place where that can be, and else from a copy. */
const numbersAt = (bytes: Buffer, at: number, count: number): Uint32Array => {
  const whole = bytes.subarray(at, at + 4 * count)
  const aligned = whole.byteOffset % 4 === 0 ? whole : Uint8Array.from(whole)
  return new Uint32Array(aligned.buffer, aligned.byteOffset, count)
}

const loadStreams = ({ streams }: State, bytes: Buffer, index: Head["index"]): void => {
  if (index === undefined) return streams.load(bytes)
  const { at, count } = index
  const hashes = numbersAt(bytes, at, count)
  streams.load(bytes.subarray(0, at), { hashes, places: numbersAt(bytes, at + 4 * count, count) })
}

const headOf = ({ subscribers, alarms, hotBytes, objects, garbage, planned, fences }: State) => ({
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
  loadStreams(state, buffer.subarray(end), head.index)
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
