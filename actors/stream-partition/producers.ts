/** Idempotent producers: what is known of each is one epoch, one number and a few ranges, whatever it has sent. */
import { producerIdleMs, producerRangesMax, streamProducersMax } from "../../messages/limits.ts"
import type { RefusalOf } from "../../messages/protocol.ts"
import type { Appended, Producer, StreamPartition } from "../../messages/stream-partition.ts"
import type { Heard, Stream } from "./state.ts"

export type Judged = "new" | { readonly duplicate: Appended } | { readonly refused: RefusalOf<StreamPartition> }

const gap = (expected: number, received: number): Judged => ({
  refused: { _tag: "SequenceGap", expected, received }
})

export const judge = (stream: Stream, { id, epoch, seq }: Producer): Judged => {
  const heard = stream.producers?.get(id)
  if (heard === undefined) return seq === 0 ? "new" : gap(0, seq)
  if (epoch < heard.epoch) return { refused: { _tag: "StaleEpoch", epoch: heard.epoch } }
  if (epoch > heard.epoch) return seq === 0 ? "new" : { refused: { _tag: "NewEpochNotAtZero", seq } }
  if (seq === heard.seq + 1) return "new"
  if (seq > heard.seq) return gap(heard.seq + 1, seq)
  return { duplicate: again(stream, heard, seq) }
}

/** What the first attempt was told, while its range is remembered; the tail otherwise. */
const again = (stream: Stream, { epoch, seq: last, ranges }: Heard, seq: number): Appended => {
  const answer = { closed: stream.closed, duplicate: true, producer: { epoch, seq: last } }
  for (let index = 0; index < ranges.length; index += 3)
    if (ranges[index] === seq)
      return { from: ranges[index + 1] as number, tail: ranges[index + 2] as number, ...answer }
  return { from: stream.tail, tail: stream.tail, ...answer }
}

/** Notes an accepted sequence number and the range that it appended. */
export const note = (
  stream: Stream,
  { id, epoch, seq }: Producer,
  range: readonly [number, number],
  at: number
): void => {
  stream.producers ??= new Map()
  const { producers } = stream
  const heard = producers.get(id)
  const before = heard === undefined || heard.epoch !== epoch ? [] : heard.ranges
  const known = before.at(-3) === seq
  const ranges = known ? before : [...before.slice(-3 * (producerRangesMax - 1)), seq, ...range]
  // What was heard last stands last, so that the first is the one to forget.
  producers.delete(id)
  producers.set(id, { epoch, seq, at, ranges })
  for (const [oldest, { at: heardAt }] of producers) {
    if (producers.size <= streamProducersMax && heardAt > at - producerIdleMs) break
    producers.delete(oldest)
  }
}
