/** A stream as it stood at a moment or an offset, and who brought it there: as far back as its log is kept. */
import { Effect, Stream } from "effect"
import type { EventOf } from "../../../messages/protocol.ts"
import { offsetText, ownKey, parseOffset, partitionKind } from "../../../messages/stream.ts"
import type { StreamPartition } from "../../../messages/stream-partition.ts"
import { isWhole } from "../../actor/owned.ts"
import type { Read } from "../../ports/journal.ts"
import { refuse, sayJson } from "./reply.ts"
import type { Asked, Surface } from "./surface.ts"

type Event = EventOf<StreamPartition>

/** What is told of the past: enough to see how it came about. */
const entriesMax = 50

interface Moment {
  readonly at: number
  readonly version: number
  readonly position: number
  readonly caller: string
  readonly command: string
  readonly events: ReadonlyArray<Event>
}

/** The past of one stream in its partition's log. */
class Timeline {
  readonly moments: Array<Moment> = []
  /** When the log begins; what is older cannot be told. */
  begin: number | undefined
  private readonly id: string
  private readonly key: string
  private readonly mark: string

  constructor(id: string, key: string) {
    this.id = id
    this.key = key
    this.mark = JSON.stringify(key)
  }

  take(page: ReadonlyArray<Read>): void {
    for (const read of page) {
      if (!isWhole(read)) continue
      const { position, entry } = read
      if (entry.kind !== partitionKind || entry.id !== this.id) continue
      this.begin ??= entry.at
      if (!entry.events.includes(this.mark)) continue
      const events = (JSON.parse(entry.events) as ReadonlyArray<Event>).filter((event) => this.isOf(event))
      if (events.length === 0) continue
      const { at, version, caller, cause } = entry
      // One that was made anew has nothing of the one before it.
      if (events.some(({ _tag }) => _tag === "StreamCreated")) this.moments.length = 0
      this.moments.push({ at, version, position, caller, command: cause, events })
    }
  }

  private isOf(event: Event): boolean {
    if (event._tag === "Sealed") return event.sections.some(({ stream }) => stream === this.key)
    return "stream" in event && event.stream === this.key
  }

  get isWhole(): boolean {
    return this.moments[0]?.events.some(({ _tag }) => _tag === "StreamCreated") === true
  }
}

const endOf = ({ events }: Moment): number | undefined => {
  const appended = events.findLast((event) => event._tag === "Appended")
  return appended?._tag === "Appended" ? appended.from + appended.wire.size : undefined
}

const startOf = ({ events }: Moment): number | undefined => {
  const appended = events.find((event) => event._tag === "Appended")
  return appended?._tag === "Appended" ? appended.from : undefined
}

/** Events without what was appended. */
const outline = (event: Event): object => {
  if (event._tag === "Appended") {
    const { _tag, from, wire, producer, seq } = event
    return { _tag, from: offsetText(from), size: wire.size, messages: wire.count, producer, seq }
  }
  if (event._tag === "Sealed") return { _tag: event._tag, object: event.object }
  const { stream, ...rest } = event as Event & { readonly stream?: string }
  return rest
}

const told = ({ at, version, position, caller, command, events }: Moment) => ({
  ...{ at_ms: at, version, position, caller, command_id: command },
  events: events.map(outline)
})

interface Wanted {
  readonly at?: number
  readonly offset?: number
}

/** The moments up to what is asked for; why there are none, when the log does not reach so far back. */
const upTo = (timeline: Timeline, { at, offset }: Wanted): ReadonlyArray<Moment> | string => {
  const { moments, begin, isWhole } = timeline
  if (offset !== undefined) {
    const reached = moments.findIndex((moment) => (endOf(moment) ?? -1) >= offset)
    const first = moments.map(startOf).find((start) => start !== undefined)
    if (reached < 0 || (!isWhole && offset <= (first ?? 0))) return "the log has nothing of that offset any more"
    return moments.slice(0, reached + 1)
  }
  const end = at ?? Number.POSITIVE_INFINITY
  if (!isWhole && (begin === undefined || end < begin))
    return `the log begins ${begin === undefined ? "later" : `at ${new Date(begin).toISOString()}`}`
  return moments.filter((moment) => moment.at <= end)
}

const tailAt = (timeline: Timeline, past: ReadonlyArray<Moment>, now: number): number => {
  const last = past.map(endOf).findLast((end) => end !== undefined)
  if (last !== undefined) return last
  // Appends follow each other: where the next one begins, the one before it had ended.
  const next = timeline.moments.slice(past.length).map(startOf)
  return next.find((start) => start !== undefined) ?? now
}

export const timeOf = (text: string): number | undefined => {
  const at = /^\d{10,16}$/.test(text) ? Number(text) : Date.parse(text)
  return Number.isSafeInteger(at) ? at : undefined
}

/** `info` is how it stands now. */
export const tellPast = (
  surface: Surface,
  asked: Asked,
  info: { readonly tail: number; readonly createdAt: number }
): void => {
  const { exchange, key } = asked
  const { searchParams } = exchange.url
  const [atText, offsetGiven] = [searchParams.get("at"), searchParams.get("offset")]
  const at = atText === null ? undefined : timeOf(atText)
  const offset = offsetGiven === null ? undefined : parseOffset(offsetGiven)
  if (atText !== null && at === undefined) return refuse(exchange, 400, "at is an RFC 3339 time, or milliseconds")
  if (offsetGiven !== null && offset === undefined) return refuse(exchange, 400, "offset is none of this service's")
  if (at !== undefined && at < info.createdAt) return refuse(exchange, 404, "the stream was made later than that")
  const { partitions } = surface
  const timeline = new Timeline(partitions.idOf(key), key)
  const say = (): void => {
    const past = upTo(timeline, { ...(at !== undefined && { at }), ...(offset !== undefined && { offset }) })
    if (typeof past === "string") return refuse(exchange, 410, past)
    sayJson(exchange, 200, {
      stream: ownKey(key),
      log_begins_at_ms: timeline.begin ?? null,
      tail: offsetText(tailAt(timeline, past, info.tail)),
      closed: past.some(({ events }) => events.some(({ _tag }) => _tag === "StreamClosed")),
      entries: past.slice(-entriesMax).map(told)
    })
  }
  const folding = surface.log(partitions.of(key)).pipe(
    Stream.runForEach((page) => Effect.sync(() => timeline.take(page))),
    Effect.andThen(Effect.sync(say)),
    Effect.catch((error) =>
      Effect.sync(() => refuse(exchange, 503, `the log cannot be read: ${error.why}`, { "retry-after": "1" }))
    )
  )
  asked.run(folding)
}
